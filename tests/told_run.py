"""A run of which everything can be said, for tests of what people see."""

from datetime import UTC, datetime, timedelta

from builders import freeze, people
from twilio_campaigns.domain.message import Observation
from twilio_campaigns.domain.status import Source
from twilio_campaigns.warehouse.applying import EventStore

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
ENDS = [("delivered", None)] * 6 + [("undelivered", 30003), ("failed", 30007), ("sent", None), ("queued", None)]


def tell_run(warehouse, query, at=AT):
    """Make a run of twelve: ten accepted with an end each, one refused, one left out; give its key."""
    freeze(warehouse, people(12))
    (run,) = query("select run_key from campaign_runs")
    keys = [row["message_key"] for row in query("select message_key from messages order by to_number")]
    query("update messages set send_state = 'skipped', skip_reason = 'suppressed' where message_key = %s", keys[11])
    query(
        "update messages set send_state = 'enqueue_failed', status = 'enqueue_failed', status_code = 21211, "
        "claimed_at = %s where message_key = %s",
        at,
        keys[10],
    )
    for number, key in enumerate(keys[:10]):
        query(
            "update messages set send_state = 'accepted', message_sid = %s, accepted_at = %s, claimed_at = %s, "
            "tracked_on = %s, tracking_closes_at = now() + interval '1 day', provider_status = 'queued', "
            "status = 'enqueued' where message_key = %s",
            f"SM{number:032x}",
            at,
            at,
            at.date(),
            key,
        )
    EventStore(warehouse).apply(
        Observation(
            sid=f"SM{number:032x}",
            provider_status=word,
            direction="outbound-api",
            created_at=at,
            updated_at=at + timedelta(seconds=9),
            sent_at=at + timedelta(seconds=2) if word not in {"queued", "failed"} else None,
            error_code=code,
            source=Source.LIST,
        )
        for number, (word, code) in enumerate(ENDS)
    )
    return run["run_key"]
