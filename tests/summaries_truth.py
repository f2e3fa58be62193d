"""What the summaries have to say, counted one message at a time in Python: another way than the one that makes them."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import floor, log

TABLES = {
    "summary_counts": ("country", "price_unit"),
    "summary_reasons": ("country", "status", "status_code", "reason"),
    "summary_timeline": ("starts_at", "status", "country"),
    "summary_delays": ("country", "bucket"),
    "summary_responses": ("country",),
    "summary_batches": ("batch_no",),
    "summary_days": ("tracked_on",),
}
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def kept(query):
    """What the summaries say: by table, run and key."""
    found = {}
    for table, key in TABLES.items():
        for row in query(f"select * from {table}"):
            where = (table, row.pop("run_key"), *(row.pop(name) for name in key))
            found[where] = row
    return found


def truth(query):
    """What the messages, events and clicks say."""
    messages = {row["message_key"]: row for row in query(STATES)}
    events = query("select * from campaign_events")
    clicked = {row["message_key"] for row in events if row["status"] == "clicked"}
    created = {row["run_key"]: row["created_at"] for row in query("select run_key, created_at from campaign_runs")}
    found = defaultdict(Counter)
    for row in messages.values():
        errors = [event["error"] for event in events if event["message_key"] == row["message_key"]]
        _count(found, row, row["message_key"] in clicked, created[row["run_key"]], errors)
    for event in events:
        _respond(found, event, created[event["run_key"]], query)
    said = {}
    for where, figures in found.items():
        said[where] = {name: _plain(figures.get(name)) for name in _columns(query, where[0])}
    for row in messages.values():
        if row["batch_no"] is not None:
            moments = [m["claimed_at"] for m in messages.values() if _batch(m) == _batch(row) and m["claimed_at"]]
            batch = said["summary_batches", *_batch(row)]
            batch["first_claimed_at"], batch["last_claimed_at"] = min(moments, default=None), max(moments, default=None)
    return said


STATES = """
select m.*, s.delivery_state from messages as m join message_status as s on s.message_key = m.message_key
"""


def _count(found, row, is_clicked, created, errors):
    run, country, state, delivery = row["run_key"], row["country"] or "", row["send_state"], row["delivery_state"]
    is_open = state == "accepted" and delivery in {"pending", "sent"}
    facts = {
        "audience": True,
        "excluded": state == "skipped",
        "planned": state != "skipped",
        "too_late": state == "too_late",
        "held_out": state == "held_out",
        "waiting": state in {"planned", "claimed"},
        "unknown": state == "unknown",
        "undecided": state == "unknown" and row["undecided_at"] is not None,
        "enqueued": state == "accepted",
        "enqueue_failed": state == "enqueue_failed",
        "sent": row["sent_at"] is not None,
        "delivered": delivery == "delivered",
        "failed": delivery == "failed",
        "rejected": delivery == "rejected",
        "unreported": delivery == "unreported",
        "open": is_open,
        "settled": row["settled_at"] is not None,
        "clicked": is_clicked,
        "arrived": is_clicked or delivery == "delivered",
        "priced": row["price"] is not None,
        "parts": row["number_of_message_parts"] or 0,
        "price": row["price"] or Decimal(0),
    }
    found["summary_counts", run, country, row["price_unit"] or ""].update(facts)
    if row["batch_no"] is not None:
        of_batch = {state: 1, "undecided": facts["undecided"], "open": is_open}
        if state == "accepted" and delivery != "pending":
            of_batch[delivery] = 1
        found["summary_batches", *_batch(row)].update(of_batch)
    if state == "accepted":
        found["summary_days", run, row["tracked_on"]].update({"messages": 1, "open": row["settled_at"] is None})
    if state == "skipped":
        found["summary_reasons", run, country, "skipped", 0, row["skip_reason"]]["messages"] += 1
    elif row["status"] in {"enqueue_failed", "failed", "rejected"}:
        code = row["status_code"] or 0
        error = next(filter(None, errors), "") if not code and row["status"] == "enqueue_failed" else ""
        found["summary_reasons", run, country, row["status"], code, error]["messages"] += 1
    moments = [("enqueued", row["accepted_at"]), ("sent", row["sent_at"])]
    if row["status"] in {"enqueue_failed", "delivered", "failed", "rejected"}:
        moments.append((row["status"], row["final_at"]))
    for status, at in moments:
        if at is not None:
            found["summary_timeline", run, _step(at, created), status, country]["messages"] += 1
    if row["status"] == "delivered":
        seconds = (row["final_at"] - row["accepted_at"]).total_seconds()
        bucket = 0 if seconds < 1 else floor(log(seconds) / log(1.1)) + 1
        found["summary_delays", run, country, bucket]["messages"] += 1


def _respond(found, event, created, query):
    if event["status"] not in {"clicked", "incoming_message"}:
        return
    run, country = event["run_key"], event["country"] or ""
    found["summary_timeline", run, _step(event["occurred_at"], created), event["status"], country]["messages"] += 1
    responses = found["summary_responses", run, country]
    if event["status"] == "clicked":
        clicks = query(
            "select count(*) as n from link_clicks where event_id = %s and not is_bot and message_key = %s",
            event["event_id"],
            event["message_key"],
        )
        responses["clicks"] += clicks[0]["n"]
    else:
        responses["replies"] += 1
        responses["opt_outs"] += (event["comment"] or "").startswith("The person opted out")


def _step(at, created):
    width = timedelta(minutes=5) if at < created + timedelta(days=1) else timedelta(hours=1)
    return EPOCH + (at - EPOCH) // width * width


def _batch(row):
    return row["run_key"], row["batch_no"]


_known = {}


def _columns(query, table):
    if table not in _known:
        rows = query(
            "select column_name from information_schema.columns where table_schema = 'messaging' and table_name = %s",
            table,
        )
        _known[table] = [row["column_name"] for row in rows if row["column_name"] not in ("run_key", *TABLES[table])]
    return _known[table]


def _plain(value):
    return 0 if value is None else value
