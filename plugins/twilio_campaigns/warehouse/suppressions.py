"""The table `suppressions`: one statement writes whatever tells that somebody must not be texted, or may be again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from twilio_campaigns.domain.errors import error_entry
from twilio_campaigns.domain.suppression import Suppression, suppression_of
from twilio_campaigns.warehouse.parameters import recordset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.warehouse.connection import Connection

#: Scope of a run's sender, given the run as `r`: its Messaging Service, else its number.
RUN_SCOPE: Final = "coalesce(r.spec -> 'sender' ->> 'messaging_service_sid', r.spec -> 'sender' ->> 'from_number')"

# The rule of `Suppression.merged`, row by row.
_IS_LATER: Final = """
(excluded.reason <> 'opt_in', excluded.suppressed_at, excluded.source collate "C")
> (s.reason <> 'opt_in', s.suppressed_at, s.source collate "C")
"""

# What people wrote by hand stays as it is until they lift it, and a bad number is not mended by an opt-in.
_IS_OURS: Final = "s.reason in ('opt_out', 'opt_in') or s.reason = excluded.reason or s.lifted_at is not null"

# In one statement and one order, so that writers of the same numbers wait for one another instead of dying.
_WRITE: Final = f"""
insert into suppressions as s (to_number, scope, reason, source, suppressed_at, lifted_at)
select o.to_number, o.scope, o.reason, o.source, o.suppressed_at, o.lifted_at
from json_to_recordset(%s) as o(
    to_number text, scope text, reason text, source text, suppressed_at timestamptz, lifted_at timestamptz
)
order by o.to_number collate "C", o.scope collate "C"
on conflict (to_number, scope) do update
set reason = case when {_IS_LATER} then excluded.reason else s.reason end,
    source = case when {_IS_LATER} then excluded.source else s.source end,
    suppressed_at = case when {_IS_LATER} then excluded.suppressed_at else s.suppressed_at end,
    lifted_at = case
        when {_IS_LATER} and excluded.reason = 'opt_in' then excluded.lifted_at
        when greatest(s.lifted_at, excluded.lifted_at)
             > case when {_IS_LATER} then excluded.suppressed_at else s.suppressed_at end
            then greatest(s.lifted_at, excluded.lifted_at)
    end
where ({_IS_OURS})
  and ({_IS_LATER} or excluded.lifted_at > greatest(s.suppressed_at, s.lifted_at))
"""  # noqa: S608 - built of constants

# All rows that a transaction is about to touch, in the order of the statement above.
_LOCK: Final = """
select from suppressions as s
join (select distinct to_number, scope from unnest(%(numbers)s::text[], %(scopes)s::text[]) as o(to_number, scope)) as o
  using (to_number, scope)
order by s.to_number collate "C", s.scope collate "C"
for update of s
"""

# A date that is this one to the microsecond came from this reply. What is lifted before it was set stands again.
_MOVE: Final = """
with moved as (
    select s.to_number, s.scope,
           case when s.suppressed_at = o.before then o.after else s.suppressed_at end as suppressed_at,
           case when s.lifted_at = o.before then o.after else s.lifted_at end as lifted_at
    from suppressions as s
    join json_to_recordset(%s) as o(to_number text, scope text, before timestamptz, after timestamptz)
      using (to_number, scope)
    where o.before in (s.suppressed_at, s.lifted_at)
)
update suppressions as s
set suppressed_at = m.suppressed_at,
    lifted_at = case when s.reason = 'opt_in' or m.lifted_at > m.suppressed_at then m.lifted_at end
from moved as m
where s.to_number = m.to_number and s.scope = m.scope
"""

_REFUSED: Final = f"""
select m.message_key, m.to_number, coalesce({RUN_SCOPE}, m.from_number, '*') as scope,
       coalesce(m.claimed_at, now()) as at
from messages as m
join campaign_runs as r on r.run_key = m.run_key
where m.message_key = any(%s)
"""  # noqa: S608 - the same

_FAILED: Final = f"""
select m.message_sid, m.to_number, coalesce({RUN_SCOPE}, m.from_number, '*') as scope
from messages as m
join campaign_runs as r on r.run_key = m.run_key
where m.message_sid = any(%s)
"""  # noqa: S608 - the same

_NOT_DELIVERED: Final = frozenset({"failed", "undelivered"})


@dataclass(frozen=True, slots=True)
class Moved:
    """The date of a reply turned out to be an earlier one than was written down."""

    to_number: str
    scope: str
    before: datetime
    after: datetime


def write_suppressions(connection: Connection, facts: Iterable[Suppression], moved: Sequence[Moved] = ()) -> int:
    """Merge facts into the table, in any order, any number of times; inside the caller's transaction.

    Takes its locks by number and scope, so it is the last thing that a transaction writes, and once.

    :param moved: what was merged before under a later date.
    :return: how many rows changed.
    """
    merged: dict[tuple[str, str], Suppression] = {}
    for fact in facts:
        key = fact.to_number, fact.scope
        merged[key] = merged[key].merged(fact) if key in merged else fact
    if moved:
        keys = [*merged, *((move.to_number, move.scope) for move in moved)]
        connection.execute(_LOCK, {"numbers": [key[0] for key in keys], "scopes": [key[1] for key in keys]})
        for move in moved:
            connection.execute(_MOVE, (recordset([move]),))
    if not merged:
        return 0
    rows = recordset(_row(fact) for fact in merged.values())
    return connection.execute(cast("Any", _WRITE), (rows,)).rowcount


def suppress_refused(connection: Connection, refused: Mapping[UUID, int | None]) -> int:
    """Text nobody again whom Twilio says that we must not or cannot text; the error table knows the codes.

    :param refused: Twilio's error code, by row.
    :return: how many rows of `suppressions` changed.
    """
    keys = [key for key, code in refused.items() if _suppresses(code)]
    if not keys:
        return 0
    facts = [
        suppression_of(refused[row["message_key"]], to_number=row["to_number"], sender_scope=row["scope"], at=row["at"])
        for row in connection.execute(cast("Any", _REFUSED), (keys,))
    ]
    return write_suppressions(connection, [fact for fact in facts if fact is not None])


def suppress_failed(connection: Connection, observations: Sequence[Observation]) -> int:
    """Do the same for messages that Twilio took and could not deliver: a Messaging Service refuses so.

    Dated by Twilio's acceptance: a person who wrote START since then is not opted out again by a report that comes
    late, or comes twice.

    :param observations: any; only those of our messages that failed with such a code count.
    :return: how many rows of `suppressions` changed.
    """
    failed = {o.sid: o for o in observations if o.provider_status in _NOT_DELIVERED and _suppresses(o.error_code)}
    if not failed:
        return 0
    facts = [
        suppression_of(
            failed[row["message_sid"]].error_code,
            to_number=row["to_number"],
            sender_scope=row["scope"],
            at=failed[row["message_sid"]].created_at,
        )
        for row in connection.execute(cast("Any", _FAILED), (list(failed),))
    ]
    return write_suppressions(connection, [fact for fact in facts if fact is not None])


def _suppresses(code: int | None) -> bool:
    entry = error_entry(code)
    return entry is not None and entry.suppresses


def _row(fact: Suppression) -> dict[str, Any]:
    return {
        "to_number": fact.to_number,
        "scope": fact.scope,
        "reason": fact.reason,
        "source": fact.source,
        "suppressed_at": fact.suppressed_at,
        "lifted_at": fact.lifted_at,
    }
