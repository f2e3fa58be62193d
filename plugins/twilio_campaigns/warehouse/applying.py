"""What Twilio says of accepted messages becomes rows: ledger and events in one transaction, whatever the source."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID

from msgspec import Struct
from msgspec.structs import astuple
from psycopg.rows import tuple_row

from twilio_campaigns.domain.chunks import chunks
from twilio_campaigns.domain.ledger import (
    EventDraft,
    Known,
    facts,
    filled_from,
    known_from_events,
    merge,
    merged_drafts,
    reached_rank,
    tells_nothing_new,
)
from twilio_campaigns.domain.status import Status
from twilio_campaigns.warehouse.connection import scalar_of
from twilio_campaigns.warehouse.dating import date_by_twilio
from twilio_campaigns.warehouse.events import CHUNK, KNOWN_COLUMNS, KNOWN_TYPES, drafts_of, write_events
from twilio_campaigns.warehouse.marking import marking
from twilio_campaigns.warehouse.parameters import Columns, array_of
from twilio_campaigns.warehouse.suppressions import suppress_failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.warehouse.connection import Connection, Warehouse

_MAY_SETTLE: Final = """
settled_at is null
  and (
      (status in ('delivered', 'failed', 'rejected')
       and (price is not null or final_at <= now() - %(unpriced_after)s::interval))
      or tracking_closes_at <= now()
  )
"""

# `xmin` is the version of a row: whoever sees the same one under a lock need not read the row again.
_READ: Final = f"""
select message_sid, uuid_send(message_key), xmin::text, accepted_at, ({_MAY_SETTLE}), {", ".join(KNOWN_COLUMNS)}
from messages
where message_sid = any(%(sids)s::text[])
"""  # noqa: S608 - built of constants

# One order of locks everywhere: messages by key, then events by message and id.
_READ_LOCKED: Final = f"{_READ} order by message_key for update"

_LOCK: Final = """
select message_sid, xmin::text from messages where message_key = any(%(keys)s::uuid[]) order by message_key for update
"""

_ROWS: Final = Columns("o", message_key="uuid", **KNOWN_TYPES)

# A row that is final and priced with this very change is settled by it: one version of the row instead of two. The keys
# stand there twice, so that the rows are found by index even where the planner thinks the table small.
_UPDATE: Final = marking(
    f"""
update messages as m
set {", ".join(f"{name} = o.{name}" for name in KNOWN_COLUMNS)},
    settled_at = case
        when m.settled_at is null
             and (o.status in ('delivered', 'failed', 'rejected')
                  and (o.price is not null or o.final_at <= now() - %(unpriced_after)s::interval)
                  or m.tracking_closes_at <= now())
             and %(unpriced_after)s::interval is not null
        then now() else m.settled_at end
from {_ROWS}
where m.message_key = o.message_key and m.message_key = any({_ROWS.array("message_key")})
returning m.run_key, m.settled_at = now() as is_settled
""",  # noqa: S608 - built of constants
    gives="count(*) filter (where is_settled)",
)

# Parts become known after the first events were written. Clicks and replies are written without the message's lock: the
# order is that of all who lock events.
_SPREAD_PARTS: Final = """
with unlike as (
    select e.message_key, e.event_id, m.number_of_message_parts
    from messages as m
    join campaign_events as e on e.message_key = m.message_key
    where m.message_key = any(%(keys)s) and e.status <> 'incoming_message'
      and e.number_of_message_parts is distinct from m.number_of_message_parts
    order by e.message_key, e.event_id
    for update of e
)
update campaign_events as e
set number_of_message_parts = u.number_of_message_parts
from unlike as u
where e.message_key = u.message_key and e.event_id = u.event_id and e.message_key = any(%(keys)s)
"""

_SETTLE: Final = marking(
    f"""
update messages
set settled_at = now()
where message_key = any(%(keys)s) and {_MAY_SETTLE}
returning run_key
""",  # noqa: S608 - the same
    gives="count(*)",
)

_STATUSES: Final = {str(status): status for status in Status}

_EVENTS: Final = """
select uuid_send(message_key) as message_key, status, occurred_at, source, status_code, provider_status
from campaign_events
where message_key = any(%s) and status not in ('clicked', 'incoming_message')
"""


@dataclass(slots=True)
class Applied:
    """What applying observations did.

    :param ours: SIDs among the observations that the ledger knows.
    :param changed: ledger rows changed.
    :param events: events written or amended.
    :param settled: rows that need no further read.
    :param news: how many messages are known to have reached which status by now.
    """

    ours: set[str] = field(default_factory=set)
    changed: int = 0
    events: int = 0
    settled: int = 0
    news: Counter[str] = field(default_factory=Counter)

    def add(self, other: Applied) -> None:
        """Add up the figures of another chunk."""
        self.ours |= other.ours
        self.changed += other.changed
        self.events += other.events
        self.settled += other.settled
        self.news += other.news


class EventStore:
    """The one way in which anything that Twilio says becomes rows.

    :param warehouse: where ledger and events are.
    :param expects_news: whether most of the first observations will be news, as callbacks are. Then rows are locked at
        once; else looked at first, since most of what is read says nothing new. Later on the last ones tell.
    """

    def __init__(self, warehouse: Warehouse, *, expects_news: bool = False) -> None:
        self._warehouse = warehouse
        self._expects_news = expects_news

    def apply(
        self,
        observations: Iterable[Observation],
        *,
        repair: bool = False,
        settle_unpriced_after: timedelta | None = None,
    ) -> Applied:
        """Apply observations in any order, any number of times, with the same result.

        :param observations: of outbound messages; those of other people's messages cost nothing but a look-up.
        :param repair: trust neither the ledger's row nor that its events are there: what the row should say follows
            anew from the events and the observation, and every event that the observation proves is written again.
        :param settle_unpriced_after: given when these observations count as a read: rows that are final and
            priced, final for this long, or past their window are settled in the same transaction.
        """
        total = Applied()
        for chunk in chunks(observations, CHUNK):
            outbound = [observation for observation in chunk if not observation.is_inbound]
            with self._warehouse.transaction() as connection:
                applied = _apply_chunk(
                    connection, outbound, repair=repair, settle=settle_unpriced_after, lock=self._expects_news
                )
            self._expects_news = 2 * applied.changed > len(outbound)
            total.add(applied)
        return total

    def settle_unseen(self, sids: Sequence[str], settle_unpriced_after: timedelta) -> int:
        """Settle messages that were asked for and that Twilio does not know; give how many."""
        settled = 0
        for chunk in chunks(sids, CHUNK):
            with self._warehouse.transaction() as connection:
                rows = _locked(connection, _read(connection, chunk, settle_unpriced_after), settle_unpriced_after)
                settled += _settle(connection, rows.values(), settle_unpriced_after)
        return settled


class _Row(Struct, frozen=True, gc=False):
    """A row of the ledger as it was read.

    :param key: the sixteen bytes of a UUID.
    :param version: changes with every update.
    :param may_settle: nothing more is expected of it.
    """

    key: bytes
    version: str
    accepted_at: datetime
    may_settle: bool
    known: Known


def _apply_chunk(
    connection: Connection, observations: Sequence[Observation], *, repair: bool, settle: timedelta | None, lock: bool
) -> Applied:
    """Write what one chunk brings.

    :param lock: lock every row at once; else only those for which there is news, after a look at all of them.
    """
    rows = _read(connection, [observation.sid for observation in observations], settle, lock=lock)
    ours = [observation for observation in observations if observation.sid in rows]
    news = [o for o in ours if repair or not tells_nothing_new(rows[o.sid].known, o)]
    ends = [sid for sid, row in rows.items() if row.may_settle] if settle is not None else []
    # Only a row whose answer was lost, and that a callback made known, has another date than Twilio's.
    misdated = {UUID(bytes=rows[o.sid].key): o for o in ours if o.created_at < rows[o.sid].accepted_at}
    if not news and not ends and not misdated:
        return Applied(ours=set(rows))
    locked = rows
    if not lock:
        touched = {*ends, *(observation.sid for observation in (*news, *misdated.values()))}
        locked = _locked(connection, {sid: rows[sid] for sid in touched}, settle)
    applied = _write_news(connection, locked, news, repair=repair, settle=settle)
    applied.ours = set(rows)
    applied.settled += _settle(connection, locked.values(), settle)
    applied.events += date_by_twilio(connection, misdated)
    suppress_failed(connection, news)  # the last locks of the transaction
    return applied


def _write_news(
    connection: Connection,
    rows: Mapping[str, _Row],
    observations: Iterable[Observation],
    *,
    repair: bool,
    settle: timedelta | None,
) -> Applied:
    """Merge into locked rows, and write what changed."""
    told: defaultdict[str, list[Observation]] = defaultdict(list)
    for observation in observations:
        told[observation.sid].append(observation)
    recorded = _from_events(connection, rows) if repair else {}
    changed: dict[str, Known] = {}
    drafts: list[EventDraft] = []
    are_new = not repair
    for sid, row in rows.items():
        known = recorded[sid] if repair else row.known
        found: list[EventDraft] = []
        for observation in told.get(sid, ()):
            proven = facts(observation)
            found += drafts_of(row.key, observation, proven, None if repair else row.known, row.accepted_at)
            known = merge(known, observation, proven)
        if found:
            if len(told[sid]) > 1:
                found = merged_drafts(found)
            # They come by rank.
            are_new = are_new and found[0].status.rank > reached_rank(row.known)
            drafts += found
        if repair:
            known = filled_from(known, row.known)
        if known != row.known:
            changed[sid] = known
    settled = 0
    if changed:
        values = _ROWS.values((rows[sid].key, *astuple(known)) for sid, known in changed.items())
        updated = connection.execute(cast("Any", _UPDATE), {**values, "unpriced_after": settle})
        settled = scalar_of(updated.fetchone())
    written = write_events(connection, drafts, are_new=are_new)
    recounted = [
        rows[sid].key
        for sid, known in changed.items()
        if known.number_of_message_parts != rows[sid].known.number_of_message_parts
    ]
    if recounted:
        written += connection.execute(_SPREAD_PARTS, {"keys": array_of(recounted, "uuid")}).rowcount
    news = Counter(known.status for sid, known in changed.items() if known.status is not rows[sid].known.status)
    return Applied(
        changed=len(changed),
        events=written,
        settled=settled,
        news=Counter({str(status): count for status, count in news.items()}),
    )


def _from_events(connection: Connection, rows: Mapping[str, _Row]) -> dict[str, Known]:
    """Give what the events of these rows prove, whatever the rows say."""
    events: defaultdict[bytes, list[EventDraft]] = defaultdict(list)
    keys = array_of([row.key for row in rows.values()], "uuid")
    for row in connection.execute(_EVENTS, (keys,)):
        events[row["message_key"]].append(EventDraft(**{**row, "status": Status(row["status"])}))
    return {sid: known_from_events(events[row.key]) for sid, row in rows.items()}


def _read(
    connection: Connection, sids: Sequence[str], unpriced_after: timedelta | None, *, lock: bool = False
) -> dict[str, _Row]:
    if not sids:
        return {}
    cursor = connection.cursor(row_factory=tuple_row, binary=True)
    cursor.execute(_READ_LOCKED if lock else _READ, {"sids": array_of(sids), "unpriced_after": unpriced_after})
    return {
        sid: _Row(key, version, accepted_at, may_settle, Known(word, _STATUSES.get(status), *others))
        for sid, key, version, accepted_at, may_settle, word, status, *others in cursor.fetchall()
    }


def _locked(connection: Connection, rows: Mapping[str, _Row], unpriced_after: timedelta | None) -> dict[str, _Row]:
    """Lock rows, and read those again that somebody changed since they were read."""
    cursor = connection.cursor(row_factory=tuple_row)
    keys = array_of([row.key for row in rows.values()], "uuid")
    versions: dict[str, str] = dict(cursor.execute(_LOCK, {"keys": keys}).fetchall()) if rows else {}
    changed = [sid for sid, version in versions.items() if version != rows[sid].version]
    return {**{sid: rows[sid] for sid in versions}, **_read(connection, changed, unpriced_after)}


def _settle(connection: Connection, rows: Iterable[_Row], unpriced_after: timedelta | None) -> int:
    keys = [row.key for row in rows if row.may_settle]
    if not keys or unpriced_after is None:
        return 0
    found = connection.execute(cast("Any", _SETTLE), {"keys": array_of(keys, "uuid"), "unpriced_after": unpriced_after})
    return cast("int", scalar_of(found.fetchone()))
