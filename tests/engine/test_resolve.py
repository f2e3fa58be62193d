"""Lost answers against the simulator: taken ones are found, others are sent again, nobody is texted twice."""

import asyncio
from collections import Counter
from datetime import timedelta
from time import sleep
from uuid import uuid4

import pytest

from builders import campaign, freeze, people, run
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.engine.report import report_on
from twilio_campaigns.engine.resolve import Resolver, RunResolver
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.warehouse.expiry import Expiry
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.outcomes import Outcomes

QUICK = Settings(lease=timedelta(milliseconds=50), lookup_gap=timedelta(minutes=10))
RUN = run().run_key


def inside(simulator, work, **settings):
    async def opened():
        async with TwilioGateway(simulator.settings(**settings)) as twilio:
            return await work(twilio)

    return asyncio.run(opened())


def send(warehouse, simulator, batch=1):
    async def work(twilio):
        await BatchSender(warehouse, twilio, campaign(), QUICK).send(RUN, batch)

    inside(simulator, work)


def die_while_posting(warehouse, simulator, rows, posted):
    """Claim rows, post the first ones, and end without a word: what SIGKILL leaves behind."""
    template = OutgoingMessage(to_number="", messaging_service_sid=campaign().sender.messaging_service_sid)
    claim = Ledger(warehouse).claim(RUN, 1, rows, uuid4(), template)

    async def work(twilio):
        for row in claim.rows[:posted]:
            await twilio.create(row.message)

    inside(simulator, work)
    sleep(0.1)  # the lease is over
    return [row.message.to_number for row in claim.rows]


def look(warehouse, simulator, **settings):
    """One look of the run's own task; sends what is freed."""

    async def work(twilio):
        for batch in await RunResolver(warehouse, RUN, QUICK).look(twilio):
            await BatchSender(warehouse, twilio, campaign(), QUICK).send(RUN, batch)

    inside(simulator, work, **settings)


def reconcile(warehouse, simulator):
    async def gateway_of(_connection_id):
        return TwilioGateway(simulator.settings())

    reconciler = Reconciler(warehouse, gateway_of, QUICK)
    asyncio.run(reconciler.read(reconciler._store.state(None).now.date(), full_read=True))


@pytest.fixture
def frozen(warehouse):
    freeze(warehouse, people(40))


@pytest.fixture
def states(query):
    def count():
        return {r["send_state"]: r["n"] for r in query("select send_state, count(*) as n from messages group by 1")}

    return count


def a_gap_passes(warehouse):
    """Time is not waited for: the last look was longer ago."""
    with warehouse.transaction() as connection:
        connection.execute("update messages set looked_up_at = looked_up_at - interval '10 minutes'")


def nobody_twice(simulator):
    return max(Counter(message["to"] for message in simulator.truth()).values()) == 1


def test_what_twilio_took_is_adopted_and_the_rest_sent_after_two_looks(warehouse, query, simulator, frozen, states):
    lost = die_while_posting(warehouse, simulator, rows=10, posted=6)
    send(warehouse, simulator)
    assert states() == {"accepted": 30, "claimed": 10}
    look(warehouse, simulator)
    assert states() == {"accepted": 36, "unknown": 4}
    found = {row["to_number"]: row for row in query("select * from messages where sid_source = 'lookup'")}
    assert set(found) == set(lost[:6])
    assert {row["message_sid"]: to for to, row in found.items()} == {
        message["sid"]: message["to"] for message in simulator.truth() if message["to"] in found
    }
    enqueued = query("select count(*) as n from campaign_events where status = 'enqueued'")
    assert enqueued[0]["n"] == 36
    look(warehouse, simulator)  # too early to count
    assert states() == {"accepted": 36, "unknown": 4}
    a_gap_passes(warehouse)
    look(warehouse, simulator)
    assert states() == {"accepted": 40}
    assert len(simulator.truth()) == 40
    assert nobody_twice(simulator)


def test_many_lost_answers_are_found_in_the_accounts_list(warehouse, query, simulator, states):
    """A thousand look-ups would be a thousand calls."""
    freeze(warehouse, people(300))
    lost = die_while_posting(warehouse, simulator, rows=250, posted=200)
    before = simulator.control("GET", "stats")["calls"]
    look(warehouse, simulator)
    assert states() == {"accepted": 200, "unknown": 50, "planned": 50}
    owned = {
        row["message_sid"]: row["to_number"] for row in query("select * from messages where sid_source = 'lookup'")
    }
    assert owned == {message["sid"]: message["to"] for message in simulator.truth()}
    assert set(owned.values()) == set(lost[:200])
    calls = simulator.control("GET", "stats")["calls"]
    # One page of the account's list, then only whom it did not show, and the control message.
    assert calls["list"] - before.get("list", 0) <= 1 + 50 + 1


def test_many_that_twilio_never_took_are_sent_again_although_it_knows_their_numbers(warehouse, simulator, states):
    """The account's list shows earlier messages to all of them; that is no look-up and must not put one off."""
    earlier = run(campaign_id="autumn")
    freeze(warehouse, people(150), of=campaign(campaign_id="autumn"), as_run=earlier)

    async def send_earlier(twilio):
        await BatchSender(warehouse, twilio, campaign(campaign_id="autumn"), QUICK).send(earlier.run_key, 1)

    inside(simulator, send_earlier)
    freeze(warehouse, people(150))
    die_while_posting(warehouse, simulator, rows=150, posted=20)
    for _ in range(2):
        look(warehouse, simulator)
        a_gap_passes(warehouse)
    look(warehouse, simulator)
    assert states() == {"accepted": 300}
    assert len(simulator.truth()) == 300


def test_clocks_that_disagree_prove_no_absence(warehouse, query, simulator, frozen, states):
    """Ours an hour ahead of Twilio's: a message that it took would be looked for an hour too late."""
    die_while_posting(warehouse, simulator, rows=10, posted=0)
    send(warehouse, simulator)
    query("update messages set claimed_at = claimed_at + interval '1 hour' where send_state = 'accepted'")
    for _ in range(4):
        look(warehouse, simulator)
        a_gap_passes(warehouse)
    assert states() == {"accepted": 30, "unknown": 10}


def test_where_the_accounts_list_is_too_long_each_number_is_looked_up(warehouse, simulator, states, monkeypatch):
    monkeypatch.setattr("twilio_campaigns.engine.resolve.PAGES_PER_NUMBER", 0.0)
    freeze(warehouse, people(150))
    die_while_posting(warehouse, simulator, rows=150, posted=150)
    look(warehouse, simulator)
    assert states() == {"accepted": 150}


def test_messages_that_cannot_be_told_apart_are_left_to_a_person_and_said_so(
    warehouse, query, simulator, frozen, states, caplog
):
    """Somebody else texted the same words to the same number through the same service, at that moment."""
    (number,) = die_while_posting(warehouse, simulator, rows=1, posted=1)
    (ours,) = simulator.truth()

    async def again(twilio):
        template = OutgoingMessage(
            number, messaging_service_sid=campaign().sender.messaging_service_sid, body=ours["body"]
        )
        await twilio.create(template)

    inside(simulator, again)
    for _ in range(3):
        look(warehouse, simulator)
        a_gap_passes(warehouse)
    assert states()["unknown"] == 1
    assert query("select count(*) as n from messages where undecided_at is not null") == [{"n": 1}]
    assert "1 messages may be one of several at Twilio" in caplog.text
    assert number not in caplog.text
    report = report_on(warehouse, RUN)
    assert report.figures()["undecided"] == 1
    assert "1 of the unknown ones may be one of several" in report.unfinished()


def test_after_a_restore_that_forgot_claims_what_was_sent_is_found_and_the_rest_sent(
    warehouse, query, simulator, frozen, states
):
    send(warehouse, simulator)
    since = warehouse.now() - timedelta(minutes=1)
    query("delete from campaign_events")
    query(
        "update messages set send_state = 'planned', message_sid = null, sid_source = null, claim_id = null, "
        "claimed_at = null, accepted_at = null, tracked_on = null where to_number < '+12025550030'"
    )
    assert Expiry(warehouse).doubt_planned("twilio_default", since, timedelta(0)) == 30
    look(warehouse, simulator)
    assert states() == {"accepted": 40}
    assert len(simulator.truth()) == 40
    assert nobody_twice(simulator)


def test_reconciling_adopts_for_everybody_and_sends_nothing(warehouse, simulator, frozen, states):
    die_while_posting(warehouse, simulator, rows=10, posted=6)
    send(warehouse, simulator)
    for _ in range(4):
        reconcile(warehouse, simulator)
        a_gap_passes(warehouse)
    assert states() == {"accepted": 36, "unknown": 4}
    assert len(simulator.truth()) == 36


def test_what_reconciling_found_absent_is_sent_again_by_the_runs_own_task(warehouse, simulator, frozen, states):
    """Passes look more often than the task: what they found counts, and the task must not wait for ever."""
    die_while_posting(warehouse, simulator, rows=10, posted=6)
    send(warehouse, simulator)
    for _ in range(4):
        reconcile(warehouse, simulator)
        a_gap_passes(warehouse)
    assert states() == {"accepted": 36, "unknown": 4}
    assert asyncio.run(RunResolver(warehouse, RUN, QUICK).wake_at()) is not None
    look(warehouse, simulator)
    assert states() == {"accepted": 40}
    assert nobody_twice(simulator)


def test_a_list_that_is_later_than_the_connection_says_proves_nothing(warehouse, start_simulator, frozen, states):
    simulator = start_simulator(life_speed=100_000, list_lag_seconds=3600)
    die_while_posting(warehouse, simulator, rows=10, posted=6)
    send(warehouse, simulator)
    for _ in range(4):
        look(warehouse, simulator)
        a_gap_passes(warehouse)
    assert states() == {"accepted": 30, "unknown": 10}
    assert nobody_twice(simulator)


def test_before_the_list_lag_is_over_absence_proves_nothing(warehouse, simulator, frozen, states):
    die_while_posting(warehouse, simulator, rows=10, posted=6)
    send(warehouse, simulator)
    for _ in range(3):
        look(warehouse, simulator, list_lag_seconds=3600)
        a_gap_passes(warehouse)
    assert states() == {"accepted": 36, "unknown": 4}


def test_without_a_message_to_compare_with_nothing_is_called_absent(warehouse, simulator, frozen, states):
    die_while_posting(warehouse, simulator, rows=40, posted=0)
    for _ in range(3):
        look(warehouse, simulator)
        a_gap_passes(warehouse)
    assert states() == {"unknown": 40}


def test_a_campaign_may_say_never(warehouse, query, simulator, states):
    freeze(warehouse, people(10), of=campaign(unknown_outcome="never"))
    die_while_posting(warehouse, simulator, rows=4, posted=1)
    send(warehouse, simulator)
    for _ in range(4):
        look(warehouse, simulator)
        a_gap_passes(warehouse)
    assert states() == {"accepted": 7, "unknown": 3}
    assert len(simulator.truth()) == 7
    assert asyncio.run(RunResolver(warehouse, RUN, QUICK).wake_at()) is None  # nothing more to wait for


def test_what_is_too_late_is_adopted_and_never_sent_again(warehouse, query, simulator, frozen, states):
    die_while_posting(warehouse, simulator, rows=10, posted=6)
    send(warehouse, simulator)
    query("update messages set send_before = now() where send_state = 'claimed'")
    reconcile(warehouse, simulator)
    for _ in range(3):
        look(warehouse, simulator)
        a_gap_passes(warehouse)
    assert states() == {"accepted": 36, "unknown": 4}


def test_a_stopped_run_sends_nothing_again(warehouse, query, simulator, frozen, states):
    die_while_posting(warehouse, simulator, rows=10, posted=6)
    send(warehouse, simulator)
    query("update campaign_runs set state = 'stopped'")
    for _ in range(4):
        look(warehouse, simulator)
        a_gap_passes(warehouse)
    assert states() == {"accepted": 36, "unknown": 4}
    assert len(simulator.truth()) == 36


def test_a_message_that_went_astray_is_nobodys(warehouse, query, simulator, frozen, states):
    (number,) = die_while_posting(warehouse, simulator, rows=1, posted=1)
    (message,) = simulator.truth()
    query("insert into stray_messages (message_sid, to_number, reason) values (%s, %s, 'x')", message["sid"], number)
    send(warehouse, simulator)
    look(warehouse, simulator)
    assert states() == {"accepted": 39, "unknown": 1}


def test_no_look_up_waits_for_a_connection_against_the_clock(warehouse, query, simulator, frozen):
    class Counting(TwilioGateway):
        under_way = most = 0

        async def _read(self, path, parse):
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            try:
                return await super()._read(path, parse)
            finally:
                self.under_way -= 1

    die_while_posting(warehouse, simulator, rows=10, posted=10)
    query("update messages set send_state = 'unknown', resolve_after = now() where send_state = 'claimed'")

    async def work():
        async with Counting(simulator.settings(), max_connections=2) as twilio:
            return await Resolver(warehouse, twilio, "twilio_default", QUICK).resolve(), twilio.most

    found, most = asyncio.run(work())
    assert (found.adopted, most) == (10, 2)


def test_while_somebody_sends_to_the_number_nothing_is_decided(warehouse, query, simulator, frozen):
    (number,) = die_while_posting(warehouse, simulator, rows=1, posted=1)
    other = campaign(campaign_id="other")
    freeze(
        warehouse, [{"customer_id": "c", "phone": number, "first_name": "A"}], of=other, as_run=run(campaign_id="other")
    )
    template = OutgoingMessage(to_number="", messaging_service_sid=other.sender.messaging_service_sid)
    query("update messages set send_state = 'unknown', resolve_after = now() where send_state = 'claimed'")
    Ledger(warehouse).claim(run(campaign_id="other").run_key, 1, 1, uuid4(), template)

    async def work(twilio):
        return await Resolver(warehouse, twilio, "twilio_default", QUICK).resolve()

    found = inside(simulator, work)
    assert (found.adopted, found.waiting) == (0, 1)


def test_an_answer_that_comes_after_all_finds_its_row_taken_care_of(warehouse, query, simulator, frozen, states):
    """A worker that was frozen thaws: its answer is for a claim that is over, and changes nothing."""
    template = OutgoingMessage(to_number="", messaging_service_sid=campaign().sender.messaging_service_sid)
    ledger = Ledger(warehouse)
    claim = ledger.claim(RUN, 1, 1, uuid4(), template)

    async def post(twilio):
        return await twilio.create(claim.rows[0].message)

    answer = inside(simulator, post)
    sleep(0.1)
    send(warehouse, simulator)
    look(warehouse, simulator)
    assert states() == {"accepted": 40}
    late = Outcomes({claim.rows[0].key: answer.observation}, {}, [], [])
    strays = ledger.record(claim.claim_id, late, window=timedelta(days=4), list_lag=timedelta(0))
    assert (strays, states()) == (0, {"accepted": 40})
