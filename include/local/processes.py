"""Starting and stopping a stack's processes: never one that the stack did not start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

TAIL_LINES = 15


class StackError(Exception):
    """The stack cannot do what it should; the message says why."""


@dataclass(frozen=True)
class Process:
    """A process by its id and the moment at which it began: ids are used again, the pair is not."""

    pid: int
    began: str

    @property
    def is_alive(self) -> bool:
        """Whether it runs still; one that only waits to be buried does not."""
        stat = _stat(self.pid)
        return stat is not None and stat[1] == self.began and stat[0] != "Z"


def _stat(pid: int) -> tuple[str, str] | None:
    """State and start time of a process (proc(5), fields 3 and 22)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]


class Processes:
    """The named processes of one stack, each the leader of a group of its own.

    :param folder: pid files.
    :param logs: one log per process.
    :param environ: environment of all.
    """

    def __init__(self, folder: Path, logs: Path, environ: dict[str, str]) -> None:
        self._folder = folder
        self._logs = logs
        self._environ = environ
        folder.mkdir(parents=True, exist_ok=True)
        logs.mkdir(parents=True, exist_ok=True)

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a process unless it runs already."""
        if self.running(name):
            return
        with (self._logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        stat = _stat(child.pid)
        record = {"pid": child.pid, "began": stat[1] if stat else ""}
        (self._folder / f"{name}.json").write_text(json.dumps(record), "utf-8")

    def running(self, name: str) -> Process | None:
        """Give the process if it runs."""
        try:
            process = Process(**json.loads((self._folder / f"{name}.json").read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return process if process.is_alive else None

    def names(self) -> list[str]:
        """Names of everything that was started and not stopped yet."""
        return sorted(file.stem for file in self._folder.glob("*.json"))

    def check(self) -> None:
        """Make sure that everything runs.

        :raises StackError: naming what ended, with the end of its log.
        """
        for name in self.names():
            if not self.running(name):
                raise StackError(f"{name} has ended. The end of its log:\n{self.tail(name)}")

    def tail(self, name: str) -> str:
        """Give the last lines of a process's log."""
        file = self._logs / f"{name}.log"
        lines = file.read_text("utf-8", "replace").splitlines() if file.exists() else []
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])

    def stop_all(self, patience: float = 15.0) -> None:
        """Stop everything that was started: politely, and after some patience for good."""
        alive = {name: process for name in self.names() if (process := self.running(name))}
        for process in alive.values():
            _signal_group(process, signal.SIGTERM)
        until = time.monotonic() + patience
        while any(process.is_alive for process in alive.values()) and time.monotonic() < until:
            _bury()
            time.sleep(0.1)
        for process in alive.values():
            # Children of the group may outlive their leader.
            _signal_group(process, signal.SIGKILL)
        _bury()
        for name in self.names():
            (self._folder / f"{name}.json").unlink()


def _signal_group(process: Process, number: signal.Signals) -> None:
    """Signal a group. Its id stays taken while a member lives, so it cannot be anybody else's."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _bury() -> None:
    """Collect ended children, so that they do not look alive."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def run(command: Sequence[str], environ: dict[str, str]) -> None:
    """Run a command to its end.

    :raises StackError: with the end of its output if it fails.
    """
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        lines = (done.stdout + done.stderr).splitlines()[-TAIL_LINES:]
        raise StackError(f"`{' '.join(command)}` failed:\n" + "\n".join(f"  {line}" for line in lines))


def python() -> str:
    """Give this environment's Python."""
    return sys.executable
