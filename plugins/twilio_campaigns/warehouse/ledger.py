"""The ledger while a run is being sent: claim and record (PROTOCOLS S1, S4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from psycopg.errors import UniqueViolation

from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.steps import Step, reached
from twilio_campaigns.warehouse.outcomes import write_locked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta
    from uuid import UUID

    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.outcomes import Outcomes


# The run's state, the deadline and suppressions are looked at inside every claim, so that `stop`, a passed
# deadline and an opt-out take effect before the next chunk, whatever the worker believes.
_CLAIM: Final = """
with due as (
    select m.message_key,
           m.send_before <= now() as is_late,
           exists (select from suppressions as s
                   where s.to_number = m.to_number and s.scope in ('*', %(scope)s)
                     and s.lifted_at is null) as is_suppressed
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
        looked_up_at = null,
        undecided_at = null
    from due
    where m.message_key = due.message_key
    returning m.message_key, m.send_state, m.to_number, m.body, m.media_urls, m.content_sid,
              m.content_variables, m.estimated_parts
),
marked as (
    insert into summary_marks (run_key) select %(run_key)s where exists (select from moved)
)
select * from moved order by message_key
"""

# An answer counts only for the claim that asked: a row that was resolved meanwhile is not ours any more. A callback may
# have told the SID a moment before; the answer still knows more.
_LOCK_CLAIMED: Final = """
select message_key, message_sid from messages
where message_key = any(%(keys)s) and claim_id = %(claim_id)s
  and (send_state in ('claimed', 'unknown') or sid_source = 'callback')
order by message_key
for update
"""

_PROGRESS: Final = """
select count(*) filter (where send_state = 'planned') as planned,
       count(*) filter (where send_state = 'claimed') as claimed,
       count(*) filter (where send_state = 'unknown') as unknown,
       count(*) filter (where send_state = 'unknown' and undecided_at is not null) as undecided,
       count(*) filter (where send_state = 'accepted') as accepted,
       count(*) filter (where send_state = 'enqueue_failed') as enqueue_failed,
       count(*) filter (where send_state = 'skipped') as skipped,
       count(*) filter (where send_state = 'too_late') as too_late
from messages
where run_key = %(run_key)s and (%(batch_no)s::int is null or batch_no = %(batch_no)s)
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
class Progress:
    """How many rows of a run, or of one batch, are in which state.

    :param undecided: unknown ones that might be one of several messages at Twilio: a person has to look.
    """

    planned: int
    claimed: int
    unknown: int
    undecided: int
    accepted: int
    enqueue_failed: int
    skipped: int
    too_late: int

    @property
    def left(self) -> int:
        """Rows that have no outcome yet."""
        return self.planned + self.claimed + self.unknown


class Ledger:
    """The table `messages` while rows are on their way to Twilio.

    :param warehouse: where the ledger is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def claim(self, run_key: str, batch_no: int, limit: int, claim_id: UUID, template: OutgoingMessage) -> Claim:
        """Claim up to `limit` planned rows of a batch; each may then be posted at most once, within the window.

        :param template: what all messages of the run share: sender and validity.
        """
        parameters = {
            "run_key": run_key,
            "batch_no": batch_no,
            "limit": limit,
            "claim_id": claim_id,
            "scope": template.messaging_service_sid or template.from_number,
        }
        with self._warehouse.transaction() as connection:
            rows = connection.execute(_CLAIM, parameters).fetchall()
        claimed = tuple(_claimed(row, template) for row in rows if row["send_state"] == "claimed")
        reached(Step.CLAIMED)
        return Claim(claim_id, claimed, len(rows))

    def record(self, claim_id: UUID, outcomes: Outcomes, *, window: timedelta, list_lag: timedelta) -> int:
        """Write the outcomes of one claim and their events in one transaction; safe to repeat.

        Rows that do not carry this claim any more are left alone. A SID that then has no row, or that another row
        has, goes to `stray_messages`.

        :return: how many SIDs went astray.
        """
        try:
            stray = self._record(claim_id, outcomes, window, list_lag, frozenset())
        except UniqueViolation:
            taken = self._taken([observation.sid for observation in outcomes.accepted.values()])
            stray = self._record(claim_id, outcomes, window, list_lag, taken)
        reached(Step.RECORDED)
        return stray

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
            sids = {cast("UUID", row["message_key"]): cast("str | None", row["message_sid"]) for row in locked}
            ours = {key for key, sid in sids.items() if sid is None}
            told = {key: sid for key, sid in sids.items() if sid is not None}
            stray = write_locked(connection, outcomes, ours, taken, told=told, window=window, list_lag=list_lag)
            reached(Step.RECORDING)
            return stray

    def _taken(self, sids: list[str]) -> frozenset[str]:
        with self._warehouse.transaction() as connection:
            rows = connection.execute("select message_sid from messages where message_sid = any(%s)", (sids,))
            return frozenset(row["message_sid"] for row in rows)

    def progress(self, run_key: str, batch_no: int | None = None) -> Progress:
        """Count the rows of a run, or of one of its batches."""
        with self._warehouse.transaction() as connection:
            row = connection.execute(_PROGRESS, {"run_key": run_key, "batch_no": batch_no}).fetchone()
        return Progress(**(row or {}))


def _claimed(row: Mapping[str, Any], template: OutgoingMessage) -> ClaimedMessage:
    return ClaimedMessage(
        row["message_key"],
        OutgoingMessage(
            to_number=row["to_number"],
            from_number=template.from_number,
            messaging_service_sid=template.messaging_service_sid,
            validity_period=template.validity_period,
            shorten_urls=template.shorten_urls,
            body=row["body"],
            media_urls=tuple(row["media_urls"] or ()),
            content_sid=row["content_sid"],
            content_variables=row["content_variables"],
            estimated_parts=row["estimated_parts"],
        ),
    )
