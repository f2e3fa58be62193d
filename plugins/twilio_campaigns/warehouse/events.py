"""Events are facts: written once, amended towards earlier and fuller, never deleted."""

from __future__ import annotations

import logging
from contextlib import suppress
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec.structs import astuple
from psycopg.errors import UniqueViolation

from twilio_campaigns.domain.errors import error_entry
from twilio_campaigns.domain.ledger import EventDraft, Known, event_drafts, facts
from twilio_campaigns.domain.message import event_ids
from twilio_campaigns.warehouse.parameters import Columns, array_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from datetime import datetime

    from twilio_campaigns.domain.errors import ErrorEntry
    from twilio_campaigns.domain.message import Fact, Observation
    from twilio_campaigns.warehouse.connection import Connection

log = logging.getLogger(__name__)

#: Observations per transaction, so that no lock is held for long: two of Twilio's longest pages, which a pass applies
#: together (`PAGES_AT_ONCE`).
CHUNK: Final = 2000

#: What the ledger knows of an accepted message, by column; the order of every statement that reads or writes it.
KNOWN_COLUMNS: Final = Known.__struct_fields__
#: PostgreSQL's types of the same.
KNOWN_TYPES: Final = {
    "provider_status": "text",
    "status": "text",
    "status_code": "int",
    "number_of_message_parts": "smallint",
    "sent_at": "timestamptz",
    "final_at": "timestamptz",
    "price": "numeric",
    "price_unit": "text",
    "from_number": "text",
}

_DRAFTS: Final = Columns(
    "o",
    event_id="uuid",
    message_key="uuid",
    status="text",
    occurred_at="timestamptz",
    source="text",
    status_code="int",
    provider_status="text",
)
_ERRORS: Final = Columns("c", code="int", error="text", comment="text")

# Rows of the ledger are found by index, even where the planner thinks the table small, and each run is asked once.
_INSERT: Final = f"""
insert into campaign_events as e (
    event_id, event_name, action_type, status, number_of_message_parts, status_code, error, comment, occurred_at,
    campaign_id, run_key, message_key, message_sid, customer_id, to_number, country, tracked_on,
    provider_status, source
)
select o.event_id, m.event_name, m.channel, o.status,
       m.number_of_message_parts, o.status_code, c.error, c.comment, o.occurred_at,
       m.campaign_id, m.run_key, m.message_key, m.message_sid, m.customer_id, m.to_number, m.country,
       m.tracked_on, o.provider_status, o.source
from {_DRAFTS}
left join {_ERRORS} on c.code = coalesce(o.status_code, 0)
join (
    select m.message_key, m.run_key, m.campaign_id, m.channel, m.number_of_message_parts, m.message_sid, m.customer_id,
           m.to_number, m.country, m.tracked_on, r.event_name
    from messages as m
    join lateral (select coalesce(spec ->> 'event_name', 'campaign') as event_name
                  from campaign_runs where run_key = m.run_key offset 0) as r on true
    where m.message_key = any(%(keys)s::uuid[]) offset 0
) as m on m.message_key = o.message_key
"""  # noqa: S608 - built of constants

_WRITE: Final = f"""
{_INSERT}
order by o.message_key, o.event_id
on conflict (message_key, event_id) do update
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


def write_events(
    connection: Connection, drafts: Collection[EventDraft], entry: ErrorEntry | None = None, *, are_new: bool = False
) -> int:
    """Insert or amend events of messages that are in the ledger; inside the caller's transaction.

    :param entry: what to say as error and comment where Twilio gave no code of its own.
    :param are_new: whether the ledger knows of none of them. Then they are inserted without asking whether they are
        there, in three quarters of the time; should one be there all the same, this costs some time and no more.
    :return: how many were inserted or amended.
    """
    if not drafts:
        return 0
    # In the index's order, a page of which then takes several.
    ordered = sorted(drafts, key=attrgetter("message_key"))
    keys, statuses, *others = zip(*map(astuple, ordered), strict=True)
    values = {
        **_DRAFTS.values_of((event_ids(keys, statuses), keys, statuses, *others)),
        **_ERRORS.values(_errors(ordered, entry)),
        "keys": array_of(list(dict.fromkeys(keys)), "uuid"),
    }
    if are_new:
        with suppress(UniqueViolation), connection.transaction():
            return connection.execute(cast("Any", _INSERT), values).rowcount
    return connection.execute(cast("Any", _WRITE), values).rowcount


def drafts_of(
    key: bytes,
    observation: Observation,
    proven: tuple[Fact, ...] | None = None,
    known: Known | None = None,
    enqueued_at: datetime | None = None,
) -> list[EventDraft]:
    """Give the events that one observation proves; log a status that we have never seen, which proves nothing.

    :param known: as for :func:`~twilio_campaigns.domain.ledger.event_drafts`, and so are the others.
    """
    proven = facts(observation) if proven is None else proven
    if not proven:
        log.warning(
            "Message %s has a status that we do not know: %s",
            observation.sid,
            observation.provider_status,
        )
    return event_drafts(key, observation, proven, known, enqueued_at)


def _errors(drafts: Iterable[EventDraft], entry: ErrorEntry | None) -> Iterator[tuple[int, str, str]]:
    """Give name and explanation of each code among these events, 0 for none; there are few codes and many events."""
    for code in {draft.status_code for draft in drafts}:
        found = error_entry(code) or entry
        if found is not None:
            yield code or 0, found.name, found.comment
