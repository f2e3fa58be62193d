"""Sending a batch against the simulator: each message at most once, every row with its outcome."""

import asyncio
import socket
import threading
from collections import Counter
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import count
from uuid import uuid4

import pytest

from builders import campaign, freeze, observation, people, run, sender
from twilio_campaigns.domain.exceptions import TransientError, TwilioRejectedError, TwilioUnavailableError
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.engine.steer import RunSteering
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.outcome import Outcome, OutcomeKind
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.outcomes import Outcomes
from twilio_campaigns.warehouse.runs import RunStore
from twilio_campaigns.warehouse.throughput import Throughput


def number_sender(**changes):
    return sender(messaging_service_sid=None, from_number="+15005550006", **changes)


def send(warehouse, gateway_settings, *, of=None, batch_no=1, settings=None, width=100, while_sending=None):
    async def work():
        async with TwilioGateway(gateway_settings, max_connections=width) as twilio:
            batch = BatchSender(warehouse, twilio, of or campaign(), settings or Settings(), width=width)
            if while_sending:
                asyncio.get_running_loop().call_later(0.3, while_sending, batch)
            progress = await batch.send(run().run_key, batch_no)
            return batch.tally, progress

    return asyncio.run(work())


def states(query):
    return {row["send_state"]: row["n"] for row in query("select send_state, count(*) as n from messages group by 1")}


def test_every_planned_message_is_accepted_once_with_its_event(warehouse, query, simulator):
    freeze(warehouse, people(250))
    tally, progress = send(warehouse, simulator.settings())
    assert (tally.accepted, progress.accepted, progress.left) == (250, 250, 0)
    truth = {message["sid"]: message["to"] for message in simulator.truth()}
    ledger = {row["message_sid"]: row["to_number"] for row in query("select message_sid, to_number from messages")}
    assert truth == ledger
    events = query("select status, source, count(*) as n from campaign_events group by 1, 2")
    assert events == [{"status": "enqueued", "source": "send", "n": 250}]
    row = query("select * from messages limit 1")[0]
    assert row["tracked_on"] == row["accepted_at"].date()
    assert (row["tracking_closes_at"] - row["accepted_at"]).days == 4
    assert row["status"] == "enqueued"


def test_sending_again_sends_nothing(warehouse, query, simulator):
    freeze(warehouse, people(30))
    send(warehouse, simulator.settings())
    before = query("select * from messages order by message_key")
    tally, _ = send(warehouse, simulator.settings())
    assert tally.accepted == 0
    assert len(simulator.truth()) == 30
    assert query("select * from messages order by message_key") == before


def test_two_tries_at_once_share_the_rows(warehouse, simulator):
    freeze(warehouse, people(300))

    async def both():
        async with TwilioGateway(simulator.settings()) as twilio:
            batches = [BatchSender(warehouse, twilio, campaign(), Settings()) for _ in range(2)]
            await asyncio.gather(*(batch.send(run().run_key, 1) for batch in batches))
            return [batch.tally.accepted for batch in batches]

    assert sum(asyncio.run(both())) == 300
    assert max(Counter(message["to"] for message in simulator.truth()).values()) == 1
    assert len(simulator.truth()) == 300


def test_a_refused_message_gets_its_reason_and_the_others_go_on(warehouse, query, simulator):
    of = campaign(sender=number_sender())
    rows = [*people(3), {"customer_id": "out", "phone": "+15005550004", "first_name": "Opted out"}]
    freeze(warehouse, rows, of=of)
    tally, progress = send(warehouse, simulator.settings(), of=of)
    assert (tally.accepted, tally.refused, progress.enqueue_failed) == (3, 1, 1)
    event = query("select * from campaign_events where status = 'enqueue_failed'")[0]
    assert event["status_code"] == 21610
    assert event["error"]
    assert event["comment"]
    assert query("select delivery_state from message_status where customer_id = 'out'") == [
        {"delivery_state": "not_sent"}
    ]


def test_wrong_credentials_stop_the_batch_and_lose_nothing(warehouse, query, simulator):
    freeze(warehouse, people(500))
    with pytest.raises(TwilioRejectedError, match="stays planned"):
        send(warehouse, simulator.settings(auth_token="wrong"))
    assert states(query) == {"planned": 500}
    assert simulator.truth() == []
    tally, _ = send(warehouse, simulator.settings())
    assert tally.accepted == 500


def test_no_connection_leaves_everything_planned(warehouse, query, simulator):
    freeze(warehouse, people(300))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = simulator.settings(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(TwilioUnavailableError, match="cannot be reached"):
            send(warehouse, nowhere)
    assert states(query) == {"planned": 300}


@contextmanager
def swallowing_server():
    """A server that takes every request and hangs up without an answer; gives the number of requests."""
    taken = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                if connection.recv(65536):
                    taken.append(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}", taken
    listener.close()


def test_lost_answers_make_unknown_rows_that_are_never_sent_again(warehouse, query, simulator):
    freeze(warehouse, people(15))
    with swallowing_server() as (url, taken):
        tally, progress = send(warehouse, simulator.settings(base_url=url))
        assert (tally.unknown, progress.unknown) == (15, 15)
        assert len(taken) == 15
    tally, _ = send(warehouse, simulator.settings())
    assert tally.accepted == 0
    assert simulator.truth() == []
    assert states(query) == {"unknown": 15}
    assert query("select count(*) as n from campaign_events")[0]["n"] == 0


def test_many_lost_answers_open_the_breaker(warehouse, query, simulator):
    freeze(warehouse, people(400))
    with swallowing_server() as (url, _), pytest.raises(TwilioUnavailableError, match="in a row did not say"):
        send(warehouse, simulator.settings(base_url=url), width=5)
    found = states(query)
    assert found["planned"] > 300
    assert found["unknown"] + found["planned"] == 400


def test_after_send_before_nothing_goes_out(warehouse, query, simulator):
    freeze(warehouse, people(20))
    query("update messages set send_before = now()")
    tally, progress = send(warehouse, simulator.settings())
    assert (tally.accepted, progress.too_late) == (0, 20)
    assert query("select distinct delivery_state from message_status") == [{"delivery_state": "not_sent"}]


def test_who_opts_out_after_the_freeze_is_not_texted(warehouse, query, simulator):
    freeze(warehouse, people(3))
    query("insert into suppressions values ('+12025550001', 'opt_out', 'test')")
    tally, _ = send(warehouse, simulator.settings())
    assert tally.accepted == 2
    row = query("select send_state, skip_reason from messages where to_number = '+12025550001'")
    assert row == [{"send_state": "skipped", "skip_reason": "suppressed"}]


def test_stop_takes_effect_before_the_next_chunk(warehouse, query, simulator):
    of = campaign(sender=sender(parts_per_second=20.0))
    freeze(warehouse, people(200), of=of)
    runs = RunStore(warehouse)

    def stop(_):
        runs.stop(run().run_key, "somebody", "enough")

    tally, progress = send(warehouse, simulator.settings(), of=of, while_sending=stop)
    assert 0 < tally.accepted < 200
    assert progress.planned == 200 - tally.accepted
    assert len(simulator.truth()) == tally.accepted
    assert "claimed" not in states(query)


@pytest.mark.parametrize("steer", [RunSteering.pause, RunSteering.stop])
def test_who_pauses_or_stops_a_run_does_not_wait_for_what_is_claimed(warehouse, query, simulator, monkeypatch, steer):
    monkeypatch.setattr("twilio_campaigns.engine.watch.WATCH_EVERY", 0.2)
    monkeypatch.setattr("twilio_campaigns.engine.send.CHUNK_SECONDS", 10.0)
    of = campaign(sender=sender(parts_per_second=30.0))
    freeze(warehouse, people(600), of=of)
    begun = when_under_way(10, monkeypatch)

    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            batch = BatchSender(warehouse, twilio, of, Settings())
            sending = asyncio.ensure_future(batch.send(run().run_key, 1))
            await begun.wait()
            await asyncio.to_thread(steer, RunSteering(warehouse, run().run_key, "somebody"))
            steered = query("select count(*) filter (where send_state = 'claimed') as claimed from messages")[0]
            await sending
            return batch, steered["claimed"]

    batch, claimed = asyncio.run(work())
    assert claimed >= 300
    assert batch.tally.accepted < claimed / 2
    assert not batch.stopped
    assert states(query) == {"accepted": batch.tally.accepted, "planned": 600 - batch.tally.accepted}
    assert len(simulator.truth()) == batch.tally.accepted


def test_a_killed_try_leaves_no_claim_behind(warehouse, query, simulator, monkeypatch):
    of = campaign(sender=sender(parts_per_second=50.0))
    freeze(warehouse, people(200), of=of)
    tally, _ = send(warehouse, simulator.settings(), of=of, while_sending=killed_with(20, monkeypatch))
    assert 0 < tally.accepted < 200
    assert set(states(query)) == {"accepted", "planned"}
    assert states(query)["accepted"] == len(simulator.truth())


def test_a_frozen_worker_posts_nothing_when_it_thaws(warehouse, query, simulator):
    """Between any two looks at the clock the post window passes, as when a laptop keeps falling asleep."""
    freeze(warehouse, people(10))
    late = count(step=30).__next__

    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            batch = BatchSender(warehouse, twilio, campaign(), Settings(), clock=late)
            asyncio.get_running_loop().call_later(0.5, batch.stop)
            await batch.send(run().run_key, 1)

    asyncio.run(work())
    assert simulator.truth() == []
    assert states(query) == {"planned": 10}


def test_the_senders_throughput_is_a_ceiling(warehouse, simulator):
    of = campaign(sender=sender(parts_per_second=40.0))
    freeze(warehouse, people(160), of=of)
    send(warehouse, simulator.settings(), of=of)
    created = [datetime.fromisoformat(m["created_at"]).timestamp() for m in simulator.truth()]
    busiest = max(sum(start <= at < start + 2 for at in created) for start in created)
    assert busiest <= 40 * 2 * 1.1


def test_an_answer_for_a_row_that_lost_its_claim_is_put_aside(warehouse, query, simulator):
    freeze(warehouse, people(2))
    ledger = Ledger(warehouse)
    claim = ledger.claim(run().run_key, 1, 10, uuid4(), OutgoingMessage(to_number=""))
    query("update messages set claim_id = gen_random_uuid() where message_key = %s", claim.rows[0].key)
    outcomes = Outcomes({row.key: observation() for row in claim.rows}, {}, [], [])
    days = timedelta(days=4)
    assert ledger.record(claim.claim_id, outcomes, window=days, list_lag=days) == 1
    assert ledger.record(claim.claim_id, outcomes, window=days, list_lag=days) == 0  # said once
    assert query("select count(*) as n from stray_messages")[0]["n"] == 1
    assert states(query) == {"accepted": 1, "claimed": 1}


def test_one_sid_for_two_messages_is_never_believed_twice(warehouse, query, simulator):
    freeze(warehouse, people(2))
    ledger = Ledger(warehouse)
    claim = ledger.claim(run().run_key, 1, 10, uuid4(), OutgoingMessage(to_number=""))
    same = observation()
    days = timedelta(days=4)
    ledger.record(claim.claim_id, Outcomes({claim.rows[0].key: same}, {}, [], []), window=days, list_lag=days)
    ledger.record(claim.claim_id, Outcomes({claim.rows[1].key: same}, {}, [], []), window=days, list_lag=days)
    assert states(query) == {"accepted": 1, "unknown": 1}


def test_rows_that_wait_for_their_turn_when_the_task_is_killed_stay_planned(warehouse, query, start_simulator):
    """Three hundred claimed, ten under way: the others were never posted, and nobody needs to look them up."""
    simulator = start_simulator(latency_seconds=30)
    freeze(warehouse, people(300))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("twilio_campaigns.engine.send.KILL_PATIENCE", 0.3)
        send(warehouse, simulator.settings(), width=10, while_sending=killed_with(10, patch))
    assert states(query) == {"planned": 290, "unknown": 10}


def killed_with(under_way, patch):
    """Kill the batch when so many of its requests are under way, however slow the machine is."""
    begun, kept = when_under_way(under_way, patch), set()

    async def kill(batch):
        await begun.wait()
        batch.kill()

    return lambda batch: kept.add(asyncio.ensure_future(kill(batch)))


def when_under_way(requests, patch):
    """Give an event that is set when so many requests were begun."""
    begun, reached, create = count(1), asyncio.Event(), TwilioGateway.create

    async def watched(self, message, **options):
        if next(begun) == requests:
            reached.set()
        return await create(self, message, **options)

    patch.setattr(TwilioGateway, "create", watched)
    return reached


def test_a_warehouse_that_is_away_while_capacity_is_reserved_leaves_nobody_claimed(
    warehouse, query, simulator, monkeypatch
):
    freeze(warehouse, people(30))

    def away(*_arguments):
        raise TransientError("away")

    monkeypatch.setattr(Throughput, "reserve", away)
    with pytest.raises(TransientError):
        send(warehouse, simulator.settings())
    assert states(query) == {"planned": 30}
    assert simulator.truth() == []


def test_a_post_that_fails_in_an_unforeseen_way_costs_no_other_ones_answer(warehouse, query, simulator, monkeypatch):
    freeze(warehouse, people(100))
    create, calls = TwilioGateway.create, count(1)

    async def sometimes_broken(self, message, **options):
        if next(calls) == 50:
            raise RuntimeError("nobody foresaw this")
        return await create(self, message, **options)

    monkeypatch.setattr(TwilioGateway, "create", sometimes_broken)
    with pytest.raises(RuntimeError):
        send(warehouse, simulator.settings())
    assert states(query) == {"accepted": 99, "unknown": 1}
    assert len(simulator.truth()) == 99


def test_slowing_others_down_is_not_worth_a_chunk(warehouse, query, simulator, monkeypatch):
    def away(*_arguments):
        raise TransientError("away")

    monkeypatch.setattr(Throughput, "slow_down", away)
    freeze(warehouse, people(50))
    create, calls = TwilioGateway.create, count(1)

    async def throttled_at_first(self, message, **options):
        if next(calls) <= 5:
            return Outcome(OutcomeKind.THROTTLED, code=20429, http_status=429, detail="Too many requests.")
        return await create(self, message, **options)

    monkeypatch.setattr(TwilioGateway, "create", throttled_at_first)
    send(warehouse, simulator.settings())
    assert states(query) == {"accepted": 50}


def test_a_server_that_is_read_only_for_a_moment_loses_no_answer(warehouse, query, simulator, monkeypatch):
    """A failover: the standby answers, and refuses to write."""
    freeze(warehouse, people(40))
    record, calls = Ledger._record, count(1)

    def refused_twice(self, *arguments):
        if next(calls) <= 2:
            with self._warehouse.transaction() as connection:
                connection.execute("set transaction read only")
                connection.execute("update messages set attempts = 1")
        return record(self, *arguments)

    monkeypatch.setattr(Ledger, "_record", refused_twice)
    send(warehouse, simulator.settings())
    assert states(query) == {"accepted": 40}


def test_a_sender_that_is_cancelled_posts_nothing_that_it_has_released(warehouse, query, start_simulator):
    """Ctrl-C, unlike SIGTERM, cancels: rows given back must not be posted by whoever still waits for its turn."""
    simulator = start_simulator(latency_seconds=1)
    freeze(warehouse, people(100))

    async def work():
        async with TwilioGateway(simulator.settings(), max_connections=5) as twilio:
            batch = BatchSender(warehouse, twilio, campaign(), Settings(), width=5)
            sending = asyncio.create_task(batch.send(run().run_key, 1))
            await asyncio.sleep(0.5)
            for _ in range(2):  # the first one only ends the claiming; what is under way is drained
                sending.cancel()
                await asyncio.sleep(0.1)
            await asyncio.gather(sending, return_exceptions=True)
            await asyncio.sleep(2.5)  # time for stragglers to do harm

    asyncio.run(work())
    planned = {row["to_number"] for row in query("select to_number from messages where send_state = 'planned'")}
    assert len(planned) >= 90
    assert planned.isdisjoint(message["to"] for message in simulator.truth())
