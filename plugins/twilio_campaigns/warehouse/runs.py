"""Campaign runs: what every later task knows of a frozen campaign, and what people decide about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.status import RunState
from twilio_campaigns.warehouse.connection import scalar
from twilio_campaigns.warehouse.marking import mark_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from twilio_campaigns.warehouse.connection import Connection, Warehouse

_RUN: Final = """
select run_key, campaign_id, dag_id, dag_run_id, state, spec, audience_rows, state_reason, state_changed_by, resumed_at,
       lateness_waived_at is not null as is_lateness_waived
from campaign_runs where run_key = %s
"""

# Those that may still send, or the last one where there is none.
_OF_CAMPAIGN: Final = """
select run_key
from (select run_key, created_at, state in ('freezing', 'sending', 'paused') as is_under_way,
             row_number() over (order by created_at desc, run_key desc) as place,
             bool_or(state in ('freezing', 'sending', 'paused')) over () as any_under_way
      from campaign_runs where campaign_id = %s) as r
where is_under_way or (place = 1 and not any_under_way)
order by created_at desc, run_key desc
"""

_FINISH: Final = """
update campaign_runs as r
set state = 'done', finished_at = now()
where run_key = %s and state = 'sending'
  and not exists (select from messages as m
                  where m.run_key = r.run_key and m.send_state in ('planned', 'claimed', 'unknown'))
"""

_CHANGE: Final = """
update campaign_runs
set state = %(state)s, state_reason = %(reason)s, state_changed_by = %(by)s, state_changed_at = now(),
    resumed_at = case when %(state)s = 'sending' then now() else resumed_at end
where run_key = %(run_key)s and state = any(%(only_from)s)
"""

# A run that was never frozen is frozen late; its lateness is not judged again.
_WAIVE: Final = """
update campaign_runs
set state = 'freezing', lateness_waived_at = now(), finished_at = null, audience_rows = null,
    state_reason = 'sent late on purpose', state_changed_by = %(by)s, state_changed_at = now()
where run_key = %(run_key)s and state = 'too_late' and spec is null
"""

# All planned rows of a run have one deadline.
_GIVE_UP_PLANNED: Final = """
update messages set send_state = 'too_late'
where message_key in (
    select message_key from messages where run_key = %(run_key)s and send_state = 'planned'
    order by message_key for update
)
"""

# Rows that were never claimed, except whom another run of the campaign has texted meanwhile or may text at any moment.
_PLAN_LATE: Final = """
update messages as m
set send_state = 'planned', send_before = now() + %(within)s
where message_key in (
    select message_key from messages as m
    where run_key = %(run_key)s and send_state = 'too_late'
      and not exists (
          select from messages as other
          join campaign_runs as r using (run_key)
          where other.to_number = m.to_number and other.campaign_id = m.campaign_id and other.run_key <> m.run_key
            and (other.send_state in ('claimed', 'unknown')
                 or (other.send_state = 'planned' and r.state in ('sending', 'paused') and other.send_before > now())
                 or (other.send_state = 'accepted' and other.claimed_at > now() - %(repeat_after)s)))
    order by message_key for update
)
"""

_REOPEN: Final = """
update campaign_runs
set state = 'sending', resumed_at = now(), finished_at = null, state_reason = 'sent late on purpose',
    state_changed_by = %(by)s, state_changed_at = now()
where run_key = %(run_key)s and state in ('sending', 'paused', 'done')
"""

_SENDING: Final = """
select run_key, campaign_id, spec -> 'circuit_breaker' as breaker
from campaign_runs
where state = 'sending' and spec -> 'circuit_breaker' <> 'null'
order by run_key
"""

# Messages whose fate became known since the run began or was resumed, and lately: the latest first. Twilio dates by the
# second.
_FATES: Final = """
select count(*) filter (where status = 'rejected') as refused, count(*) as messages
from (
    select e.status
    from campaign_events as e
    join campaign_runs as r on r.run_key = e.run_key
    where e.campaign_id = %(campaign_id)s and e.run_key = %(run_key)s
      and e.status in ('delivered', 'failed', 'rejected')
      and e.occurred_at >= date_trunc('second', coalesce(r.resumed_at, r.created_at))
      and e.occurred_at > now() - interval '1 hour'
    order by e.occurred_at desc
    limit %(messages)s
) as latest
"""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as it stands.

    :param spec: the campaign as it was frozen; `None` before.
    :param state_reason: why it was paused, stopped or resumed.
    :param state_changed_by: who did it.
    :param resumed_at: when it last went on after a pause.
    :param is_lateness_waived: whether somebody decided to send it although it came too late.
    """

    run_key: str
    campaign_id: str
    dag_id: str
    dag_run_id: str
    state: RunState
    spec: Mapping[str, Any] | None
    audience_rows: int | None
    state_reason: str | None
    state_changed_by: str | None
    resumed_at: datetime | None
    is_lateness_waived: bool = False


@dataclass(frozen=True, slots=True)
class Fates:
    """How a run's latest messages ended.

    :param limits: the run's circuit breaker, as JSON.
    :param refused: of `messages`, how many Twilio, a carrier or a filter refused.
    """

    run_key: str
    limits: Mapping[str, Any]
    refused: int
    messages: int


class RunStore:
    """The table `campaign_runs` after the freeze.

    :param warehouse: where it is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def run(self, run_key: str) -> RunRecord | None:
        """Read a run; `None` before it was opened."""
        with self._warehouse.transaction() as connection:
            row = connection.execute(_RUN, (run_key,)).fetchone()
        return RunRecord(**{**row, "state": RunState(row["state"])}) if row else None

    def may_send(self, run_key: str) -> bool:
        """Whether messages of the run may leave now: nobody paused, stopped or finished it."""
        with self._warehouse.transaction() as connection:
            return bool(scalar(connection, "select state = 'sending' from campaign_runs where run_key = %s", run_key))

    def of_campaign(self, campaign_id: str) -> list[str]:
        """Give the campaign's runs that may still send, or its last run if there is none, the latest first."""
        with self._warehouse.transaction() as connection:
            return [row["run_key"] for row in connection.execute(_OF_CAMPAIGN, (campaign_id,))]

    def finish(self, run_key: str) -> bool:
        """Mark the run `done` if no row of it is left; tell whether this call did it."""
        with self._warehouse.transaction() as connection:
            return connection.execute(_FINISH, (run_key,)).rowcount == 1

    def pause(self, run_key: str, by: str, reason: str) -> bool:
        """Let nothing more be claimed until somebody resumes the run; tell whether it was being sent."""
        return self._change(run_key, RunState.PAUSED, by, reason, [RunState.SENDING])

    def resume(self, run_key: str, by: str) -> bool:
        """Let a paused run go on; tell whether it was paused."""
        return self._change(run_key, RunState.SENDING, by, "resumed", [RunState.PAUSED])

    def stop(self, run_key: str, by: str, reason: str) -> bool:
        """End a run for good before its next chunk is claimed; tell whether there was anything to end."""
        only_from = [RunState.FREEZING, RunState.SENDING, RunState.PAUSED]
        return self._change(run_key, RunState.STOPPED, by, reason, only_from)

    def _change(self, run_key: str, state: RunState, by: str, reason: str, only_from: Sequence[RunState]) -> bool:
        parameters = {"run_key": run_key, "state": state, "by": by, "reason": reason, "only_from": list(only_from)}
        with self._warehouse.transaction() as connection:
            return connection.execute(_CHANGE, parameters).rowcount == 1

    def freeze_late(self, run_key: str, by: str) -> bool:
        """Allow a run that came too late to be frozen after all; tell whether it was one."""
        with self._warehouse.transaction() as connection:
            return connection.execute(_WAIVE, {"run_key": run_key, "by": by}).rowcount == 1

    def plan_late(self, run_key: str, by: str, *, within: timedelta, repeat_after: timedelta) -> int:
        """Plan again what was frozen and not sent in time; give how many messages may go out now.

        :param within: from now on they may be claimed for this long.
        :param repeat_after: whom another run of the campaign has texted within this time stays left out.
        """
        parameters = {"run_key": run_key, "by": by, "within": within, "repeat_after": repeat_after}
        with self._warehouse.transaction() as connection:
            _lock_campaign_of(connection, run_key)
            mark_run(connection, run_key)
            connection.execute(_GIVE_UP_PLANNED, parameters)
            planned = connection.execute(_PLAN_LATE, parameters).rowcount
            if planned:
                connection.execute(_REOPEN, parameters)
        return planned

    def fates(self) -> list[Fates]:
        """Give how the latest messages of every run ended that is being sent and may pause itself."""
        with self._warehouse.transaction() as connection:
            found = []
            for run in connection.execute(_SENDING).fetchall():
                parameters = {**run, "messages": run["breaker"]["messages"]}
                row = connection.execute(_FATES, parameters).fetchone() or {}
                found.append(Fates(run["run_key"], run["breaker"], row["refused"], row["messages"]))
        return found


def _lock_campaign_of(connection: Connection, run_key: str) -> None:
    """Let no other run of the campaign be frozen meanwhile."""
    connection.execute(
        "select pg_advisory_xact_lock(hashtextextended(campaign_id, 0)) from campaign_runs where run_key = %s",
        (run_key,),
    )
