"""What looking up lost answers reads and writes (PROTOCOLS S6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from twilio_campaigns.domain.ledger import least
from twilio_campaigns.domain.resolving import LOOKUPS, SKEW, Doubt, decide
from twilio_campaigns.domain.steps import Step, reached
from twilio_campaigns.warehouse.connection import scalar_of
from twilio_campaigns.warehouse.marking import marking
from twilio_campaigns.warehouse.outcomes import accept_locked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.domain.resolving import Verdict
    from twilio_campaigns.warehouse.connection import Connection, Warehouse

# A row is looked up once as soon as it is unknown, and then from the moment at which absence counts, a gap apart; more
# and more rarely where nothing was found again and again, until its window closes.
_DUE: Final = """
select to_number, min(claimed_at) as claimed_at
from messages
where send_state = 'unknown' and connection = %(connection)s
  and (%(run_key)s::text is null or run_key = %(run_key)s)
  and (looked_up_at is null or now() >= greatest(resolve_after, looked_up_at + %(gap)s * greatest(lookups, 1)))
group by to_number
order by min(claimed_at)
limit %(limit)s
"""

# What the run may send again: looked up often enough, by whomever, without a trace.
_MAY_BE_FREED: Final = """
m.send_state = 'unknown' and m.lookups >= %(lookups)s and m.send_before > now() and r.state = 'sending'
and coalesce(r.spec ->> 'unknown_outcome', 'resend') = 'resend'
"""

_NEXT_LOOK: Final = f"""
select min(case when send_state = 'claimed' then claimed_at + %(lease)s
                when lookups >= %(lookups)s then now()
                when looked_up_at is null then claimed_at
                else greatest(resolve_after, looked_up_at + %(gap)s) end)
from messages as m
join campaign_runs as r using (run_key)
where run_key = %(run_key)s
  and (send_state = 'claimed'
       or (send_state = 'unknown' and lookups < %(lookups)s and send_before > now())
       or ({_MAY_BE_FREED}))
"""  # noqa: S608 - built of constants

# What Twilio was found not to have; and all that a run still has to send that somebody paused and let go on: its own
# sending tasks have ended by then.
_SEND_AGAIN: Final = """
select distinct m.batch_no
from messages as m
join campaign_runs as r using (run_key)
where m.run_key = %(run_key)s and m.send_state = 'planned' and r.state = 'sending'
  and (m.lookups >= %(lookups)s or r.resumed_at is not null)
order by m.batch_no
"""

_WAITS_FOR_RESUMPTION: Final = """
select now() + %(wait)s as look_at
from campaign_runs as r
where r.run_key = %(run_key)s and r.state = 'paused'
  and exists (select from messages as m
              where m.run_key = r.run_key and m.send_state = 'planned' and m.send_before > now())
"""

# A message of the newest day that lists must show by now: if they do not, they are late and prove nothing. By the day,
# because there is an index on it and none on the moment. It must also be dated alike by both clocks: where ours and
# Twilio's disagree, a message is looked for at the wrong time, and not finding it proves nothing.
_CONTROL: Final = """
select message_sid, to_number
from messages
where tracked_on is not null and connection = %(connection)s and sid_source = 'answer'
  and accepted_at < now() - %(list_lag)s
  and accepted_at between claimed_at - %(skew)s and claimed_at + %(lease)s + %(skew)s
order by tracked_on desc
limit 1
"""

# Rows that were given up compete for what is found: a message that may be theirs is not another row's for certain.
_DOUBTS: Final = """
select m.message_key, m.run_key, m.send_state, m.body, m.claimed_at, m.resolve_after, m.lookups, m.looked_up_at,
       greatest(m.claimed_at, m.resolve_after - %(list_lag)s) as posted_by,
       r.spec -> 'sender' ->> 'messaging_service_sid' as messaging_service_sid,
       r.spec -> 'sender' ->> 'from_number' as from_number
from messages as m
join campaign_runs as r on r.run_key = m.run_key
where m.to_number = %(number)s and m.connection = %(connection)s
  and (m.send_state in ('claimed', 'unknown')
       or (m.send_state = 'enqueue_failed' and m.status_code is null and m.claimed_at is not null))
order by m.message_key
for update of m
"""

_OWNED: Final = """
select message_sid from messages where message_sid = any(%(sids)s)
union
select message_sid from stray_messages where message_sid = any(%(sids)s)
"""

_NOTE: Final = marking("""
update messages
set looked_up_at = greatest(looked_up_at, %(seen_at)s),
    undecided_at = case when message_key = any(%(undecided)s) then now() end,
    lookups = case when message_key = any(%(absent)s) then lookups + 1
                   when message_key = any(%(undecided)s) then 0
                   else lookups end
where message_key = any(%(keys)s)
returning run_key
""")

# Only the run's own DAG does this.
_FREE: Final = marking(
    f"""
update messages
set send_state = 'planned', claim_id = null, claimed_at = null, resolve_after = null
where message_key in (
    select m.message_key
    from messages as m
    join campaign_runs as r using (run_key)
    where m.run_key = %(run_key)s and {_MAY_BE_FREED}
    order by m.message_key
    for update of m
)
returning run_key
"""  # noqa: S608 - the same
)


@dataclass(slots=True)
class Resolved:
    """What looking up came to, in rows.

    :param waiting: numbers at which somebody is sending right now.
    """

    adopted: int = 0
    absent: int = 0
    undecided: int = 0
    waiting: int = 0

    def add(self, other: Resolved) -> None:
        """Add up the figures of another number."""
        self.adopted += other.adopted
        self.absent += other.absent
        self.undecided += other.undecided
        self.waiting += other.waiting


class ResolveStore:
    """The ledger's rows whose answer got lost.

    :param warehouse: where the ledger is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def due_numbers(
        self, connection_id: str, run_key: str | None, gap: timedelta, limit: int = 5000
    ) -> dict[str, datetime]:
        """Give the numbers that are to be looked up now, the oldest claims first, each with its oldest claim.

        :param run_key: only this run's; `None`: every campaign's.
        """
        parameters = {"connection": connection_id, "run_key": run_key, "gap": gap, "limit": limit}
        with self._warehouse.transaction() as connection:
            return {row["to_number"]: row["claimed_at"] for row in connection.execute(_DUE, parameters)}

    def next_look_at(
        self, run_key: str, *, lease: timedelta, gap: timedelta, paused_wait: timedelta
    ) -> datetime | None:
        """Say when the run is to be looked at next: a row that is in doubt, or whether somebody resumed it.

        :return: `None` if nothing is in doubt or waits that could still be sent.
        """
        parameters = {"run_key": run_key, "lease": lease, "gap": gap, "lookups": LOOKUPS, "wait": paused_wait}
        with self._warehouse.transaction() as connection:
            doubtful = scalar_of(connection.execute(_NEXT_LOOK, parameters).fetchone())
            paused = scalar_of(connection.execute(_WAITS_FOR_RESUMPTION, parameters).fetchone())
        return least(doubtful, paused)

    def batches_to_send_again(self, run_key: str) -> list[int]:
        """Give the batches with rows that Twilio was found not to have, or that a resumed run still has to send."""
        parameters = {"run_key": run_key, "lookups": LOOKUPS}
        with self._warehouse.transaction() as connection:
            return [row["batch_no"] for row in connection.execute(_SEND_AGAIN, parameters)]

    def control(self, connection_id: str, list_lag: timedelta, lease: timedelta) -> tuple[str, str] | None:
        """Give SID and number of a message that Twilio's lists must show by now; `None` if there is none."""
        parameters = {"connection": connection_id, "list_lag": list_lag, "lease": lease, "skew": SKEW}
        with self._warehouse.transaction() as connection:
            row = connection.execute(_CONTROL, parameters).fetchone()
        return (row["message_sid"], row["to_number"]) if row else None

    def resolve(
        self,
        connection_id: str,
        number: str,
        seen: Sequence[Observation],
        *,
        seen_at: datetime,
        absence_counts: bool,
        is_look_up: bool = True,
        list_lag: timedelta,
        lease: timedelta,
        gap: timedelta,
        window: timedelta,
    ) -> Resolved:
        """Decide about every doubtful row of one number, in one transaction.

        :param seen: every message to the number that Twilio lists.
        :param seen_at: when Twilio was asked for them, by the database's clock: it may have taken long.
        :param is_look_up: false where the number was not asked for by itself: then a row is adopted or left as it is,
            and its own look-up still stands out.
        :param list_lag: a row's `resolve_after` lies so long after the last moment at which it may have been claimed.
        """
        parameters = {"number": number, "connection": connection_id, "list_lag": list_lag}
        with self._warehouse.transaction() as connection:
            connection.execute(
                "select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"resolve {connection_id} {number}",)
            )
            rows = connection.execute(_DOUBTS, parameters).fetchall()
            if any(row["send_state"] == "claimed" for row in rows):
                return Resolved(waiting=1)
            verdict = decide(
                [_doubt(row) for row in rows],
                _unowned(connection, seen),
                seen_at=seen_at,
                lease=lease,
                gap=gap,
                absence_counts=absence_counts,
            )
            doubtful = [row["message_key"] for row in rows if row["send_state"] == "unknown"]
            resolved = _write(connection, doubtful if is_look_up else [], verdict, seen_at, window)
            reached(Step.RESOLVING)
        reached(Step.RESOLVED)
        return resolved

    def free(self, run_key: str) -> int:
        """Plan again what was looked up often enough without a trace, if the campaign wants it; give how many."""
        with self._warehouse.transaction() as connection:
            freed = connection.execute(cast("Any", _FREE), {"run_key": run_key, "lookups": LOOKUPS}).rowcount
        if freed:
            reached(Step.FREED)
        return freed


def _unowned(connection: Connection, seen: Sequence[Observation]) -> list[Observation]:
    owned = {row["message_sid"] for row in connection.execute(_OWNED, {"sids": [o.sid for o in seen]})}
    return [observation for observation in seen if observation.sid not in owned]


def _doubt(row: Mapping[str, Any]) -> Doubt:
    return Doubt(
        key=row["message_key"],
        body=row["body"],
        messaging_service_sid=row["messaging_service_sid"],
        from_number=row["from_number"],
        claimed_at=row["claimed_at"],
        posted_by=row["posted_by"],
        resolve_after=row["resolve_after"],
        lookups=row["lookups"],
        looked_up_at=row["looked_up_at"],
        is_closed=row["send_state"] == "enqueue_failed",
    )


def _write(
    connection: Connection, keys: list[UUID], verdict: Verdict, seen_at: datetime, window: timedelta
) -> Resolved:
    noted = {"keys": keys, "absent": verdict.absent, "undecided": verdict.undecided, "seen_at": seen_at}
    connection.execute(cast("Any", _NOTE), noted)
    accept_locked(connection, verdict.adopted, window, "lookup")
    return Resolved(len(verdict.adopted), len(verdict.absent), len(verdict.undecided))
