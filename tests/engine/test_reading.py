"""What a pass reads and how: lists or single messages, volumes that are learnt, trouble on the way."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import sleep

import pytest

from builders import campaign, freeze, people, run
from twilio_campaigns.domain.exceptions import TwilioRejectedError, TwilioUnavailableError
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.reading import Patience

FAST = Settings(fetch_concurrency=5)


def today():
    return datetime.now(UTC).date()


def send(warehouse, simulator, count, *, and_wait=True):
    """Send a campaign, and wait until the simulator's messages have come to their ends."""
    of = campaign(batch_size=count)
    freeze(warehouse, people(count), of=of)

    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            await BatchSender(warehouse, twilio, of, FAST).send(run().run_key, 1)

    asyncio.run(work())
    if and_wait:
        sleep(2.1)


def read(warehouse, simulator, day=None, settings=FAST, *, patience=None, **kinds):
    async def gateway_of(_connection_id):
        return TwilioGateway(simulator.settings(), patience=patience)

    reconciler = Reconciler(warehouse, gateway_of, settings)
    return asyncio.run(reconciler.read(day or today(), **{"full_read": False, **kinds}))


def send_foreign(simulator, count):
    """Let another team send over the same account."""

    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            limit = asyncio.Semaphore(50)

            async def one(number):
                async with limit:
                    to = f"+1202556{number:04}"
                    await twilio.create(OutgoingMessage(to_number=to, from_number="+15005550006", body="x"))

            await asyncio.gather(*map(one, range(count)))

    asyncio.run(work())


def calls(simulator):
    return {kind: n for kind, n in simulator.control("GET", "stats")["calls"].items() if kind in {"list", "fetch"}}


def unlike_truth(query, simulator):
    truth = {message["sid"]: message["final_status"] for message in simulator.truth()}
    rows = query("select message_sid, provider_status from messages where message_sid is not null")
    return {row["message_sid"] for row in rows if truth[row["message_sid"]] != row["provider_status"]}


def differences(rows, others):
    return [(row, other) for row, other in zip(rows, others, strict=True) if row != other][:3]


class TestWays:
    def test_few_of_ours_among_many_foreign_ones_cost_a_call_each_and_no_row(self, warehouse, query, simulator):
        send_foreign(simulator, 6000)
        send(warehouse, simulator, 12)
        send_foreign(simulator, 3000)
        reading = read(warehouse, simulator)
        assert unlike_truth(query, simulator) == set()
        assert reading.list_pages + reading.fetches <= 12 + 3
        assert query("select count(*) as n from messages")[0]["n"] == 12
        again = read(warehouse, simulator, full_read=True, repair=True)
        assert again.list_pages + again.fetches <= 12, "what lists cost was learnt"

    def test_many_at_once_are_read_by_several_lists(self, warehouse, query, simulator):
        send(warehouse, simulator, 9000)
        reading = read(warehouse, simulator)
        assert unlike_truth(query, simulator) == set()
        sent_at = [message["sent_at"] for message in simulator.truth()]
        # Lists are cut between two seconds at best, each of which may leave a page that is nearly empty.
        seconds = {moment[:19] for moment in sent_at if moment is not None}
        assert 10 <= reading.list_pages <= 9 + min(len(seconds), 2 * FAST.fetch_concurrency)
        never_sent = sent_at.count(None)
        assert reading.fetches == never_sent

    def test_what_lists_showed_is_remembered(self, warehouse, query, start_simulator):
        # In the middle of five minutes: what lies at an edge is too little to be remembered.
        middle = datetime.now(UTC).replace(minute=7, second=0, microsecond=0) - timedelta(hours=1)
        simulator = start_simulator(started_at=middle, life_speed=100_000)
        send(warehouse, simulator, 300)
        send_foreign(simulator, 200)
        query("update messages set accepted_at = accepted_at - interval '1 minute' where to_number like '%%00'")
        read(warehouse, simulator, query("select min(tracked_on) as day from messages")[0]["day"], full_read=True)
        known = query("select sum(messages) as n from list_volumes where connection = 'twilio_default'")[0]["n"]
        sent = sum(message["sent_at"] is not None for message in simulator.truth())
        assert sent * 0.9 <= known <= sent * 1.5

    def test_queued_messages_are_not_asked_for_one_by_one_again_and_again(self, warehouse, query, start_simulator):
        """Twilio sends at the sender's rate, up to ten hours later: asking for each would bring nothing."""
        simulator = start_simulator(life_speed=0.0001)
        send(warehouse, simulator, 900, and_wait=False)
        reading = read(warehouse, simulator)
        assert reading.fetches <= 200
        assert query("select count(*) as n from messages where asked_at is not null")[0]["n"] == reading.fetches
        second = read(warehouse, simulator, full_read=True)
        assert second.fetches <= 200
        asked = query("select count(*) as n from messages where asked_at is not null")[0]["n"]
        assert asked == reading.fetches + second.fetches, "others have their turn first"

    def test_messages_whose_last_look_it_is_are_all_asked_for(self, warehouse, query, start_simulator):
        simulator = start_simulator(life_speed=0.0001)
        send(warehouse, simulator, 500, and_wait=False)
        query("update messages set tracking_closes_at = now()")
        reading = read(warehouse, simulator)
        assert (reading.fetches, reading.settled) == (500, 500)
        before = calls(simulator)
        read(warehouse, simulator)
        assert calls(simulator) == before

    def test_a_settled_message_is_asked_for_only_to_repair_it(self, warehouse, query, simulator):
        send(warehouse, simulator, 300)
        read(warehouse, simulator)
        query("update messages set settled_at = now()")
        never_sent = sum(message["sent_at"] is None for message in simulator.truth())
        assert never_sent
        assert read(warehouse, simulator, full_read=True).fetches == 0
        assert read(warehouse, simulator, full_read=True, repair=True).fetches == never_sent

    def test_one_limit_holds_for_all_calls_of_an_account(self, warehouse, simulator, monkeypatch):
        send(warehouse, simulator, 6000)
        under_way, most = 0, 0
        original = TwilioGateway._read

        async def counted(self, path, parse):
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            try:
                return await original(self, path, parse)
            finally:
                under_way -= 1

        monkeypatch.setattr(TwilioGateway, "_read", counted)
        read(warehouse, simulator, settings=Settings(fetch_concurrency=3), full_read=True, repair=True)
        assert most == 3


@pytest.mark.parametrize(("count", "is_said"), [(30, True), (5, False)])
def test_an_account_that_knows_none_of_our_messages_is_a_question(warehouse, query, simulator, caplog, count, is_said):
    send(warehouse, simulator, count, and_wait=False)
    query("update messages set message_sid = 'SM' || md5(message_sid)")
    assert read(warehouse, simulator).observed == 0
    assert ("that were asked for: is this the account that sent them?" in caplog.text) == is_said


def test_an_account_that_is_asked_for_none_of_them_is_no_question(warehouse, query, simulator, caplog):
    """What is settled is not asked for alone: that nothing was found then says nothing."""
    send(warehouse, simulator, 30)
    read(warehouse, simulator)
    query("update messages set settled_at = now()")
    query(
        "insert into list_volumes (connection, starts_at, messages, read_at) "
        "select 'twilio_default', date_bin('5 minutes', now(), 'epoch') - n * interval '5 minutes', 100000000, now() "
        "from generate_series(-1, 2) as n"
    )
    assert read(warehouse, simulator, full_read=True).observed == 0
    assert "is this the account" not in caplog.text


class TestUnderFire:
    QUICK = Patience(tries=3, first_wait=0.01, longest_wait=0.05)

    @pytest.mark.parametrize("trouble", ["read_throttled_share", "read_unavailable_share", "read_reset_share"])
    def test_the_next_pass_carries_on_and_nothing_is_doubled(self, warehouse, query, simulator, trouble):
        send(warehouse, simulator, 1500)
        simulator.control("POST", "faults", **{trouble: 0.3})
        for _ in range(40):
            try:
                read(warehouse, simulator, patience=self.QUICK)
            except TwilioUnavailableError:
                continue
            break
        else:
            pytest.fail("no pass came through")
        simulator.control("POST", "faults", **{trouble: 0.0})
        read(warehouse, simulator, full_read=True)
        assert unlike_truth(query, simulator) == set()
        doubled = query("select message_key, status from campaign_events group by 1, 2 having count(*) > 1")
        assert doubled == []
        row = query("select count(*) filter (where not complete) as failed, count(*) as n from reconcile_passes")[0]
        assert row["n"] > row["failed"]

    def test_credentials_that_are_revoked_in_mid_pass_fail_clearly_and_keep_whole_pages(
        self, warehouse, query, simulator, monkeypatch
    ):
        send(warehouse, simulator, 2500)  # too few for a second list, whatever time it took to send them
        original, pages = TwilioGateway.list, 0

        async def revoked_later(self, **filters):
            nonlocal pages
            async for page in original(self, **filters):
                pages += 1
                if pages == 2:
                    simulator.control("POST", "faults", revoked=True)
                yield page

        monkeypatch.setattr(TwilioGateway, "list", revoked_later)
        with pytest.raises(TwilioRejectedError, match="credentials"):
            read(warehouse, simulator)
        row = query("select complete, error, changed, events_written from reconcile_passes")[0]
        assert (row["complete"], row["changed"]) == (False, 2000)
        assert "TwilioRejectedError" in row["error"]
        # Rows and their events went together, page by page.
        unlike = query(
            "select m.message_key from messages as m where m.status is distinct from "
            "(select e.status from campaign_events as e where e.message_key = m.message_key order by "
            "array_position(array['enqueued', 'sent', 'failed', 'rejected', 'delivered'], e.status) desc limit 1)"
        )
        assert unlike == []
        simulator.control("POST", "faults", revoked=False)
        monkeypatch.setattr(TwilioGateway, "list", original)
        read(warehouse, simulator)
        assert unlike_truth(query, simulator) == set()

    def test_a_database_that_goes_away_in_mid_pass_is_found_again(self, warehouse, query, simulator, monkeypatch):
        from twilio_campaigns.domain.exceptions import TransientError
        from twilio_campaigns.warehouse.applying import EventStore

        send(warehouse, simulator, 2500)
        original, pages = EventStore.apply, 0

        def cut(self, observations, **how):
            nonlocal pages
            pages += 1
            if pages == 2:
                query(
                    "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
                    "and datname = current_database()"
                )
            return original(self, observations, **how)

        monkeypatch.setattr(EventStore, "apply", cut)
        try:
            read(warehouse, simulator)
        except TransientError:
            monkeypatch.setattr(EventStore, "apply", original)
            read(warehouse, simulator, full_read=True)
        assert unlike_truth(query, simulator) == set()


def test_random_damage_of_events_and_rows_is_repaired_by_one_read(warehouse, query, simulator):
    """What a backfill does: the same tables as before, whatever was deleted or altered."""
    send(warehouse, simulator, 1200)
    read(warehouse, simulator)
    query("update messages set settled_at = now()")
    ledger = (
        "select message_key, provider_status, status, status_code, sent_at, final_at, price from messages order by 1"
    )
    facts = "select event_id, status, status_code, occurred_at, number_of_message_parts from campaign_events order by 1"
    before, events_before = query(ledger), query(facts)
    creates = simulator.control("GET", "stats")["calls"]["create"]
    query("select setseed(0.4)")
    query("delete from campaign_events where random() < 0.3")
    query("""
        update messages set status = (array['enqueued', 'sent', 'delivered', 'failed'])[1 + floor(random() * 4)::int],
            provider_status = 'queued', sent_at = null where random() < 0.3
    """)
    assert query(ledger) != before
    reading = read(warehouse, simulator, full_read=True, repair=True)
    assert reading.changed > 200
    assert reading.events_written > 500
    assert differences(query(ledger), before) == []
    assert differences(query(facts), events_before) == []
    assert simulator.control("GET", "stats")["calls"]["create"] == creates
    again = read(warehouse, simulator, full_read=True, repair=True)
    assert (again.changed, again.events_written) == (0, 0)


def test_a_late_backfill_still_records_better_news(warehouse, query, simulator):
    send(warehouse, simulator, 60)
    query("update messages set tracking_closes_at = now() - interval '1 day', settled_at = now()")
    assert {row["delivery_state"] for row in query("select delivery_state from message_status")} == {"unreported"}
    read(warehouse, simulator, full_read=True, repair=True)
    assert unlike_truth(query, simulator) == set()
    assert "delivered" in {row["delivery_state"] for row in query("select delivery_state from message_status")}


def test_ladder_points_make_a_message_due_once(warehouse, query, simulator):
    send(warehouse, simulator, 40)
    query("update messages set accepted_at = accepted_at - interval '4 minutes 50 seconds'")
    read(warehouse, simulator)
    query("update messages set final_at = null, settled_at = null, status = 'sent', provider_status = 'sent'")
    assert read(warehouse, simulator).api_calls == 0
    query("update reconcile_days set last_pass_at = last_pass_at - interval '1 minute'")
    query("update messages set accepted_at = accepted_at - interval '30 seconds'")
    reading = read(warehouse, simulator)
    assert reading.observed == 40
    assert read(warehouse, simulator).api_calls == 0
    assert timedelta(minutes=5) in Settings().ladder
