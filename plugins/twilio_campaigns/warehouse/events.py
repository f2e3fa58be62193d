"""Events are facts, the ledger is state; both change here, in one transaction, whatever the source."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.chunks import chunks
from twilio_campaigns.domain.errors import error_entry
from twilio_campaigns.domain.ledger import EventDraft, Known, event_drafts, merge, tells_nothing_new
from twilio_campaigns.domain.status import Status
from twilio_campaigns.warehouse.connection import recordset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta
    from uuid import UUID

    from twilio_campaigns.domain.errors import ErrorEntry
    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.warehouse.connection import Connection, Warehouse

log = logging.getLogger(__name__)

#: Observations per transaction, so that no lock is held for long.
CHUNK: Final = 1000

_KNOWN_COLUMNS: Final = tuple(f.name for f in fields(Known))

_READ: Final = """
select message_key, message_sid, provider_status, status, status_code, number_of_message_parts, sent_at,
       final_at, price, price_unit, from_number
from messages
where message_sid = any(%s)
"""

# One order of locks everywhere: messages by key, then events by id.
_LOCK: Final = f"{_READ} order by message_key for update"

_UPDATE: Final = """
update messages as m
set provider_status = o.provider_status,
    status = o.status,
    status_code = o.status_code,
    number_of_message_parts = o.number_of_message_parts,
    sent_at = o.sent_at,
    final_at = o.final_at,
    price = o.price,
    price_unit = o.price_unit,
    from_number = o.from_number
from json_to_recordset(%s) as o(
    message_key uuid, provider_status text, status text, status_code int, number_of_message_parts smallint,
    sent_at timestamptz, final_at timestamptz, price numeric, price_unit text, from_number text
)
where m.message_key = o.message_key
"""

_WRITE: Final = """
insert into campaign_events as e (
    event_id, event_name, action_type, status, number_of_message_parts, status_code, error, comment, occurred_at,
    campaign_id, run_key, message_key, message_sid, customer_id, to_number, country, tracked_on,
    provider_status, source
)
select o.event_id, coalesce(r.spec ->> 'event_name', 'campaign'), m.channel, o.status,
       m.number_of_message_parts, o.status_code, o.error, o.comment, o.occurred_at,
       m.campaign_id, m.run_key, m.message_key, m.message_sid, m.customer_id, m.to_number, m.country,
       m.tracked_on, o.provider_status, o.source
from json_to_recordset(%s) as o(
    event_id uuid, message_key uuid, status text, occurred_at timestamptz, source text, status_code int,
    provider_status text, error text, comment text
)
join messages as m on m.message_key = o.message_key
join campaign_runs as r on r.run_key = m.run_key
order by o.event_id
on conflict (event_id) do update
set occurred_at = least(e.occurred_at, excluded.occurred_at),
    status_code = least(e.status_code, excluded.status_code),
    number_of_message_parts = greatest(e.number_of_message_parts, excluded.number_of_message_parts),
    provider_status = least(e.provider_status, excluded.provider_status),
    error = case when excluded.status_code = least(e.status_code, excluded.status_code)
                 then excluded.error else e.error end,
    comment = case when excluded.status_code = least(e.status_code, excluded.status_code)
                   then excluded.comment else e.comment end
where (e.occurred_at, e.status_code, e.number_of_message_parts, e.provider_status)
      is distinct from
      (least(e.occurred_at, excluded.occurred_at), least(e.status_code, excluded.status_code),
       greatest(e.number_of_message_parts, excluded.number_of_message_parts),
       least(e.provider_status, excluded.provider_status))
"""

# Parts become known after the first events were written; under the row's lock nobody else touches its events.
_SPREAD_PARTS: Final = """
update campaign_events as e
set number_of_message_parts = m.number_of_message_parts
from messages as m
where m.message_key = any(%s) and e.message_key = m.message_key
  and e.number_of_message_parts is distinct from m.number_of_message_parts
"""

_MAY_SETTLE: Final = """
settled_at is null
  and (
      (status in ('delivered', 'failed', 'rejected')
       and (price is not null or final_at <= now() - %(unpriced_after)s::interval))
      or tracking_closes_at <= now()
  )
"""

# All rows of a chunk that will be written, in the one order: those with news, and those that only settle.
_LOCK_CHUNK: Final = f"""
select message_key from messages
where message_sid = any(%(sids)s) and (message_sid = any(%(news)s) or {_MAY_SETTLE})
order by message_key
for update
"""  # noqa: S608 - built of constants

_SETTLE: Final = f"""
update messages
set settled_at = now()
where message_key = any(%(keys)s) and {_MAY_SETTLE}
"""  # noqa: S608 - the same


@dataclass(slots=True)
class Applied:
    """What applying observations did.

    :param ours: SIDs among the observations that the ledger knows.
    :param changed: ledger rows changed.
    :param events: events written or amended.
    :param settled: rows that need no further read.
    """

    ours: set[str] = field(default_factory=set)
    changed: int = 0
    events: int = 0
    settled: int = 0

    def add(self, other: Applied) -> None:
        """Add up the figures of another chunk."""
        self.ours |= other.ours
        self.changed += other.changed
        self.events += other.events
        self.settled += other.settled


class EventStore:
    """The one way in which anything that Twilio says becomes rows.

    :param warehouse: where ledger and events are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def apply(
        self,
        observations: Iterable[Observation],
        *,
        repair: bool = False,
        settle_unpriced_after: timedelta | None = None,
    ) -> Applied:
        """Apply observations in any order, any number of times, with the same result.

        :param observations: of outbound messages; those of other people's messages cost nothing but a look-up.
        :param repair: write the events of every message again even where the ledger says nothing is new, so
            that events that went missing come back.
        :param settle_unpriced_after: given when these observations count as a read: rows that are final and
            priced, final for this long, or past their window are settled in the same transaction.
        """
        total = Applied()
        for chunk in chunks(observations, CHUNK):
            with self._warehouse.transaction() as connection:
                total.add(self._apply_chunk(connection, chunk, repair=repair, settle=settle_unpriced_after))
        return total

    def settle_unseen(self, sids: Sequence[str], settle_unpriced_after: timedelta) -> int:
        """Settle messages that were asked for and that Twilio does not know; give how many."""
        settled = 0
        for chunk in chunks(sids, CHUNK):
            with self._warehouse.transaction() as connection:
                keys = _lock_chunk(connection, chunk, [], settle_unpriced_after)
                settled += _settle(connection, keys, settle_unpriced_after)
        return settled

    @staticmethod
    def _apply_chunk(
        connection: Connection,
        chunk: Sequence[Observation],
        *,
        repair: bool,
        settle: timedelta | None,
    ) -> Applied:
        outbound = [observation for observation in chunk if not observation.is_inbound]
        rows = _by_sid(connection, _READ, [observation.sid for observation in outbound])
        ours = [observation for observation in outbound if observation.sid in rows]
        news = [o for o in ours if repair or not tells_nothing_new(_known(rows[o.sid]), o)]
        keys = _lock_chunk(connection, list(rows), [o.sid for o in news], settle) if settle is not None else []
        applied = apply_locked(connection, news) if news else Applied()
        applied.ours = set(rows)
        if settle is not None and keys:
            applied.settled = _settle(connection, keys, settle)
        return applied


def apply_locked(connection: Connection, observations: Sequence[Observation]) -> Applied:
    """Lock the rows of these observations, merge, and write what changed; inside the caller's transaction."""
    rows = _by_sid(connection, _LOCK, [observation.sid for observation in observations])
    before = {sid: _known(row) for sid, row in rows.items()}
    after = dict(before)
    drafts: dict[UUID, EventDraft] = {}
    for observation in observations:
        if observation.sid not in after:
            continue
        after[observation.sid] = merge(after[observation.sid], observation)
        for draft in drafts_of(rows[observation.sid]["message_key"], observation):
            known = drafts.get(draft.event_id)
            drafts[draft.event_id] = known.merged(draft) if known else draft
    changed = [sid for sid in after if after[sid] != before[sid]]
    if changed:
        connection.execute(
            _UPDATE,
            (recordset({"message_key": rows[sid]["message_key"], **columns_of(after[sid])} for sid in changed),),
        )
    written = write_events(connection, list(drafts.values()))
    recounted = [
        rows[sid]["message_key"]
        for sid in changed
        if after[sid].number_of_message_parts != before[sid].number_of_message_parts
    ]
    if recounted:
        written += connection.execute(_SPREAD_PARTS, (recounted,)).rowcount
    return Applied(ours=set(rows), changed=len(changed), events=written)


def write_events(connection: Connection, drafts: Sequence[EventDraft], entry: ErrorEntry | None = None) -> int:
    """Insert or amend events of messages that are in the ledger; inside the caller's transaction.

    :param entry: what to say as error and comment where Twilio gave no code of its own.
    :return: how many were inserted or amended.
    """
    if not drafts:
        return 0
    return connection.execute(_WRITE, (recordset(_event_row(draft, entry) for draft in drafts),)).rowcount


def drafts_of(key: UUID, observation: Observation) -> list[EventDraft]:
    """Give the events that one observation proves; log a status that we have never seen, which proves nothing."""
    drafts = event_drafts(key, observation)
    if not drafts:
        log.warning(
            "Message %s has a status that we do not know: %s",
            observation.sid,
            observation.provider_status,
        )
    return drafts


def columns_of(known: Known) -> dict[str, Any]:
    """Give what is known of a message, by column."""
    return {name: getattr(known, name) for name in _KNOWN_COLUMNS}


def _event_row(draft: EventDraft, entry: ErrorEntry | None) -> dict[str, Any]:
    found = error_entry(draft.status_code) or entry
    return {
        "event_id": draft.event_id,
        "message_key": draft.message_key,
        "status": draft.status,
        "occurred_at": draft.occurred_at,
        "source": draft.source,
        "status_code": draft.status_code,
        "provider_status": draft.provider_status,
        "error": found.name if found else None,
        "comment": found.comment if found else None,
    }


def _lock_chunk(connection: Connection, sids: Sequence[str], news: list[str], unpriced_after: timedelta) -> list[UUID]:
    parameters = {"sids": list(sids), "news": news, "unpriced_after": unpriced_after}
    return [row["message_key"] for row in connection.execute(_LOCK_CHUNK, parameters)]


def _settle(connection: Connection, keys: list[UUID], unpriced_after: timedelta) -> int:
    return connection.execute(_SETTLE, {"keys": keys, "unpriced_after": unpriced_after}).rowcount


def _by_sid(connection: Connection, query: str, sids: list[str]) -> dict[str, dict[str, Any]]:
    return {row["message_sid"]: row for row in connection.execute(query, (sids,))}


def _known(row: Mapping[str, Any]) -> Known:
    values = {name: row[name] for name in _KNOWN_COLUMNS}
    if values["status"] is not None:
        values["status"] = Status(values["status"])
    return Known(**values)
