"""The ledger while a run is being sent: claim, reserve, record (PROTOCOLS S1, S2, S4, S5)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from psycopg.errors import UniqueViolation

from twilio_campaigns.domain.errors import OUTCOME_UNKNOWN
from twilio_campaigns.domain.ledger import EventDraft
from twilio_campaigns.domain.message import Observation, OutgoingMessage, event_id
from twilio_campaigns.domain.status import RunState, Source, Status
from twilio_campaigns.warehouse.connection import scalar
from twilio_campaigns.warehouse.events import apply_locked, write_events

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from twilio_campaigns.warehouse.connection import Connection, Warehouse


# The run's state, the deadline and suppressions are looked at inside every claim, so that `stop`, a passed
# deadline and an opt-out take effect before the next chunk, whatever the worker believes.
_CLAIM: Final = """
with due as (
    select m.message_key,
           m.send_before <= now() as is_late,
           exists (select from suppressions as s
                   where s.to_number = m.to_number and s.lifted_at is null) as is_suppressed
    from messages as m
    join campaign_runs as r on r.run_key = m.run_key
    where m.run_key = %(run_key)s and m.batch_no = %(batch_no)s and m.send_state = 'planned'
      and r.state = 'sending'
    order by m.message_key
    limit %(limit)s
    for update of m skip locked
),
moved as (
    update messages as m
    set send_state = case when is_late then 'too_late' when is_suppressed then 'skipped' else 'claimed' end,
        skip_reason = case when is_suppressed and not is_late then 'suppressed' end,
        claim_id = case when is_late or is_suppressed then m.claim_id else %(claim_id)s end,
        claimed_at = case when is_late or is_suppressed then m.claimed_at else now() end,
        attempts = m.attempts + case when is_late or is_suppressed then 0 else 1 end,
        lookups = 0,
        looked_up_at = null
    from due
    where m.message_key = due.message_key
    returning m.message_key, m.send_state, m.to_number, m.body, m.media_urls, m.content_sid,
              m.content_variables, m.estimated_parts
)
select * from moved order by message_key
"""

# `not is_free` leaves the row as it is and gives nothing back: somebody reserved that far ahead already.
_RESERVE: Final = """
insert into sender_throughput as t (sender, next_free_at)
values (%(sender)s, clock_timestamp() + %(takes)s)
on conflict (sender) do update
set next_free_at = greatest(t.next_free_at, clock_timestamp()) + %(takes)s
where t.next_free_at < clock_timestamp() + %(depth)s
returning greatest(next_free_at - %(takes)s - clock_timestamp(), interval '0') as wait
"""

_SLOW_DOWN: Final = """
update sender_throughput
set next_free_at = greatest(next_free_at, clock_timestamp() + %(pause)s)
where sender = %(sender)s
"""

# An answer counts only for the claim that asked: a row that was resolved meanwhile is not ours any more.
_LOCK_CLAIMED: Final = """
select message_key from messages
where message_key = any(%(keys)s) and claim_id = %(claim_id)s and send_state in ('claimed', 'unknown')
order by message_key
for update
"""

_ACCEPT: Final = """
update messages as m
set send_state = 'accepted',
    message_sid = o.sid,
    sid_source = %(sid_source)s,
    accepted_at = o.accepted_at,
    tracked_on = (o.accepted_at at time zone 'UTC')::date,
    tracking_closes_at = o.accepted_at + %(window)s,
    resolve_after = null
from unnest(%(keys)s::uuid[], %(sids)s::text[], %(accepted_at)s::timestamptz[])
     as o(message_key, sid, accepted_at)
where m.message_key = o.message_key
"""

_REFUSE: Final = """
update messages as m
set send_state = 'enqueue_failed', status = 'enqueue_failed', status_code = o.code, final_at = now(),
    resolve_after = null
from unnest(%(keys)s::uuid[], %(codes)s::int[]) as o(message_key, code)
where m.message_key = o.message_key
"""

_RELEASE: Final = """
update messages
set send_state = 'planned', claim_id = null, claimed_at = null, resolve_after = null
where message_key = any(%(keys)s)
"""

_DOUBT: Final = """
update messages
set send_state = 'unknown', resolve_after = claimed_at + %(list_lag)s
where message_key = any(%(keys)s) and send_state = 'claimed'
"""

_PUT_ASIDE: Final = """
insert into stray_messages (message_sid, message_key, run_key, to_number, reason)
select %(sid)s, %(key)s, (select run_key from messages where message_key = %(key)s), %(to_number)s,
       'accepted for a row that does not carry this claim any more'
where not exists (select from messages where message_sid = %(sid)s and message_key = %(key)s)
on conflict (message_sid) do nothing
"""

_STALE: Final = """
update messages
set send_state = 'unknown', resolve_after = claimed_at + %(list_lag)s
where message_key in (
    select message_key from messages
    where send_state = 'claimed' and claimed_at < now() - %(lease)s and connection = %(connection)s
    order by message_key limit 1000 for update skip locked
)
"""

_CLOSE_UNKNOWN: Final = """
update messages
set send_state = 'enqueue_failed', status = 'enqueue_failed', final_at = now(), resolve_after = null
where message_key in (
    select message_key from messages
    where send_state = 'unknown' and claimed_at + %(window)s <= now() and connection = %(connection)s
    order by message_key limit 1000 for update skip locked
)
returning message_key, final_at
"""

# All rows of a run have one deadline, so one planned row tells of all; runs that wait for nobody cost one look.
_TOO_LATE: Final = """
update messages
set send_state = 'too_late'
where message_key in (
    select m.message_key
    from campaign_runs as r
    cross join lateral (
        select send_before from messages where run_key = r.run_key and send_state = 'planned' limit 1
    ) as any_row
    join messages as m on m.run_key = r.run_key
    where r.state <> 'done' and any_row.send_before <= now() and m.send_state = 'planned'
    order by m.message_key limit 1000 for update of m skip locked
)
"""

_PROGRESS: Final = """
select count(*) filter (where send_state = 'planned') as planned,
       count(*) filter (where send_state = 'claimed') as claimed,
       count(*) filter (where send_state = 'unknown') as unknown,
       count(*) filter (where send_state = 'accepted') as accepted,
       count(*) filter (where send_state = 'enqueue_failed') as enqueue_failed,
       count(*) filter (where send_state = 'skipped') as skipped,
       count(*) filter (where send_state = 'too_late') as too_late
from messages
where run_key = %(run_key)s and (%(batch_no)s::int is null or batch_no = %(batch_no)s)
"""

_FINISH: Final = """
update campaign_runs as r
set state = 'done', finished_at = now()
where run_key = %s and state = 'sending'
  and not exists (select from messages as m
                  where m.run_key = r.run_key and m.send_state in ('planned', 'claimed', 'unknown'))
"""


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """One row that may be posted once, under the claim that gave it."""

    key: UUID
    message: OutgoingMessage


@dataclass(frozen=True, slots=True)
class Claim:
    """What one claim brought.

    :param moved: rows that left `planned`, those that were too late or suppressed included; 0 means that
        nothing is left.
    """

    claim_id: UUID
    rows: tuple[ClaimedMessage, ...]
    moved: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the rows of one claim.

    :param accepted: Twilio's answer, by row.
    :param refused: Twilio's error code, by row; `None` where its answer had none that we know.
    :param released: rows that were certainly not taken.
    :param unknown: rows of which nobody can tell.
    """

    accepted: Mapping[UUID, Observation]
    refused: Mapping[UUID, int | None]
    released: Sequence[UUID]
    unknown: Sequence[UUID]

    def keys(self) -> list[UUID]:
        """Every row that these outcomes speak of."""
        return [*self.accepted, *self.refused, *self.released, *self.unknown]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many rows of a run, or of one batch, are in which state."""

    planned: int
    claimed: int
    unknown: int
    accepted: int
    enqueue_failed: int
    skipped: int
    too_late: int

    @property
    def left(self) -> int:
        """Rows that have no outcome yet."""
        return self.planned + self.claimed + self.unknown


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A frozen run: what every later task knows of its campaign."""

    run_key: str
    campaign_id: str
    state: RunState
    spec: Mapping[str, Any] | None
    audience_rows: int | None


class Ledger:
    """The table `messages` while rows are on their way to Twilio.

    :param warehouse: where the ledger is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def run(self, run_key: str) -> RunRecord | None:
        """Read the run as it was frozen; `None` before it was opened."""
        with self._warehouse.transaction() as connection:
            row = connection.execute(
                "select run_key, campaign_id, state, spec, audience_rows from campaign_runs where run_key = %s",
                (run_key,),
            ).fetchone()
        if row is None:
            return None
        return RunRecord(row["run_key"], row["campaign_id"], RunState(row["state"]), row["spec"], row["audience_rows"])

    def claim(self, run_key: str, batch_no: int, limit: int, claim_id: UUID, template: OutgoingMessage) -> Claim:
        """Claim up to `limit` planned rows of a batch; each may then be posted at most once, within the window.

        :param template: what all messages of the run share: sender and validity.
        """
        with self._warehouse.transaction() as connection:
            rows = connection.execute(
                _CLAIM, {"run_key": run_key, "batch_no": batch_no, "limit": limit, "claim_id": claim_id}
            ).fetchall()
        claimed = tuple(_claimed(row, template) for row in rows if row["send_state"] == "claimed")
        return Claim(claim_id, claimed, len(rows))

    def reserve(self, sender: str, takes: timedelta, depth: timedelta) -> timedelta | None:
        """Reserve a sender's capacity for as long as the messages take; give how long to wait before the first.

        :param takes: parts ÷ rate.
        :param depth: how far ahead of now capacity may be given away.
        :return: `None` when others have reserved that far already.
        """
        with self._warehouse.transaction() as connection:
            return cast(
                "timedelta | None",
                (connection.execute(_RESERVE, {"sender": sender, "takes": takes, "depth": depth}).fetchone() or {}).get(
                    "wait"
                ),
            )

    def slow_down(self, sender: str, pause: timedelta) -> None:
        """Let nobody send from this sender for a while: Twilio said that it is too much."""
        with self._warehouse.transaction() as connection:
            connection.execute(_SLOW_DOWN, {"sender": sender, "pause": pause})

    def record(self, claim_id: UUID, outcomes: Outcomes, *, window: timedelta, list_lag: timedelta) -> int:
        """Write the outcomes of one claim and their events in one transaction; safe to repeat.

        Rows that do not carry this claim any more are left alone. A SID that then has no row, or that another row
        has, goes to `stray_messages`.

        :return: how many SIDs went astray.
        """
        try:
            return self._record(claim_id, outcomes, window, list_lag, frozenset())
        except UniqueViolation:
            taken = self._taken([observation.sid for observation in outcomes.accepted.values()])
            return self._record(claim_id, outcomes, window, list_lag, taken)

    def _record(
        self,
        claim_id: UUID,
        outcomes: Outcomes,
        window: timedelta,
        list_lag: timedelta,
        taken: frozenset[str],
    ) -> int:
        with self._warehouse.transaction() as connection:
            locked = connection.execute(_LOCK_CLAIMED, {"keys": outcomes.keys(), "claim_id": claim_id})
            ours = {cast("UUID", row["message_key"]) for row in locked}
            fitting, stray = _sort_out(outcomes.accepted, ours, taken)
            accept_locked(connection, fitting, window, "answer")
            _refuse(connection, {key: code for key, code in outcomes.refused.items() if key in ours})
            connection.execute(_RELEASE, {"keys": [key for key in outcomes.released if key in ours]})
            connection.execute(
                _DOUBT,
                {
                    "keys": [
                        *(key for key in outcomes.unknown if key in ours),
                        *(k for k in stray if k in ours),
                    ],
                    "list_lag": list_lag,
                },
            )
            return _put_aside(connection, stray)

    def _taken(self, sids: list[str]) -> frozenset[str]:
        with self._warehouse.transaction() as connection:
            rows = connection.execute("select message_sid from messages where message_sid = any(%s)", (sids,))
            return frozenset(row["message_sid"] for row in rows)

    def age_claims(self, connection_id: str, lease: timedelta, list_lag: timedelta) -> int:
        """Turn claims older than their lease into `unknown`: whoever held them is gone (S5). Give how many."""
        return self._repeat(_STALE, {"lease": lease, "list_lag": list_lag, "connection": connection_id})

    def close_late(self) -> int:
        """Give up planned rows that may not be sent any more, of stopped and forgotten runs too; give how many."""
        return self._repeat(_TOO_LATE, {})

    def close_unknown(self, connection_id: str, window: timedelta) -> int:
        """Give up on rows whose outcome is still unknown when their window closes; give how many.

        They become `enqueue_failed` with error `outcome_unknown`, and are never sent again.
        """
        closed = 0
        while True:
            with self._warehouse.transaction() as connection:
                rows = connection.execute(_CLOSE_UNKNOWN, {"window": window, "connection": connection_id}).fetchall()
                drafts = [_failed(row["message_key"], row["final_at"], None) for row in rows]
                write_events(connection, drafts, OUTCOME_UNKNOWN)
            closed += len(rows)
            if not rows:
                return closed

    def _repeat(self, statement: Any, parameters: dict[str, Any]) -> int:  # noqa: ANN401 - a literal statement
        changed = 0
        while True:
            with self._warehouse.transaction() as connection:
                count = connection.execute(statement, parameters).rowcount
            changed += count
            if not count:
                return changed

    def progress(self, run_key: str, batch_no: int | None = None) -> Progress:
        """Count the rows of a run, or of one of its batches."""
        with self._warehouse.transaction() as connection:
            row = connection.execute(_PROGRESS, {"run_key": run_key, "batch_no": batch_no}).fetchone()
        return Progress(**(row or {}))

    def finish(self, run_key: str) -> bool:
        """Mark the run `done` if no row of it is left; tell whether this call did it."""
        with self._warehouse.transaction() as connection:
            return connection.execute(_FINISH, (run_key,)).rowcount == 1

    def set_run_state(self, run_key: str, state: RunState, *, only_from: Sequence[RunState]) -> bool:
        """Change a run's state, if it is one of `only_from`; tell whether it was."""
        with self._warehouse.transaction() as connection:
            return (
                scalar(
                    connection,
                    "update campaign_runs set state = %s where run_key = %s and state = any(%s) returning 1",
                    state,
                    run_key,
                    list(only_from),
                )
                is not None
            )


def _claimed(row: Mapping[str, Any], template: OutgoingMessage) -> ClaimedMessage:
    return ClaimedMessage(
        row["message_key"],
        OutgoingMessage(
            to_number=row["to_number"],
            from_number=template.from_number,
            messaging_service_sid=template.messaging_service_sid,
            validity_period=template.validity_period,
            body=row["body"],
            media_urls=tuple(row["media_urls"] or ()),
            content_sid=row["content_sid"],
            content_variables=row["content_variables"],
            estimated_parts=row["estimated_parts"],
        ),
    )


def _sort_out(
    accepted: Mapping[UUID, Observation], ours: set[UUID], taken: frozenset[str]
) -> tuple[dict[UUID, Observation], dict[UUID, Observation]]:
    """Part the answers that fit their row from those that do not: row gone, or SID given away already."""
    fitting: dict[UUID, Observation] = {}
    seen = set(taken)
    for key, observation in accepted.items():
        if key in ours and observation.sid not in seen:
            fitting[key] = observation
            seen.add(observation.sid)
    return fitting, {key: value for key, value in accepted.items() if key not in fitting}


def accept_locked(
    connection: Connection, accepted: Mapping[UUID, Observation], window: timedelta, sid_source: str
) -> None:
    """Give locked rows their SIDs and write their events; inside the caller's transaction."""
    if not accepted:
        return
    connection.execute(
        _ACCEPT,
        {
            "keys": list(accepted),
            "sids": [observation.sid for observation in accepted.values()],
            "accepted_at": [observation.created_at.astimezone(UTC) for observation in accepted.values()],
            "window": window,
            "sid_source": sid_source,
        },
    )
    apply_locked(connection, list(accepted.values()))


def _refuse(connection: Connection, refused: Mapping[UUID, int | None]) -> None:
    if not refused:
        return
    connection.execute(_REFUSE, {"keys": list(refused), "codes": list(refused.values())})
    now = cast("datetime", scalar(connection, "select now()"))
    write_events(connection, [_failed(key, now, code) for key, code in refused.items()])


def _failed(key: UUID, at: datetime, code: int | None) -> EventDraft:
    return EventDraft(event_id(key, Status.ENQUEUE_FAILED), key, Status.ENQUEUE_FAILED, at, Source.SEND, code)


def _put_aside(connection: Connection, stray: Mapping[UUID, Observation]) -> int:
    """Keep answers that fit no row; those that an earlier try of the same record wrote already are no news."""
    return sum(
        connection.execute(
            _PUT_ASIDE, {"sid": observation.sid, "key": key, "to_number": observation.to_number}
        ).rowcount
        for key, observation in stray.items()
    )
