"""What people decide about a run: pause it, let it go on, end it, send it late on purpose (PROTOCOLS §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.engine.send import campaign_of
from twilio_campaigns.warehouse.runs import RunStore

if TYPE_CHECKING:
    from datetime import timedelta

    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.runs import RunRecord


class RunSteering:
    """One run, and who steers it. Every method says what was done, and what else is to be done, in one sentence.

    :param warehouse: where the run is.
    :param run_key: the run.
    :param by: the person's name, kept with the run.
    :ivar changed: whether anything was changed.
    """

    def __init__(self, warehouse: Warehouse, run_key: str, by: str) -> None:
        self._runs = RunStore(warehouse)
        self._run_key = run_key
        self._by = by
        self.changed = False

    @property
    def state(self) -> RunState:
        """The run as it stands."""
        return self._existing().state

    def pause(self) -> str:
        """Let nothing more be posted before somebody resumes the run: within a second or two, on all workers."""
        self._existing()
        self.changed = self._runs.pause(self._run_key, self._by, "paused by a person")
        if self.changed:
            return f"Run {self._run_key} is paused. `twilio-campaigns resume {self._run_key}` lets it go on."
        return self._unchanged()

    def resume(self) -> str:
        """Let a paused run go on where it was."""
        run = self._existing()
        self.changed = self._runs.resume(self._run_key, self._by)
        if self.changed:
            return (
                f"Run {self._run_key} goes on: task `resolve_unknown` of DAG run {run.dag_run_id} sends the rest. "
                "Where it waits, it begins within two minutes (setting PAUSED_WAIT); where it has ended, clear it."
            )
        return self._unchanged()

    def stop(self) -> str:
        """End the run for good: within a second or two, on all workers."""
        self._existing()
        self.changed = self._runs.stop(self._run_key, self._by, "stopped by a person")
        if self.changed:
            return f"Run {self._run_key} was stopped."
        return self._unchanged()

    def send_late(self, within: timedelta | None = None) -> str:
        """Send on purpose what came too late: a run that was never frozen, or what a frozen one could not send in time.

        :param within: from now on messages may be sent for this long; as long as the campaign says if empty.
        :raises ConfigurationError: for a run that was stopped, or that there is not.
        """
        run = self._existing()
        if run.state is RunState.STOPPED:
            raise ConfigurationError(
                f"Run {self._run_key} was stopped for good. Trigger a new run of DAG {run.dag_id}."
            )
        if not run.spec:
            self.changed = self._runs.freeze_late(self._run_key, self._by)
            if self.changed or run.is_lateness_waived:
                return (
                    f"Run {self._run_key} may be sent late. Clear task `prepare_audience` of DAG run {run.dag_run_id} "
                    "with the tasks after it: the segment is read as it is then."
                )
            return self._unchanged()
        return self._plan_late(run, within)

    def _plan_late(self, run: RunRecord, within: timedelta | None) -> str:
        campaign = campaign_of(run.spec)
        planned = self._runs.plan_late(
            self._run_key, self._by, within=within or campaign.send_within, repeat_after=campaign.repeat_after
        )
        self.changed = planned > 0
        if not planned:
            return f"Nothing of run {self._run_key} is left that may be sent late."
        return (
            f"{planned:,} messages of run {self._run_key} may go out within {within or campaign.send_within}. Clear "
            f"task `send_batch` of DAG run {run.dag_run_id} with the tasks after it."
        )

    def _existing(self) -> RunRecord:
        run = self._runs.run(self._run_key)
        if run is None:
            raise ConfigurationError(f"There is no run {self._run_key}. See table campaign_runs for their names.")
        return run

    def _unchanged(self) -> str:
        return f"Run {self._run_key} is {self.state} already."
