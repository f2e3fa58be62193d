"""Reconciling a day against the simulator: what it says in the end is what the tables say."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from time import sleep

import pytest

from builders import campaign, freeze, people, run, sender
from twilio_campaigns.domain.exceptions import ConfigurationError, TwilioRejectedError, TwilioUnavailableError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.warehouse.ledger import Ledger

QUICK = Settings(
    tracking_window=timedelta(seconds=2),
    settle_unpriced_after=timedelta(seconds=1),
    ladder=(timedelta(seconds=1), timedelta(seconds=2)),
)


def today():
    return datetime.now(UTC).date()


def send_all(warehouse, simulator, *, of=None, settings=QUICK, key="2026-11-20"):
    send_run(warehouse, simulator, of or campaign(), run(key).run_key, settings)


def send_run(warehouse, simulator, of, run_key, settings=QUICK):
    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            await BatchSender(warehouse, twilio, of, settings).send(run_key, 1)

    asyncio.run(work())


def reconciler(warehouse, simulator, settings=QUICK, **changes):
    gateways = []

    async def gateway_of(_connection_id):
        gateways.append(TwilioGateway(simulator.settings(**changes)))
        return gateways[-1]

    made = Reconciler(warehouse, gateway_of, settings)
    made.gateways = gateways
    return made


def read(warehouse, simulator, day=None, *, full_read=True, **changes):
    made = reconciler(warehouse, simulator, **changes)
    return asyncio.run(made.read(day or today(), full_read=full_read, repair=full_read))


def table(query):
    """Events without what says who saw them when: Twilio does not repeat the words of earlier moments."""
    rows = query("select * from campaign_events order by event_id")
    for row in rows:
        del row["recorded_at"], row["source"], row["provider_status"]
    return rows


def test_every_message_ends_as_the_simulator_ended_it(warehouse, query, simulator):
    freeze(warehouse, people(400))
    send_all(warehouse, simulator)
    sleep(2.1)
    reading = read(warehouse, simulator)
    assert reading.complete
    assert reading.observed == reading.settled == 400
    truth = {m["sid"]: m for m in simulator.truth()}
    provider = {row["message_sid"]: row for row in query("select * from messages")}
    assert {sid: row["provider_status"] for sid, row in provider.items()} == {
        sid: message["final_status"] for sid, message in truth.items()
    }
    words = Counter(row["delivery_state"] for row in query("select delivery_state from message_status"))
    ends = Counter(message["final_status"] for message in truth.values())
    assert words["delivered"] == ends["delivered"]
    assert words["unreported"] == ends["sent"]
    assert words["failed"] + words["rejected"] == ends["undelivered"] + ends["failed"]
    assert min(ends.values()) > 0
    assert all(row["price"] is not None for row in query("select price from messages where status = 'delivered'"))
    assert query("select sum(messages) as n from delivery_errors")[0]["n"] == ends["undelivered"] + ends["failed"]


def test_a_settled_day_costs_no_further_call(warehouse, simulator):
    freeze(warehouse, people(50))
    send_all(warehouse, simulator)
    sleep(2.1)
    read(warehouse, simulator)
    again = read(warehouse, simulator, full_read=False)
    assert (again.api_calls, again.changed, again.events_written) == (0, 0, 0)


def test_reading_twice_changes_nothing(warehouse, query, simulator):
    freeze(warehouse, people(80))
    send_all(warehouse, simulator)
    sleep(2.1)
    read(warehouse, simulator)
    before = table(query), query("select * from messages order by message_key")
    again = read(warehouse, simulator)
    assert (again.changed, again.events_written) == (0, 0)
    assert (table(query), query("select * from messages order by message_key")) == before


def test_a_full_read_repairs_deleted_events(warehouse, query, simulator):
    of = campaign(sender=sender(messaging_service_sid=None, from_number="+15005550006"))
    rows = [*people(120), {"customer_id": "out", "phone": "+15005550004", "first_name": "x"}]
    freeze(warehouse, rows, of=of)
    send_all(warehouse, simulator, of=of)
    sleep(2.1)
    read(warehouse, simulator)
    before = table(query)
    assert {row["status"] for row in before} >= {"enqueued", "enqueue_failed", "sent", "delivered"}
    query("delete from campaign_events")
    read(warehouse, simulator)
    assert table(query) == before


def test_messages_that_were_never_sent_are_fetched(warehouse, query, simulator):
    freeze(warehouse, people(400))
    send_all(warehouse, simulator)
    sleep(2.1)
    reading = read(warehouse, simulator)
    never = [m for m in simulator.truth() if m["sent_at"] is None]
    assert never
    assert reading.fetches == len(never)
    assert reading.list_pages == 1
    assert query("select count(*) as n from messages where status = 'rejected' and sent_at is null")[0]["n"] > 0


def test_one_open_message_is_fetched_not_listed(warehouse, query, simulator):
    freeze(warehouse, people(60))
    send_all(warehouse, simulator)
    sleep(2.1)
    read(warehouse, simulator)
    query(
        "update messages set settled_at = null where message_key = (select min(message_key::text) from messages)::uuid"
    )
    reading = read(warehouse, simulator, full_read=False)
    assert (reading.list_pages, reading.fetches, reading.settled) == (0, 1, 1)


def test_other_peoples_messages_cost_nothing_but_pages(warehouse, query, simulator):
    async def others():
        from twilio_campaigns.domain.message import OutgoingMessage

        async with TwilioGateway(simulator.settings()) as twilio:
            for number in range(40):
                await twilio.create(
                    OutgoingMessage(to_number=f"+1202556{number:04}", from_number="+15005550006", body="x")
                )

    asyncio.run(others())
    freeze(warehouse, people(5))
    send_all(warehouse, simulator)
    sleep(2.1)
    assert read(warehouse, simulator).observed == 5
    assert query("select count(distinct message_sid) as n from campaign_events")[0]["n"] == 5


def test_a_message_that_twilio_forgot_is_closed_and_kept(warehouse, query, simulator):
    freeze(warehouse, people(3))
    send_all(warehouse, simulator)
    simulator.control("POST", "reset")
    sleep(2.1)
    reading = read(warehouse, simulator)
    assert (reading.observed, reading.settled) == (0, 3)
    assert {row["delivery_state"] for row in query("select * from message_status")} == {"unreported"}


def test_a_young_message_that_twilio_does_not_show_stays_open(warehouse, query, simulator):
    slow = Settings()
    freeze(warehouse, people(3))
    send_all(warehouse, simulator, settings=slow)
    simulator.control("POST", "reset")
    reading = read(warehouse, simulator, settings=slow)
    assert (reading.complete, reading.settled) == (True, 0)
    assert query("select count(*) as n from messages where settled_at is null")[0]["n"] == 3


def test_wrong_credentials_leave_everything_as_it_is(warehouse, query, simulator):
    freeze(warehouse, people(5))
    send_all(warehouse, simulator)
    before = table(query)
    with pytest.raises(TwilioRejectedError):
        read(warehouse, simulator, auth_token="wrong")
    assert table(query) == before
    row = query("select complete, error from reconcile_passes")[0]
    assert row["complete"] is False
    assert "TwilioRejectedError" in row["error"]
    assert query("select last_pass_at, lease_id from reconcile_days") == [{"last_pass_at": None, "lease_id": None}]


def test_twilio_out_of_reach_is_a_transient_error(warehouse, simulator):
    freeze(warehouse, people(2))
    send_all(warehouse, simulator)
    simulator.stop()
    with pytest.raises(TwilioUnavailableError):
        read(warehouse, simulator, connect_timeout=0.2)


def test_two_readers_of_one_day_do_not_read_twice(warehouse, simulator):
    freeze(warehouse, people(5))
    send_all(warehouse, simulator)
    made = reconciler(warehouse, simulator)
    made._store.begin(today(), timedelta(minutes=5), full_read=True)
    assert asyncio.run(made.read(today(), full_read=True)) is None


def test_claims_whose_worker_died_become_unknown_and_end_as_such(warehouse, query, simulator):
    from uuid import uuid4

    from twilio_campaigns.domain.message import OutgoingMessage

    freeze(warehouse, people(4))
    Ledger(warehouse).claim(run().run_key, 1, 2, uuid4(), OutgoingMessage(to_number=""))
    query("update messages set claimed_at = claimed_at - interval '11 minutes' where send_state = 'claimed'")
    slow = Settings()
    read(warehouse, simulator, settings=slow)
    assert query("select count(*) as n from messages where send_state = 'unknown'")[0]["n"] == 2
    query("update messages set claimed_at = claimed_at - interval '5 days' where send_state = 'unknown'")
    read(warehouse, simulator, settings=slow)
    events = query("select status, error, status_code from campaign_events")
    assert events == [{"status": "enqueue_failed", "error": "outcome_unknown", "status_code": None}] * 2
    assert query("select count(*) as n from messages where send_state = 'planned'")[0]["n"] == 2


def test_todays_reader_minds_days_whose_run_was_lost(warehouse, query, simulator):
    freeze(warehouse, people(6))
    send_all(warehouse, simulator)
    sleep(2.1)
    query("update messages set tracked_on = tracked_on - 2")
    look = asyncio.run(reconciler(warehouse, simulator).look(today(), full_read=False))
    assert not look.finished
    assert query("select count(*) as n from messages where settled_at is null")[0]["n"] == 0
    assert query("select day from reconcile_passes where observed > 0") == [{"day": today() - timedelta(days=2)}]


def test_an_old_settled_day_is_finished_at_the_first_look(warehouse, query, simulator):
    freeze(warehouse, people(6))
    send_all(warehouse, simulator)
    sleep(2.1)
    day = today() - timedelta(days=3)
    query("update messages set tracked_on = %s", day)
    assert asyncio.run(reconciler(warehouse, simulator).look(day, full_read=True)).finished
    assert query("select closed_at is not null as closed from reconcile_days where day = %s", day) == [{"closed": True}]


def test_today_is_never_finished(warehouse, simulator):
    look = asyncio.run(reconciler(warehouse, simulator).look(today(), full_read=True))
    assert not look.finished
    assert look.wake_at > datetime.now(UTC)


def test_an_account_that_cannot_be_read_does_not_hide_the_others(warehouse, query, simulator, start_simulator):
    other = start_simulator(seed=8)
    for number, (connection, account) in enumerate({"account_a": other, "account_b": simulator}.items()):
        of = campaign(campaign_id=connection, connection=connection)
        freeze(warehouse, people(10, first=100 * number), of=of, as_run=run(campaign_id=connection))
        send_run(warehouse, account, of, run(campaign_id=connection).run_key)
    sleep(2.1)

    async def gateway_of(connection_id):
        if connection_id == "account_a":
            raise ConfigurationError("Connection account_a: login is missing.")
        return TwilioGateway(simulator.settings())

    with pytest.raises(ConfigurationError, match="account_a"):
        asyncio.run(Reconciler(warehouse, gateway_of, QUICK).read(today(), full_read=True))
    settled = query("select connection, count(settled_at) as n from messages group by 1 order by 1")
    assert [(row["connection"], row["n"]) for row in settled] == [("account_a", 0), ("account_b", 10)]
    (reading,) = query("select complete, error from reconcile_passes")
    assert (reading["complete"], "account_a" in reading["error"]) == (False, True)
