"""Applying observations: any order, any repetition, one result."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import freeze, observation, people
from twilio_campaigns.domain.status import Source
from twilio_campaigns.warehouse.applying import EventStore

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
SID = "SM" + "1" * 32


@pytest.fixture
def accepted(warehouse, query):
    """One accepted message of our own."""
    freeze(warehouse, people(1))
    query(
        "update messages set send_state = 'accepted', message_sid = %s, sid_source = 'answer', accepted_at = %s, "
        "tracked_on = %s, tracking_closes_at = %s",
        SID,
        AT,
        AT.date(),
        AT + timedelta(days=4),
    )
    return EventStore(warehouse)


def tables(query):
    ledger = query("select * from messages order by message_key")
    events = query("select * from campaign_events order by event_id")
    for event in events:
        del event["recorded_at"], event["source"]
    views = [query("select * from message_status"), query("select * from campaign_performance")]
    return ledger, events, views


def statuses(query):
    return {row["status"]: row for row in query("select * from campaign_events")}


def test_delivered_alone_also_says_enqueued_and_sent(accepted, query):
    seen = observation(SID, "delivered", at=AT, sent_at=AT + timedelta(seconds=2), parts=2)
    accepted.apply([seen])
    events = statuses(query)
    assert set(events) == {"enqueued", "sent", "delivered"}
    assert events["enqueued"]["occurred_at"] == AT
    assert events["sent"]["occurred_at"] == AT + timedelta(seconds=2)
    assert events["delivered"]["occurred_at"] == seen.updated_at
    assert {event["number_of_message_parts"] for event in events.values()} == {2}
    assert events["sent"]["customer_id"] == "c000000"
    assert events["sent"]["action_type"] == "sms"


def test_a_code_gives_the_error_its_name_and_remedy(accepted, query):
    accepted.apply([observation(SID, "undelivered", error_code=30003)])
    event = statuses(query)["failed"]
    assert event["status_code"] == 30003
    assert event["error"] == query("select error from delivery_errors")[0]["error"]
    assert event["comment"].endswith(".")


def test_a_late_code_turns_failed_into_rejected(accepted, query):
    accepted.apply([observation(SID, "undelivered")])
    accepted.apply([observation(SID, "undelivered", error_code=30007)])
    assert query("select status, status_code from messages") == [{"status": "rejected", "status_code": 30007}]


def test_evidence_of_delivery_wins(accepted, query):
    accepted.apply([observation(SID, "undelivered", error_code=30003)])
    accepted.apply([observation(SID, "delivered")])
    assert query("select delivery_state from message_status") == [{"delivery_state": "delivered"}]


def test_an_equal_observation_writes_nothing(accepted):
    seen = observation(SID, "delivered", price=Decimal("0.0079"), price_unit="USD", parts=1)
    first = accepted.apply([seen])
    assert (first.changed, first.events) == (1, 3)
    again = accepted.apply([seen, seen])
    assert (again.changed, again.events) == (0, 0)
    assert again.ours == {SID}


def test_a_price_that_comes_later_touches_no_event(accepted, query, caplog):
    seen = observation(SID, "delivered", sent_at=AT, parts=1)
    accepted.apply([seen])
    before = query("select xmin::text, * from campaign_events order by event_id")
    priced = accepted.apply([observation(SID, "delivered", sent_at=AT, parts=1, price=Decimal("0.0079"))])
    assert (priced.changed, priced.events) == (1, 0)
    assert "do not know" not in caplog.text
    assert query("select xmin::text, * from campaign_events order by event_id") == before


def test_events_that_the_ledger_has_forgotten_are_amended_and_not_doubled(accepted, query):
    accepted.apply([observation(SID, "delivered", at=AT, sent_at=AT + timedelta(seconds=9))])
    query("update messages set provider_status = 'queued', status = 'enqueued', sent_at = null, final_at = null")
    applied = accepted.apply([observation(SID, "delivered", at=AT, sent_at=AT + timedelta(seconds=3))])
    assert (applied.changed, applied.events) == (1, 1)
    assert {status: event["occurred_at"] for status, event in statuses(query).items()} == {
        "enqueued": AT,
        "sent": AT + timedelta(seconds=3),
        "delivered": observation(SID, "delivered", at=AT).updated_at,
    }


def test_repair_brings_deleted_events_back(accepted, query):
    seen = observation(SID, "delivered")
    accepted.apply([seen])
    query("delete from campaign_events where status <> 'sent'")
    assert accepted.apply([seen]).events == 0
    assert accepted.apply([seen], repair=True).events == 2
    assert set(statuses(query)) == {"enqueued", "sent", "delivered"}


@pytest.mark.parametrize(
    "altered",
    [
        "provider_status = 'delivered', status = 'delivered', status_code = null",
        "provider_status = 'queued', status = 'enqueued', status_code = null, final_at = null, sent_at = null",
        "status_code = 30008",
        "status = 'rejected', final_at = now()",
        "price = 99",
        "number_of_message_parts = 7",
    ],
)
def test_repair_trusts_twilio_and_the_events_not_the_row(accepted, query, altered):
    seen = observation(SID, "undelivered", error_code=30003, price=Decimal("0.0079"), price_unit="USD", parts=1)
    accepted.apply([seen])
    before = tables(query)
    query(f"update messages set {altered}")
    assert accepted.apply([seen], repair=True).changed == 1
    assert tables(query) == before


def test_repair_keeps_what_only_an_event_knows(accepted, query):
    """A webhook may have said more than a list says later: evidence of delivery wins, also in a repair."""
    accepted.apply([observation(SID, "delivered", source=Source.WEBHOOK, price=Decimal("0.0079"), price_unit="USD")])
    before = tables(query)
    query("update messages set provider_status = 'sent', status = 'sent', final_at = null")
    accepted.apply([observation(SID, "sent")], repair=True)
    after = tables(query)
    assert after[0] == before[0]
    assert query("select status, price from messages") == [{"status": "delivered", "price": Decimal("0.00790")}]


def test_an_unseen_status_changes_nothing_and_is_logged(accepted, query, caplog):
    accepted.apply([observation(SID, "teleported")])
    assert statuses(query) == {}
    assert "teleported" in caplog.text


def test_other_peoples_messages_cost_no_row(accepted, query):
    applied = accepted.apply([observation(), observation(direction="inbound", status="received")])
    assert (applied.ours, applied.changed, applied.events) == (set(), 0, 0)
    assert query("select * from campaign_events") == []


def test_more_than_one_chunk(accepted):
    foreign = [observation() for _ in range(2500)]
    assert accepted.apply([*foreign, observation(SID, "sent")]).ours == {SID}


@pytest.mark.parametrize(
    ("seen", "settled"),
    [
        ({"status": "sent"}, False),
        ({"status": "delivered", "price": Decimal("0.01")}, True),
        ({"status": "delivered", "at": datetime.now(UTC)}, False),  # waits for its price
        ({"status": "delivered"}, True),  # final for more than 48 h
    ],
)
def test_what_settles_a_message(accepted, query, seen, settled):
    query("update messages set tracking_closes_at = now() + interval '1 day'")
    accepted.apply([observation(SID, **seen)], settle_unpriced_after=timedelta(hours=48))
    assert (query("select settled_at from messages")[0]["settled_at"] is not None) is settled


def test_after_its_window_a_message_is_settled_unreported(accepted, query):
    query("update messages set tracking_closes_at = now()")
    accepted.apply([observation(SID, "sent")], settle_unpriced_after=timedelta(hours=48))
    row = query("select delivery_state, settled_at is not null as settled from message_status")[0]
    assert row == {"delivery_state": "unreported", "settled": True}
    # Nothing is re-opened, but better news are recorded.
    accepted.apply([observation(SID, "delivered")])
    assert query("select delivery_state from message_status")[0]["delivery_state"] == "delivered"


def lives():
    """Observations of one message, as different sources may see them."""
    at = st.integers(0, 600).map(lambda seconds: AT + timedelta(seconds=seconds))
    return st.builds(
        lambda status, updated, code, parts, price, source, sent: observation(
            SID,
            status,
            at=AT,
            updated_at=updated,
            error_code=code if status in {"failed", "undelivered"} else None,
            parts=parts,
            price=price,
            price_unit="USD" if price else None,
            source=source,
            sent_at=sent if status in {"sent", "delivered", "undelivered"} else None,
        ),
        st.sampled_from(["queued", "sending", "sent", "delivered", "undelivered", "failed", "read", "odd", "canceled"]),
        at,
        st.sampled_from([None, 30003, 30007, 30008]),
        st.sampled_from([None, 1, 2]),
        st.sampled_from([None, Decimal("0.01000")]),
        st.sampled_from([Source.LIST, Source.FETCH, Source.WEBHOOK]),
        st.sampled_from([None, AT + timedelta(seconds=1), AT + timedelta(seconds=2)]),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lives(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(accepted, query, seen, random):
    clean = """
        update messages set provider_status = null, status = null, status_code = null, sent_at = null,
        number_of_message_parts = null, final_at = null, price = null, price_unit = null, from_number = null
    """
    results = []
    orders = [seen, list(reversed(seen)), random.sample([*seen, *seen], 2 * len(seen))]
    for order in orders:
        query("delete from campaign_events")
        query(clean)
        for chunk in itertools.batched(order, 2) if hasattr(itertools, "batched") else [[o] for o in order]:
            accepted.apply(chunk)
        results.append(tables(query))
    query("delete from campaign_events")
    query(clean)
    accepted.apply(seen)
    results.append(tables(query))
    assert all(result == results[0] for result in results)


def test_locks_are_taken_in_one_order(accepted, warehouse, query):
    """Many writers at once over the same messages: no deadlock, one result."""
    from concurrent.futures import ThreadPoolExecutor

    freeze(warehouse, people(60, first=100), as_run=__import__("builders").run("many"))
    keys = [row["message_key"] for row in query("select message_key from messages where message_sid is null")]
    sids = []
    for key in keys:
        sid = "SM" + uuid4().hex
        sids.append(sid)
        query(
            "update messages set send_state = 'accepted', message_sid = %s, sid_source = 'answer', "
            "accepted_at = %s, tracked_on = %s, tracking_closes_at = %s where message_key = %s",
            sid,
            AT,
            AT.date(),
            AT + timedelta(days=4),
            key,
        )
    seen = [observation(sid, status, at=AT) for sid in sids for status in ("sent", "delivered")]

    def write(seed):
        """What passes of two days do whose lists overlap: some rows have news, others only settle."""
        import random

        order = random.Random(seed).sample(seen, len(seen))
        EventStore(warehouse).apply(order[: len(order) // 2], settle_unpriced_after=timedelta(hours=48))
        EventStore(warehouse).apply(order, settle_unpriced_after=timedelta(0))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(8)))
    assert query("select count(*) as n from campaign_events")[0]["n"] == 3 * len(sids)
