"""What a person and a service manager do about failures: clear failed tasks, start what is dead."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import httpx

from include.local import stack
from include.local.processes import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.local.airflow_api import AirflowApi
    from include.local.processes import Processes

#: Seconds without a heartbeat after which a scheduler counts as stuck.
STUCK: Final = 60.0
LOOK_EVERY: Final = 2.0
RESTART_EVERY: Final = 1.0
FAILED: Final = frozenset({"failed", "upstream_failed"})
#: What may fail while Airflow or its database is away.
AWAY: Final = (httpx.HTTPError, StackError, ValueError)


class Operator:
    """Looks after the stack and its campaign runs.

    :param api: Airflow's API.
    :param processes: Airflow's components.
    :param tell: called with a line per thing done.
    """

    def __init__(self, api: AirflowApi, processes: Processes, tell: Callable[[str], None]) -> None:
        self._api = api
        self._processes = processes
        self._tell = tell
        self._runs: dict[str, str] = {}
        self._finished: set[str] = set()
        self._looked_at = 0.0
        self._restarted_at: dict[str, float] = {}
        self._scheduled_at = time.monotonic()
        self.cleared = 0
        self.restarts = 0

    @property
    def unfinished(self) -> list[str]:
        """DAGs whose runs have not succeeded yet."""
        return [dag for dag in self._runs if dag not in self._finished]

    def start_run(self, dag: str) -> None:
        """Trigger a campaign's DAG."""
        self._runs[dag] = self._api.trigger(dag)

    def tick(self) -> None:
        """Start what is dead; now and then look at the runs."""
        self._restart_dead()
        if time.monotonic() < self._looked_at + LOOK_EVERY:
            return
        self._looked_at = time.monotonic()
        try:
            for dag in self.unfinished:
                self._look_at(dag, self._runs[dag])
            self._look_at_reconciling()
            self._look_at_scheduler()
        except AWAY:
            return

    def _restart_dead(self) -> None:
        for name in ("simulator", *stack.COMPONENTS):
            if self._processes.running(name):
                continue
            if name == "simulator":
                raise StackError(f"The simulator has ended.\n{self._processes.tail(name)}")
            if time.monotonic() >= self._restarted_at.get(name, 0) + RESTART_EVERY:
                self._restarted_at[name] = time.monotonic()
                self.restarts += 1
                stack.start_component(self._processes, name)

    def _look_at(self, dag: str, run_id: str) -> None:
        if self._api.run_state(dag, run_id) == "success":
            self._finished.add(dag)
            self._tell(f"{dag} has succeeded")
            return
        failed = self._failed(dag, run_id)
        if failed == {"report"}:
            # What its message says: nobody knows whether Twilio has the rest, look again.
            self._clear(dag, run_id, {"task_ids": ["resolve_unknown", "report"], "only_failed": False})
        elif failed:
            self._clear(dag, run_id, {"only_failed": True})

    def _look_at_reconciling(self) -> None:
        for run in self._api.runs("reconcile_messages"):
            if run["state"] == "failed":
                self._clear("reconcile_messages", run["dag_run_id"], {"only_failed": True})

    def _look_at_scheduler(self) -> None:
        """Kill a scheduler that is alive and schedules nothing, as a liveness probe does.

        One that loses its database at the wrong moment waits for running tasks before it ends, and these wait for what
        it does not schedule any more.
        """
        now = time.monotonic()
        if self._api.request("GET", "monitor/health")["scheduler"]["status"] == "healthy":
            self._scheduled_at = now
        elif now > self._scheduled_at + STUCK and self._processes.running("scheduler"):
            self._scheduled_at = now
            hit = self._processes.kill("scheduler", whole_session=True)
            self._tell(f"the scheduler was stuck: {len(hit)} processes killed")

    def _failed(self, dag: str, run_id: str) -> set[str]:
        path = f"dags/{dag}/dagRuns/{run_id}/taskInstances"
        tasks: list[dict[str, Any]] = self._api.request("GET", path, params={"limit": 1000})["task_instances"]
        return {task["task_id"] for task in tasks if task["state"] in FAILED}

    def _clear(self, dag: str, run_id: str, what: dict[str, Any]) -> None:
        body = {"dry_run": False, "dag_run_id": run_id, "reset_dag_runs": True, **what}
        cleared = self._api.request("POST", f"dags/{dag}/clearTaskInstances", json=body)["total_entries"]
        self.cleared += cleared
        self._tell(f"cleared {cleared} tasks of {dag}")
