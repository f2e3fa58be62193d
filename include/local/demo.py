"""`make demo`: two campaigns through a real stack, from segment to settled events, then a report."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from include.local import report, stack
from include.local.environment import LOCAL, Stack
from include.local.processes import StackError

if TYPE_CHECKING:
    from include.local.airflow_api import AirflowApi

CAMPAIGNS = ("spring_sale", "product_launch")
#: Four days become a minute: lives are lived 5,760 times as fast, and everything that follows them too.
WINDOW_SECONDS = 60
SIMULATOR = {"life-speed": str(4 * 86400 // WINDOW_SECONDS)}
SETTINGS = {
    "TRACKING_WINDOW": f"{WINDOW_SECONDS}s",
    "LADDER": "2s,5s,10s,15s,20s,30s,40s,50s,60s",
    "SETTLE_UNPRICED_AFTER": "30s",
    "MIN_WAIT": "3s",
    "MAX_WAIT": "5s",
}
SEND_PATIENCE = 120.0
SETTLE_PATIENCE = 180.0
OPEN = """
select count(*) filter (where send_state in ('planned', 'claimed', 'unknown')) as unsent,
       count(*) filter (where send_state = 'accepted' and settled_at is null) as unsettled
from messaging.messages
"""


class Progress:
    """One line per phase, with its seconds."""

    def __init__(self) -> None:
        self._began = self._phase_began = time.monotonic()
        self._phase: str | None = None

    def __call__(self, phase: str) -> None:
        """Begin a phase."""
        self.end()
        self._phase, self._phase_began = phase, time.monotonic()
        print(f"  {phase:<34}", end="", flush=True)  # noqa: T201 - the user reads it

    def end(self) -> None:
        """End the current phase."""
        if self._phase is not None:
            print(f"{time.monotonic() - self._phase_began:6.1f} s", flush=True)  # noqa: T201 - the same
        self._phase = None

    @property
    def total(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began


def run(made: Stack) -> bool:
    """Run the demo on a stack; give whether its report adds up.

    :raises StackError: if anything fails on the way.
    """
    progress = Progress()
    api = stack.start(made, progress)
    dags = [f"campaign__{campaign}" for campaign in CAMPAIGNS]
    progress("campaigns become DAGs")
    api.wait_for_dags({*dags, "reconcile_messages"})
    for dag in (*dags, "reconcile_messages"):
        api.unpause(dag)
    progress("freeze and send both campaigns")
    runs = {dag: api.trigger(dag) for dag in dags}
    wait_for_runs(api, runs, made)
    progress("reconcile until all is settled")
    wait_until_settled(api, made)
    progress.end()
    print()  # noqa: T201 - the user reads it
    checks = report.show(made.database_url("warehouse"))
    print(f"\n{progress.total:.0f} s in all; everything is stopped now.")  # noqa: T201 - the same
    return bool(checks) and all(check.holds for check in checks)


def wait_for_runs(api: AirflowApi, runs: dict[str, str], made: Stack, patience: float = SEND_PATIENCE) -> None:
    """Wait until these runs, by DAG, have succeeded.

    :raises StackError: if one fails or takes too long, with its failed tasks.
    """
    until = time.monotonic() + patience
    waiting = dict(runs)
    while waiting:
        for dag, run_id in list(waiting.items()):
            state = api.run_state(dag, run_id)
            if state == "failed":
                raise StackError(f"Run {run_id} of {dag} failed.\n{api.failures(dag, run_id)}")
            if state == "success":
                del waiting[dag]
        stack.processes_of(made).check()
        if time.monotonic() > until:
            details = "\n".join(api.failures(dag, run_id) for dag, run_id in waiting.items())
            raise StackError(f"{', '.join(waiting)} did not finish within {patience:.0f} s.\n{details}")
        time.sleep(0.5)


def wait_until_settled(api: AirflowApi, made: Stack, patience: float = SETTLE_PATIENCE) -> None:
    """Wait until every message has an outcome and none is open.

    :raises StackError: if that takes too long, with what became of `reconcile_messages`.
    """
    until = time.monotonic() + patience
    with psycopg.connect(made.database_url("warehouse"), autocommit=True) as connection:
        while (left := connection.execute(OPEN).fetchone()) != (0, 0):
            stack.processes_of(made).check()
            if time.monotonic() > until:
                runs = api.runs("reconcile_messages")
                details = "\n".join(
                    f"{run['dag_run_id']} is {run['state']}\n{api.failures('reconcile_messages', run['dag_run_id'])}"
                    for run in runs
                )
                raise StackError(
                    f"After {patience:.0f} s {left} messages (unsent, unsettled) are left. Runs of "
                    f"reconcile_messages: {details or 'none'}"
                )
            time.sleep(0.5)


def main() -> int:
    """Run the demo in a folder of its own, and stop everything whatever happens."""
    LOCAL.mkdir(exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="demo-", dir=LOCAL))
    folder.chmod(0o755)
    made = Stack.load_or_make(folder, simulator_options=SIMULATOR, settings=SETTINGS)
    try:
        adds_up = run(made)
    except StackError as error:
        print(f"\n\nThe demo failed: {error}\nLogs: {made.logs}", file=sys.stderr)  # noqa: T201 - the user reads it
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)  # noqa: T201 - the same
        return 130
    finally:
        stack.stop(made)
    if not adds_up:
        print("The report does not add up.", file=sys.stderr)  # noqa: T201 - the same
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
