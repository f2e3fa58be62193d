"""Kills what the plan says, as soon as there is somebody to kill, and thaws and clears up afterwards."""

from __future__ import annotations

import json
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx
import psycopg
from psycopg.rows import dict_row

from include.local import postgres
from include.local.chaos_death import DONE
from include.local.chaos_plan import Kind
from include.local.chaos_targets import TASK_TITLE, TaskProcess, running_tasks, send_signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from include.local.chaos_plan import Kill
    from include.local.environment import Stack
    from include.local.processes import Processes

#: Seconds for which a kill waits for somebody to kill; then the next one's turn has come.
PATIENCE: Final = 20.0
#: Seconds for which a frozen worker is longer frozen than its heartbeats may fail.
FROZEN_WORKER: Final = (20.0, 50.0)
#: Seconds for which tasks outlive their scheduler, until a service manager would have noticed.
ORPHANED: Final = (15.0, 60.0)
REFUSED: Final = (1.0, 5.0)
COMPONENTS: Final = {
    Kind.API_SERVER: "api-server",
    Kind.TRIGGERER: "triggerer",
    Kind.DAG_PROCESSOR: "dag-processor",
    Kind.MACHINE: "scheduler",
}


@dataclass(frozen=True)
class Hit:
    """A kill that was done.

    :param seconds: since the harness began to kill.
    """

    kill: Kill
    seconds: float
    target: str


class Killer:
    """Carries the plan out.

    :param stack: whose processes are killed; no others.
    :param processes: the same, with the sessions that were started.
    :param plan: what to kill.
    :param wanted: how many kills are to be done.
    :param deaths: folder in which tasks are asked to die at a step.
    :param post_window: seconds; frozen tasks thaw after it.
    :param tell: called with a line per kill.
    """

    def __init__(
        self,
        stack: Stack,
        processes: Processes,
        plan: Iterator[Kill],
        wanted: int,
        deaths: Path,
        post_window: float,
        tell: Callable[[str], None],
    ) -> None:
        self._stack = stack
        self._processes = processes
        self._plan = plan
        self._wanted = wanted
        self._deaths = deaths
        self._post_window = post_window
        self._tell = tell
        self._began = time.monotonic()
        self._armed: dict[int, Kill] = {}
        self._later: list[tuple[float, Callable[[], object]]] = []
        self.hits: list[Hit] = []
        self.missed: list[Kill] = []
        (deaths / DONE).mkdir(parents=True, exist_ok=True)
        self._has_begun = False
        self._next = next(plan)
        self._due = self._began

    @property
    def is_done(self) -> bool:
        """Whether all that was wanted was done, and nobody is frozen any more."""
        return len(self.hits) >= self._wanted and not self._armed and not self._later

    def open_plan(self) -> None:
        """Ask for the deaths with which the plan begins, before there is a task to die."""
        while self._next.kind is Kind.STEP:
            self._arm(self._next)
            self._advance()

    def tick(self) -> None:
        """Do what is due."""
        self._clear_up()
        self._collect()
        if not self._is_sending():
            return
        now = time.monotonic()
        if len(self.hits) + len(self._armed) >= self._wanted or now < self._due:
            return
        target = self._strike(self._next)
        if target is not None:
            if target:
                self._hit(self._next, target)
            self._advance()
        elif now > self._due + PATIENCE:
            self.missed.append(self._next)
            self._tell(f"kill {self._next.number}: no {self._next.kind} to be found, left out")
            self._advance()

    def _is_sending(self) -> bool:
        """Whether the first message has been sent: before that only the opening deaths are wanted."""
        if self._has_begun:
            return True
        with suppress(httpx.TransportError):
            stats = httpx.get(f"{self._stack.simulator_url}/_simulator/stats", timeout=10).json()
            self._has_begun = stats["messages"] > 0
            self._due = time.monotonic() + self._next.pause
        return self._has_begun

    def finish(self) -> None:
        """Let nobody stay frozen, and ask for no more deaths."""
        for _, action in self._later:
            action()
        self._later = []
        self._collect()
        for kill in self._armed.values():
            (self._deaths / f"{kill.step}.{kill.number}").unlink(missing_ok=True)
            self.missed.append(kill)
        self._armed = {}

    def _advance(self) -> None:
        self._next = next(self._plan)
        self._due = time.monotonic() + self._next.pause

    def _hit(self, kill: Kill, target: str) -> None:
        hit = Hit(kill, time.monotonic() - self._began, target)
        self.hits.append(hit)
        step = f" {kill.step}" if kill.step else ""
        self._tell(f"kill {kill.number} ({len(self.hits)} of {self._wanted}): {kill.kind}{step}: {target}")
        record = {"at": time.time(), "number": kill.number, "kind": kill.kind, "step": kill.step, "target": target}
        with (self._stack.folder / "kills.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def _strike(self, kill: Kill) -> str | None:
        """Do one kill; give whom it hit, nothing if there is nobody, and no name for what somebody else will do."""
        if kill.kind is Kind.STEP:
            self._arm(kill)
            return ""
        if kill.kind in COMPONENTS:
            name = COMPONENTS[kill.kind]
            return _named(name, self._processes.kill(name, whole_session=True))
        others = {
            Kind.TASK: self._kill_task,
            Kind.WORKER: self._kill_worker,
            Kind.FROZEN_TASK: self._freeze_task,
            Kind.FROZEN_WORKER: self._freeze_worker,
            Kind.SCHEDULER: self._kill_scheduler,
            Kind.POSTGRES_RESTART: self._restart_postgres,
            Kind.POSTGRES_KILL: self._kill_postgres,
            Kind.REFUSE: self._refuse,
        }
        return others[kill.kind](kill)

    def _arm(self, kill: Kill) -> None:
        name = f"{kill.step}.{kill.number}"
        draft = self._deaths / DONE / name
        draft.write_text(str(kill.countdown), "utf-8")
        draft.rename(self._deaths / name)
        self._armed[kill.number] = kill

    def _collect(self) -> None:
        for file in (self._deaths / DONE).glob("*.*"):
            number = int(file.stem) if file.stem.isdigit() else None
            if number in self._armed:
                title = TASK_TITLE.match(file.read_text("utf-8", "replace"))
                task = TaskProcess(int(file.suffix[1:]), None, title[1] if title else "")
                self._hit(self._armed.pop(number), self._name(task))

    def _kill_task(self, kill: Kill) -> str | None:
        task = self._pick(kill)
        return self._name(task) if task and send_signal(task.pid, signal.SIGKILL) else None

    def _kill_worker(self, kill: Kill) -> str | None:
        """Only a busy one: an idle one dies with the lock of the executor's queue, and the executor hangs."""
        task = self._pick(kill, with_worker=True)
        if task is None or task.worker is None:
            return None
        return f"{task.worker} of {self._name(task)}" if send_signal(task.worker, signal.SIGKILL) else None

    def _freeze_task(self, kill: Kill) -> str | None:
        task = self._pick(kill, task_id="send_batch")
        if task is None or not send_signal(task.pid, signal.SIGSTOP):
            return None
        seconds = self._post_window + 1 + 6 * kill.share
        self._after(seconds, lambda: send_signal(task.pid, signal.SIGCONT))
        return f"{self._name(task)} for {seconds:.0f} s"

    def _freeze_worker(self, kill: Kill) -> str | None:
        task = self._pick(kill, task_id="send_batch", with_worker=True)
        if task is None or task.worker is None or not send_signal(task.worker, signal.SIGSTOP):
            return None
        send_signal(task.pid, signal.SIGSTOP)
        seconds, pids = _between(FROZEN_WORKER, kill), (task.pid, task.worker)
        self._after(seconds, lambda: [send_signal(pid, signal.SIGCONT) for pid in pids])
        return f"{self._name(task)} and its worker for {seconds:.0f} s"

    def _kill_scheduler(self, kill: Kill) -> str | None:
        """Kill the scheduler alone; its tasks go on without anybody who knows of them."""
        hit = self._processes.kill("scheduler", whole_session=False)
        if hit:
            self._after(_between(ORPHANED, kill), lambda: self._processes.kill_former("scheduler"))
        return _named("scheduler", hit)

    def _restart_postgres(self, _kill: Kill) -> str:
        postgres.restart_at_once(self._stack)
        return "recovered"

    def _kill_postgres(self, _kill: Kill) -> str:
        pid = postgres.kill(self._stack)
        postgres.recover(self._stack, pid)
        return f"pid {pid}, recovered"

    def _refuse(self, kill: Kill) -> str | None:
        seconds = _between(REFUSED, kill)
        url = f"{self._stack.simulator_url}/_simulator/refuse"
        try:
            httpx.post(url, json={"seconds": seconds}, timeout=10).raise_for_status()
        except httpx.TransportError:  # it refuses still
            return None
        return f"for {seconds:.1f} s"

    def _pick(self, kill: Kill, task_id: str | None = None, *, with_worker: bool = False) -> TaskProcess | None:
        tasks = [task for task in running_tasks(self._processes) if task.worker or not with_worker]
        names = self._task_ids()
        tasks = [task for task in tasks if task_id is None or names.get(task.task_instance, "").startswith(task_id)]
        return tasks[int(kill.pick * len(tasks))] if tasks else None

    def _name(self, task: TaskProcess) -> str:
        return f"{self._task_ids().get(task.task_instance, 'unknown task')}, pid {task.pid}"

    def _task_ids(self) -> dict[str, str]:
        with (
            suppress(psycopg.OperationalError),
            psycopg.connect(self._stack.database_url("airflow"), row_factory=dict_row) as connection,
        ):
            rows = connection.execute(
                "select id::text, concat_ws(' ', task_id, nullif(map_index, -1), 'of', dag_id) as name "
                "from task_instance where state = 'running'"
            ).fetchall()
            return {row["id"]: row["name"] for row in rows}
        return {}

    def _after(self, seconds: float, action: Callable[[], object]) -> None:
        self._later.append((time.monotonic() + seconds, action))

    def _clear_up(self) -> None:
        now = time.monotonic()
        for due, action in [entry for entry in self._later if entry[0] <= now]:
            action()
            self._later.remove((due, action))


def _between(limits: tuple[float, float], kill: Kill) -> float:
    low, high = limits
    return low + (high - low) * kill.share


def _named(name: str, hit: list[int]) -> str | None:
    return f"{name}, {len(hit)} processes" if hit else None
