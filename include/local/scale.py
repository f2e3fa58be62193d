"""`make bench`: one large campaign through the laptop stack, with the memory that each of its tasks took.

Times say little on a busy machine, so what is judged are ratios and limits within the same run: the peak memory of
every task against 600 MB, messages a second against the sender's limit, API calls per 1,000 messages.
"""

from __future__ import annotations

import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import psycopg
import typer
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

from include.local import report, stack
from include.local.demo import wait_for_runs, wait_until_settled
from include.local.demo_data import fill_customers
from include.local.environment import LOCAL, Stack
from include.local.processes import StackError

if TYPE_CHECKING:
    from include.local.airflow_api import AirflowApi

CAMPAIGN = "large"
TASK_TITLE = re.compile(r"airflow worker -- ([0-9a-f-]{36})")
MEGABYTES = 1024  # /proc speaks of kilobytes
MEMORY_LIMIT = 600
#: Rows of the customers table per recipient: without consent, twice, unreadable.
ROWS_PER_RECIPIENT = 1.25
#: Four days pass in as many seconds.
WINDOW_SECONDS = 600
CAMPAIGN_FILE = """
sender: service
segment:
  sql: segments/large.sql
message:
  body: Hi {{ first_name }}, spring is here. Your {{ loyalty_points }} points wait for you. Reply STOP to opt out.
"""
SENDERS_FILE = """
service:
  channel: sms
  messaging_service_sid: MG0123456789abcdef0123456789abcdef
  parts_per_second: %d
"""
SEGMENT_FILE = "select customer_id, phone, first_name, loyalty_points from demo.customers where marketing_opt_in\n"
FIGURES = """
select (select audience_rows from campaign_runs) as audience_rows,
       count(*) filter (where send_state <> 'skipped') as planned,
       count(*) filter (where send_state = 'accepted') as accepted,
       count(settled_at) as settled,
       extract(epoch from max(claimed_at) - min(claimed_at)) as seconds_of_sending,
       (select sum(api_calls) from reconcile_passes) as reconcile_calls,
       (select count(*) from campaign_events) as events,
       (select extract(epoch from max(finished_at) - min(started_at)) from reconcile_passes) as seconds_of_reconciling
from messages
"""


class MemoryWatch:
    """Looks at the processes of tasks while they run, and keeps the peak that the kernel knows of each.

    Airflow's title for them ends in the id of the task instance; their peak is `VmHWM` of proc(5).
    """

    def __init__(self) -> None:
        self.peaks: dict[str, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.3):
            for folder in Path("/proc").glob("[0-9]*"):
                self._look(folder)

    def _look(self, folder: Path) -> None:
        try:
            title = TASK_TITLE.match((folder / "cmdline").read_text("utf-8", "replace"))
            if title is None:
                return
            peak = re.search(r"VmHWM:\s*(\d+) kB", (folder / "status").read_text("utf-8"))
        except OSError:
            return
        if peak:
            self.peaks[title[1]] = max(self.peaks.get(title[1], 0), int(peak[1]) // MEGABYTES)


def _include(folder: Path, parts_per_second: int) -> Path:
    include = folder / "include"
    for name, content in {
        f"campaigns/{CAMPAIGN}.yaml": CAMPAIGN_FILE,
        f"segments/{CAMPAIGN}.sql": SEGMENT_FILE,
        "senders.yaml": SENDERS_FILE % parts_per_second,
    }.items():
        file = include / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")
    return include


def _run(made: Stack, people: int, tell: Any) -> AirflowApi:  # noqa: ANN401 - prints
    tell("start")
    api = stack.start(made, lambda _: None)
    tell(f"{people:,} customers")
    with psycopg.connect(made.database_url("warehouse")) as connection:
        connection.execute("drop table demo.customers")
    fill_customers(made.database_url("warehouse"), people)
    dag = f"campaign__{CAMPAIGN}"
    api.wait_for_dags({dag, "reconcile_messages"})
    for name in (dag, "reconcile_messages"):
        api.unpause(name)
    tell("freeze and send")
    wait_for_runs(api, {dag: api.trigger(dag)}, made, patience=3600)
    tell("reconcile")
    wait_until_settled(api, made, patience=3600)
    return api


@dataclass(frozen=True)
class TaskFigures:
    """What the instances of one task took."""

    instances: int
    longest_seconds: float
    peak_megabytes: int


def _task_figures(api: AirflowApi, peaks: dict[str, int]) -> dict[str, TaskFigures]:
    found: dict[str, list[dict[str, Any]]] = {}
    for dag in (f"campaign__{CAMPAIGN}", "reconcile_messages"):
        for run in api.runs(dag):
            path = f"dags/{dag}/dagRuns/{run['dag_run_id']}/taskInstances"
            for task in api.request("GET", path, params={"limit": 1000})["task_instances"]:
                found.setdefault(task["task_id"], []).append(task)
    return {
        name: TaskFigures(
            len(tasks),
            max(float(task["duration"] or 0) for task in tasks),
            max(peaks.get(task["id"], 0) for task in tasks),
        )
        for name, tasks in found.items()
    }


def main(
    recipients: Annotated[int, typer.Option(help="About how many people are texted.")] = 100_000,
    parts_per_second: Annotated[int, typer.Option(help="The sender's throughput.")] = 2000,
) -> None:
    """Send and reconcile one large campaign on the laptop stack, and judge memory, rate and calls."""
    LOCAL.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=LOCAL))
    folder.chmod(0o755)
    ladder = ",".join(f"{WINDOW_SECONDS * share // 96}s" for share in (1, 3, 6, 12, 24, 48, 72, 96))
    settings = {
        "INCLUDE": str(_include(folder, parts_per_second)),
        "TRACKING_WINDOW": f"{WINDOW_SECONDS}s",
        "LADDER": ladder,
        "SETTLE_UNPRICED_AFTER": f"{WINDOW_SECONDS // 2}s",
        "MIN_WAIT": "5s",
        "MAX_WAIT": "15s",
    }
    options = {"life-speed": str(4 * 86400 // WINDOW_SECONDS)}
    made = Stack.load_or_make(folder, simulator_options=options, settings=settings)
    console, began = Console(), time.monotonic()

    def tell(phase: str) -> None:
        console.print(f"{time.monotonic() - began:7.1f} s  {phase}", highlight=False)

    try:
        with MemoryWatch() as memory:
            api = _run(made, round(recipients * ROWS_PER_RECIPIENT), tell)
        tasks = _task_figures(api, memory.peaks)
        with psycopg.connect(
            made.database_url("warehouse"), row_factory=dict_row, options="-c search_path=messaging"
        ) as connection:
            figures = connection.execute(FIGURES).fetchone() or {}
        checks = report.show(made.database_url("warehouse"), console)
    except StackError as error:
        console.print(f"The run failed: {error}\nLogs: {made.logs}", markup=False)
        raise typer.Exit(1) from None
    finally:
        stack.stop(made)
    ok = _judge(console, figures, tasks, parts_per_second)
    if not ok or not checks or not all(check.holds for check in checks):
        raise typer.Exit(1)
    shutil.rmtree(folder, ignore_errors=True)


def _judge(console: Console, figures: dict[str, Any], tasks: dict[str, TaskFigures], parts_per_second: int) -> bool:
    rate = float(figures["accepted"]) / max(1.0, float(figures["seconds_of_sending"]))
    freezing = max(tasks["prepare_audience"].longest_seconds, 0.1)
    calls = 1000 * float(figures["reconcile_calls"]) / float(figures["accepted"])
    table = Table(title="One large campaign", title_justify="left", show_header=False)
    for name, value in figures.items():
        table.add_row(name, f"{value:,.0f}")
    table.add_row("audience rows frozen a second", f"{float(figures['audience_rows']) / freezing:,.0f}")
    table.add_row("messages sent a second", f"{rate:,.0f} ({rate / parts_per_second:.0%} of the sender's limit)")
    table.add_row("API calls of reconciling per 1,000 messages", f"{calls:,.1f}")
    for name, task in tasks.items():
        share = task.peak_megabytes / MEMORY_LIMIT
        table.add_row(
            f"{name}: {task.instances} instances",
            f"at most {task.peak_megabytes} MB ({share:.0%} of {MEMORY_LIMIT} MB) and {task.longest_seconds:,.1f} s",
        )
    console.print(table)
    # A peak of 0 means that nobody saw the task, which proves nothing.
    return all(0 < task.peak_megabytes < MEMORY_LIMIT for task in tasks.values())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    typer.run(main)
