"""`make chaos`: two campaigns through a real stack that is killed all the while, then a verdict row by row.

Proves the first promise: a person gets a message of a campaign run at most once, and everybody is accounted for.
"""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import httpx
import psycopg
import typer
from rich.console import Console
from rich.table import Table

from include.local import stack
from include.local.chaos_data import SENDERS, people, write_dags, write_include, write_people
from include.local.chaos_killer import Killer
from include.local.chaos_operator import AWAY, Operator
from include.local.chaos_plan import ALL_STEPS_FROM, Kind, plan
from include.local.chaos_scan import EXAMPLES, Scan, Scanner
from include.local.chaos_verdict import Check, judge, read_books
from include.local.demo import OPEN
from include.local.environment import LOCAL, Stack
from include.local.processes import StackError
from twilio_campaigns.domain.steps import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

POST_WINDOW: Final = 5
LIST_LAG: Final = 3.0
#: Seconds of sending per second of pauses: half of the time somebody is dead, and a kill waits for somebody to kill.
SENDING_SHARE: Final = 0.8
OPTED_OUT_SHARE: Final = 0.003
#: Batches of a campaign, all sent at a time: their chunks, two seconds each, wait for each other's turn, and all of
#: them must come within the post window.
BATCHES: Final = 2
#: Four days of a message's life are lived in a minute.
LIFE_SPEED: Final = 5760
FAULTS: Final = {
    "lost_share": 0.02,
    "throttled_share": 0.03,
    "throttled_with_retry_after_share": 0.02,
    "retry_after_seconds": 1,
    "unavailable_share": 0.01,
    "unavailable_after_share": 0.01,
    "reset_share": 0.005,
    "read_throttled_share": 0.01,
}
#: Airflow notices deaths within seconds instead of minutes.
AIRFLOW: Final = {
    "CORE__PARALLELISM": "12",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "SCHEDULER__TASK_QUEUED_TIMEOUT": "45",
    "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "10",
}


@dataclass(frozen=True)
class Options:
    """What is wanted.

    :param messages: of both campaigns.
    :param kills: how many.
    :param seed: of the plan and the simulator.
    :param pause: mean seconds between two kills.
    :param patience: seconds after which the runs must have finished, and as many again for settling.
    """

    messages: int
    kills: int
    seed: int
    pause: float
    patience: float = 1800.0

    @property
    def sending_seconds(self) -> float:
        """How long sending would take if nobody died, so that with the deaths it lasts as long as the kills."""
        return self.kills * self.pause * SENDING_SHARE

    @property
    def window_seconds(self) -> int:
        """How long messages are tracked: as in reality far longer than a run sends, whatever happens to it.

        What is unknown and was never taken is planned again at the run's end, unless the window has closed by then.
        """
        return round(600 + 6 * self.sending_seconds)


@dataclass
class Result:
    """What came of it.

    :param faults: dealt by the simulator, by kind.
    :param seconds: how long each phase took.
    """

    checks: list[Check] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    faults: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every promise was kept."""
        return bool(self.checks) and all(check.holds for check in self.checks)


def make_stack(folder: Path, options: Options) -> Stack:
    """Prepare a stack of its own in a folder."""
    deaths = folder / "kill-at"
    each, window = options.messages // 2, options.window_seconds
    include = write_include(
        folder,
        batch_size=-(-each // BATCHES),
        rate=max(1, round(each / options.sending_seconds)),
    )
    ladder = [2, 5, 10, 15, 20, 30, 40, 50, 60, 80, *range(120, window, 120), window]
    settings = {
        "INCLUDE": str(include),
        "POST_WINDOW": f"{POST_WINDOW}s",
        "LEASE": "36s",
        "LOOKUP_GAP": "3s",
        "DAY_LEASE": "15s",
        "RETRY_DELAY": "2s",
        "TRACKING_WINDOW": f"{window}s",
        "LADDER": ",".join(f"{seconds}s" for seconds in ladder),
        "SETTLE_UNPRICED_AFTER": "30s",
        "MIN_WAIT": "3s",
        "MAX_WAIT": "5s",
        # Looking at the day waits in place, waiting for a lease to end defers: triggers are to be killed as well.
        "WAIT_IN_PLACE": "10s",
    }
    simulator = {
        "life-speed": str(LIFE_SPEED),
        "list-lag-seconds": str(LIST_LAG),
        "opted-out-share": str(OPTED_OUT_SHARE),
        "seed": str(options.seed),
        "faults": json.dumps(FAULTS),
    }
    airflow = {**AIRFLOW, "CORE__DAGS_FOLDER": str(write_dags(folder, deaths))}
    return Stack.load_or_make(
        folder, simulator_options=simulator, settings=settings, airflow=airflow, list_lag_seconds=LIST_LAG + 1
    )


class Harness:
    """One run of the harness on a stack.

    :param made: the stack.
    :param options: what is wanted.
    :param console: where it is told.
    """

    def __init__(self, made: Stack, options: Options, console: Console) -> None:
        self._stack = made
        self._options = options
        self._console = console
        self._began = time.monotonic()
        self.result = Result()

    def run(self) -> Result:
        """Start, send, kill, settle, judge.

        :raises StackError: if it does not come to its end.
        """
        operator, killer = self._prepare()
        phase = time.monotonic()
        self._until_finished(operator, killer)
        killer.finish()
        self.result.seconds["sending"] = time.monotonic() - phase
        phase = time.monotonic()
        self._until_settled(operator)
        self.result.seconds["settling after it"] = time.monotonic() - phase
        self._judge(operator, killer)
        self.result.seconds["all"] = time.monotonic() - self._began
        return self.result

    def _tell(self, line: str) -> None:
        self._console.print(
            f"{time.monotonic() - self._began:7.1f} s  {line}", highlight=False, markup=False, soft_wrap=True
        )

    def _prepare(self) -> tuple[Operator, Killer]:
        self._tell("start")
        api = stack.start(self._stack, lambda _: None)
        write_people(self._stack.database_url("warehouse"), self._options.messages, self._options.seed)
        dags = [f"campaign__{campaign}" for campaign in SENDERS]
        api.wait_for_dags({*dags, "reconcile_messages"})
        for dag in (*dags, "reconcile_messages"):
            api.unpause(dag)
        self.result.seconds["starting"] = time.monotonic() - self._began
        processes = stack.processes_of(self._stack)
        operator = Operator(api, processes, self._tell)
        killer = Killer(
            self._stack,
            processes,
            plan(self._options.seed, self._options.kills, self._options.pause),
            self._options.kills,
            self._stack.folder / "kill-at",
            POST_WINDOW,
            self._tell,
        )
        killer.open_plan()
        self._tell("both campaigns")
        for dag in dags:
            operator.start_run(dag)
        return operator, killer

    def _until_finished(self, operator: Operator, killer: Killer) -> None:
        until = time.monotonic() + self._options.patience
        while operator.unfinished:
            killer.tick()
            operator.tick()
            if time.monotonic() > until:
                raise StackError(f"{operator.unfinished} did not finish within {self._options.patience:.0f} s.")
            time.sleep(0.2)

    def _until_settled(self, operator: Operator) -> None:
        self._tell("settle")
        until = time.monotonic() + self._options.patience
        while (left := self._open()) != (0, 0):
            operator.tick()
            if time.monotonic() > until:
                raise StackError(f"After {self._options.patience:.0f} s {left} messages (unsent, unsettled) are left.")
            time.sleep(0.5)

    def _open(self) -> object:
        try:
            with psycopg.connect(self._stack.database_url("warehouse")) as connection:
                return connection.execute(OPEN).fetchone()
        except psycopg.OperationalError:
            return None

    def _judge(self, operator: Operator, killer: Killer) -> None:
        self._tell("judge")
        simulator = f"{self._stack.simulator_url}/_simulator"
        truth = httpx.get(f"{simulator}/messages", timeout=120).json()["messages"]
        self.result.faults = httpx.get(f"{simulator}/stats", timeout=60).json()["faults"]
        books = read_books(
            self._stack.database_url("warehouse"),
            [message for message in truth if message["direction"] != "inbound"],
            wanted=self._options.messages,
            simulator_seed=self._options.seed,
            opted_out_share=OPTED_OUT_SHARE,
        )
        self.result.kinds.update(hit.kill.kind for hit in killer.hits)
        self.result.steps.update(hit.kill.step for hit in killer.hits if hit.kill.step)
        scan = self._scan()
        self.result.checks = [*judge(books), _logs_check(scan), *self._kills_checks(killer)]
        self.result.figures = {
            "messages in the ledger": len(books.messages),
            "messages at Twilio": len(books.truth),
            **{f"ledger: {state}": n for state, n in Counter(row["send_state"] for row in books.messages).items()},
            **{f"SID by {source}": n for source, n in Counter(row["sid_source"] for row in books.messages).items()},
            "rows claimed more than once": sum(row["attempts"] > 1 for row in books.messages),
            "events": len(books.events),
            "tasks cleared": operator.cleared,
            "components restarted": operator.restarts,
            "log files, MB": f"{scan.files}, {scan.size / 1e6:.1f}",
        }

    def _scan(self) -> Scan:
        numbers = {person.phone for person in people(self._options.messages, self._options.seed)}
        scanner = Scanner(numbers, self._stack.secrets["auth_token"])
        return scanner.scan([self._stack.logs, self._stack.folder / "task-logs"])

    def _kills_checks(self, killer: Killer) -> list[Check]:
        wanted, done = self._options.kills, len(killer.hits)
        missing: list[str] = []
        if done < wanted:
            missing.append(f"{done} of {wanted} were done before everything had been sent")
        if wanted >= ALL_STEPS_FROM:
            missing.extend(f"nobody died at {step}" for step in Step if not self.result.steps[step])
        missing.extend(f"no {kind}" for kind in Kind if not self.result.kinds[kind])
        return [Check("as many kills as wanted, of every kind", done, missing)]


def _logs_check(scan: Scan) -> Check:
    return Check("(f) no number, text or secret in any log", scan.files, scan.found)


def run(options: Options, console: Console) -> Result:
    """Run the harness in a folder of its own, and stop everything whatever happens.

    :raises StackError: if it does not come to its end; its folder stays.
    """
    LOCAL.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir=LOCAL))
    folder.chmod(0o755)
    console.print(f"seed {options.seed}, {options.kills} kills, {options.messages} messages, {folder}", soft_wrap=True)
    made = make_stack(folder, options)
    try:
        result = Harness(made, options, console).run()
    finally:
        stack.stop(made)
    if result.holds:
        shutil.rmtree(folder, ignore_errors=True)
    return result


def show(result: Result, options: Options, console: Console) -> None:
    """Print the verdict."""
    table = Table(title=f"Chaos, seed {options.seed}", title_justify="left", show_header=False)
    for title, figures in (
        ("kills", result.kinds),
        ("deaths at a step", result.steps),
        ("faults of Twilio", result.faults),
        ("figures", result.figures),
        ("seconds", {name: f"{seconds:.0f}" for name, seconds in result.seconds.items()}),
    ):
        for name, value in figures.items():
            table.add_row(title, str(name), f"{value:,}" if isinstance(value, int) else str(value))
        table.add_section()
    console.print(table)
    for check in result.checks:
        mark = "[green]holds[/] " if check.holds else "[red]BROKEN[/]"
        console.print(
            f"  {mark}  {check.says}  ({check.looked_at:,} looked at, {len(check.broken):,} broken)", soft_wrap=True
        )
        _show_broken(check.broken, console)


def _show_broken(broken: Sequence[str], console: Console) -> None:
    for line in broken[:EXAMPLES]:
        console.print(f"            {line}", markup=False, highlight=False, soft_wrap=True)


def main(
    messages: Annotated[int, typer.Option(help="Messages of both campaigns.")] = 10_000,
    kills: Annotated[int, typer.Option(help="How often something is killed.")] = 100,
    seed: Annotated[int | None, typer.Option(help="The plan follows from it; random when left out.")] = None,
    pause: Annotated[float, typer.Option(help="Mean seconds between two kills.")] = 7.0,
) -> None:
    """Send two campaigns while everything is killed, and prove that nobody gets a message twice or none."""
    options = Options(messages, kills, secrets.randbelow(2**31) if seed is None else seed, pause)
    console = Console()
    try:
        result = run(options, console)
    except (StackError, *AWAY) as error:
        console.print(f"The harness did not come to its end: {error}", markup=False)
        raise typer.Exit(1) from None
    show(result, options, console)
    if not result.holds:
        raise typer.Exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    typer.run(main)
