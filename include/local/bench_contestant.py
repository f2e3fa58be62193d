"""One contestant of `bench_send`, in a process of its own: reads a job, says "ready", waits for "go", tells figures.

Nobody times how long a process takes to start: the clock runs from the first request to the last answer. CPU time is
that of the whole work between "go" and the figures, claims and records included.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import SecretStr
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from include.local import bench_people
from include.local.environment import ACCOUNT_SID
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.steps import Step, listen
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.loop import run
from twilio_campaigns.gateway.settings import TwilioSettings
from twilio_campaigns.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from include.local.bench_reconcile_contestant import ReadJob

THREADS: Final = 32


@dataclass(frozen=True)
class Job:
    """What a contestant is to do.

    :param contestant: `ours`, `sdk-async`, `sdk-threads`, `freeze` or `import`.
    :param url: the simulator.
    :param token: its Auth Token.
    :param messages: how many recipients, for those who know no ledger.
    :param width: requests under way at a time.
    :param database: the warehouse, for ours.
    :param campaign_id: whose run is sent.
    :param batches: which of its batches.
    :param parts_per_second: the sender's throughput.
    """

    MODULE: ClassVar[str] = "include.local.bench_contestant"

    contestant: str
    url: str = ""
    token: str = ""
    messages: int = 0
    width: int = 100
    database: str = ""
    campaign_id: str = "bench"
    batches: tuple[int, ...] = ()
    parts_per_second: float = bench_people.UNLIMITED


@dataclass
class Clock:
    """Moments of the first request and of the last answer, on a clock that all processes share."""

    first: float = 0.0
    last: float = 0.0
    answers: int = 0

    def begin(self) -> None:
        """Take note that a request leaves."""
        if not self.first:
            self.first = time.monotonic()

    def end(self) -> None:
        """Take note that an answer is there."""
        self.last = time.monotonic()
        self.answers += 1

    def step(self, step: Step) -> None:
        """Listen to the engine's steps."""
        if step is Step.POSTING:
            self.begin()
        elif step is Step.ANSWERED:
            self.end()


def wait_for_go() -> None:
    """Say that everything is set up, and wait until all who start together are."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


def client_of(job: Job | ReadJob, http: Any) -> Client:  # noqa: ANN401 - the SDK is not typed
    """Make the SDK's client as its documentation does, at another address."""
    client = Client(ACCOUNT_SID, job.token, http_client=http)
    client.api.base_url = job.url
    return client


def fields(number: int) -> dict[str, str]:
    """Give the arguments of one create."""
    return {
        "to": bench_people.phone(number),
        "messaging_service_sid": bench_people.SERVICE_SID,
        "body": bench_people.text(number),
    }


async def sdk_async(job: Job, clock: Clock) -> float:
    """Send over the SDK's asynchronous client: as many coroutines as requests may be under way."""
    numbers = iter(range(job.messages))
    async with AsyncTwilioHttpClient() as http:
        client = client_of(job, http)

        async def work() -> None:
            for number in numbers:
                clock.begin()
                await client.messages.create_async(**fields(number))
                clock.end()

        wait_for_go()
        began = time.process_time()
        await asyncio.gather(*(work() for _ in range(job.width)))
        return time.process_time() - began


def sdk_threads(job: Job, clock: Clock) -> float:
    """Send over the SDK's synchronous client from a pool of threads."""
    client, lock = client_of(job, TwilioHttpClient(timeout=30)), threading.Lock()

    def work(number: int) -> None:
        with lock:
            clock.begin()
        client.messages.create(**fields(number))
        with lock:
            clock.end()

    wait_for_go()
    began = time.process_time()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(work, range(job.messages)):
            pass
    return time.process_time() - began


@asynccontextmanager
async def _sender(job: Job) -> AsyncIterator[Callable[[], BatchSender]]:
    token = SecretStr(job.token)
    settings = TwilioSettings(account_sid=ACCOUNT_SID, auth_token=token, base_url=job.url, list_lag_seconds=0)
    campaign = bench_people.campaign(job.campaign_id, job.parts_per_second, None)
    with Warehouse(job.database) as warehouse:
        warehouse.now()
        async with TwilioGateway(settings, max_connections=job.width) as twilio:
            yield lambda: BatchSender(warehouse, twilio, campaign, Settings(), width=job.width)


async def ours(job: Job, clock: Clock) -> float:
    """Send batches of a frozen run, one after the other, as the tasks of a worker do."""
    listen(clock.step)
    async with _sender(job) as make:
        wait_for_go()
        began = time.process_time()
        for batch in job.batches:
            await make().send(bench_people.run_of(job.campaign_id).run_key, batch)
        return time.process_time() - began


def freeze(job: Job, _clock: Clock) -> float:
    """Freeze an audience that is made while it is read."""
    wait_for_go()
    began = time.process_time()
    campaign = bench_people.campaign(job.campaign_id, job.parts_per_second, None)
    bench_people.freeze(job.database, campaign, bench_people.rows(job.messages))
    return time.process_time() - began


def nothing(_job: Job, _clock: Clock) -> float:
    """Do nothing, to see what a process weighs that has only imported everything."""
    wait_for_go()
    return 0.0


def peak_megabytes() -> float:
    """Give the most memory that this process ever held: `VmHWM` of proc(5)."""
    status = Path("/proc/self/status").read_text("utf-8")
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def main() -> None:
    """Do the job on standard input's first line; figures go to standard output as JSON."""
    read = json.loads(sys.stdin.readline())
    job, clock = Job(**{**read, "batches": tuple(read["batches"])}), Clock()
    if job.contestant == "ours":
        cpu = run(ours(job, clock))  # in the loop in which our tasks send
    elif job.contestant == "sdk-async":
        cpu = asyncio.run(sdk_async(job, clock))  # as the SDK's documentation does
    else:
        cpu = {"sdk-threads": sdk_threads, "freeze": freeze, "import": nothing}[job.contestant](job, clock)
    sys.stdout.write(json.dumps({**asdict(clock), "cpu": cpu, "peak_megabytes": peak_megabytes()}) + "\n")


if __name__ == "__main__":
    main()
