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
from typing import TYPE_CHECKING, NamedTuple

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
        return stat is not None and stat.began == self.began and stat.state != "Z"


class _Stat(NamedTuple):
    """Of a process's line in proc(5): fields 3, 4, 6 and 22."""

    state: str
    parent: int
    session: int
    began: str


def _stat(pid: int) -> _Stat | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return _Stat(fields[0], int(fields[1]), int(fields[3]), fields[19])


def _session(leader: int) -> list[int]:
    """Every living process of a session: Airflow gives its tasks process groups of their own."""
    pids = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [pid for pid in pids if (stat := _stat(pid)) and stat.session == leader and stat.state != "Z"]


class Processes:
    """The named processes of one stack, each the leader of a session of its own.

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
        self._retire(name)
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
        record = {"pid": child.pid, "began": stat.began if stat else ""}
        (self._folder / f"{name}.json").write_text(json.dumps(record), "utf-8")

    def running(self, name: str) -> Process | None:
        """Give the process if it runs."""
        process = self._recorded(name)
        return process if process and process.is_alive else None

    def members(self, name: str) -> list[int]:
        """Every living process of the sessions that were started under this name, those of dead leaders included."""
        return [pid for leader in self._leaders(name) for pid in _session(leader)]

    def kill(self, name: str, *, whole_session: bool) -> list[int]:
        """Kill a process at once, as an accident would; what it has started lives on unless the session goes too.

        :return: whom it hit.
        """
        process = self.running(name)
        hit = [] if process is None else _session(process.pid) if whole_session else [process.pid]
        for pid in hit:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _bury()
        return hit

    def kill_former(self, name: str) -> list[int]:
        """Kill what dead processes of this name have left behind, as a service manager would; give whom it hit."""
        hit = [pid for file in self._former(name) for pid in _session(int(file.suffix[1:]))]
        for pid in hit:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return hit

    def _retire(self, name: str) -> None:
        """Keep the record of a dead process whose children live on: whoever stops the stack stops them as well."""
        process = self._started(name)
        if process and _session(process.pid):
            self._former_folder.mkdir(exist_ok=True)
            (self._folder / f"{name}.json").rename(self._former_folder / f"{name}.{process.pid}")

    @property
    def _former_folder(self) -> Path:
        return self._folder / "former"

    def _former(self, name: str) -> list[Path]:
        """Give records of dead processes, but of none whose id is a living process's by now: that one is not ours."""
        return [file for file in self._former_folder.glob(f"{name}.*") if _stat(int(file.suffix[1:])) is None]

    def _leaders(self, name: str) -> list[int]:
        current = self._started(name)
        former = [int(file.suffix[1:]) for file in self._former(name)]
        return [*former, current.pid] if current else former

    def _started(self, name: str) -> Process | None:
        """Give the process, running or not, unless its id is somebody else's by now."""
        process = self._recorded(name)
        stat = _stat(process.pid) if process else None
        return None if stat and process and stat.began != process.began else process

    def _recorded(self, name: str) -> Process | None:
        try:
            return Process(**json.loads((self._folder / f"{name}.json").read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

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
        """Stop everything that was started, and what that has started: politely, and after some patience for good."""
        leaders = [leader for name in self.names() for leader in self._leaders(name)]
        until = time.monotonic() + patience
        _signal_sessions(leaders, signal.SIGTERM)
        while any(_session(leader) for leader in leaders) and time.monotonic() < until:
            _bury()
            time.sleep(0.1)
        _signal_sessions(leaders, signal.SIGKILL)
        _bury()
        for file in [*self._folder.glob("*.json"), *self._former_folder.glob("*")]:
            file.unlink()


def _signal_sessions(leaders: Sequence[int], number: signal.Signals) -> None:
    for pid in (pid for leader in leaders for pid in _session(leader)):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


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


def parent_of(pid: int) -> int | None:
    """Give the id of a process's parent."""
    stat = _stat(pid)
    return stat.parent if stat else None


def title_of(pid: int) -> str:
    """Give a process's command line, or the title that it has given itself; empty if it is gone."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    return ""


def python() -> str:
    """Give this environment's Python."""
    return sys.executable
