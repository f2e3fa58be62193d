"""Whom to kill: the processes of this stack's tasks, found by the sessions that the stack has started."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.local.processes import parent_of, title_of

if TYPE_CHECKING:
    import signal

    from include.local.processes import Processes

#: Airflow's title of a task's process; its supervisor is the executor's worker and has another one.
TASK_TITLE = re.compile(r"airflow worker -- ([0-9a-f-]{36})")
WORKER_TITLE = re.compile(r"airflow worker -- LocalExecutor")


@dataclass(frozen=True)
class TaskProcess:
    """A task that runs.

    :param pid: of the task itself.
    :param worker: of the executor's worker that supervises it; `None` when that is dead.
    :param task_instance: Airflow's id of the try.
    """

    pid: int
    worker: int | None
    task_instance: str


def running_tasks(processes: Processes) -> list[TaskProcess]:
    """Give the tasks of this stack that run now, those of dead schedulers included, in the order of their start."""
    found = []
    for pid in sorted(processes.members("scheduler")):
        title = TASK_TITLE.match(title_of(pid))
        # Threads of no interest, and what a task starts itself, carry its title too.
        if title and _leads_a_group(pid):
            parent = parent_of(pid)
            is_worker = parent is not None and WORKER_TITLE.match(title_of(parent))
            found.append(TaskProcess(pid, parent if is_worker else None, title[1]))
    return found


def send_signal(pid: int, number: signal.Signals) -> bool:
    """Send a signal; give whether there was somebody to get it."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _leads_a_group(pid: int) -> bool:
    with suppress(ProcessLookupError):
        return os.getpgid(pid) == pid
    return False
