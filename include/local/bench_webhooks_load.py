"""Plays Twilio for `bench_webhooks`, in a process of its own: posts what it is told to, over connections that stay.

Every request is bytes before the clock starts, and an answer is looked at no further than to its status, so that the
load costs little beside what is measured. Each connection posts its next request when the last one is answered.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast
from urllib.parse import urlsplit

from include.local.bench_contestant import peak_megabytes, wait_for_go
from include.local.bench_webhooks_scene import greetings, posts
from twilio_campaigns.gateway.loop import run

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Requests before the clock starts, per connection.
GREETINGS: Final = 4
#: Seconds without an answer after which a server counts as dead; ours answers 503 after ten.
_PATIENCE: Final = 60
_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class LoadJob:
    """What is to be posted.

    :param contestant: the path under which one is reached.
    :param url: the server.
    :param database: has the messages of which it is told.
    :param token: Auth Token that signs.
    :param seed: of the order.
    :param width: connections.
    """

    MODULE: ClassVar[str] = "include.local.bench_webhooks_load"

    contestant: str
    url: str
    database: str
    token: str
    seed: int
    width: int


class Load:
    """Requests that are being posted.

    :param requests: which ones.
    """

    def __init__(self, requests: Iterable[bytes]) -> None:
        self.requests = iter(requests)
        self.seconds: list[float] = []
        self.statuses: Counter[str] = Counter()

    async def post(self, url: str, width: int) -> None:
        """Post all of them.

        :param url: the server.
        :param width: connections.
        :raises OSError: when one cannot be made, or breaks off.
        :raises TimeoutError: when an answer does not come.
        """
        host, _, port = urlsplit(url).netloc.partition(":")
        loop = asyncio.get_running_loop()
        connected = [await loop.create_connection(lambda: _Connection(self), host, int(port)) for _ in range(width)]
        connections = [connection for _, connection in connected]
        for connection in connections:
            connection.go_on()
        try:
            await _all(connections, self)
        finally:
            for connection in connections:
                connection.close()


async def _all(connections: Iterable[_Connection], load: Load) -> None:
    working, answered = {connection.done for connection in connections}, 0
    while working:
        done, working = await asyncio.wait(working, timeout=_PATIENCE, return_when=asyncio.FIRST_EXCEPTION)
        for connection in done:
            connection.result()
        if working and len(load.seconds) == answered:
            raise TimeoutError(f"{len(working)} requests have no answer after {_PATIENCE} s")
        answered = len(load.seconds)


class _Connection(asyncio.Protocol):
    """A connection that posts one request after the other."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = b""
        self._posted_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def go_on(self) -> None:
        request = next(self._load.requests, None)
        if request is None:
            self.done.set_result(None)
            return
        self._posted_at = time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        end = received.find(_END)
        length = _LENGTH.search(received, 0, end) if end >= 0 else None
        if end < 0 or len(received) < end + len(_END) + (int(length[1]) if length else 0):
            self._received = received
            return
        self._received = b""
        self._load.seconds.append(time.monotonic() - self._posted_at)
        self._load.statuses[received[9:12].decode()] += 1
        self.go_on()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            answers = dict(self._load.statuses)
            self.done.set_exception(error or ConnectionResetError(f"closed by the server; answers so far: {answers}"))

    def close(self) -> None:
        if not self.done.cancel():
            self.done.exception()  # one failure is told, the others are the same
        self._transport.close()


async def work(job: LoadJob) -> dict[str, Any]:
    """Post everything; give figures as :class:`~include.local.bench_lab.Lab` wants them, times in seconds."""
    path = f"{job.contestant}/status"
    load = Load(posts(job.database, job.token, path, job.seed))
    await Load(greetings(job.token, path, GREETINGS * job.width)).post(job.url, job.width)
    wait_for_go()
    before, first = time.process_time(), time.monotonic()
    await load.post(job.url, job.width)
    last, cpu = time.monotonic(), time.process_time() - before
    return {
        "answers": load.statuses.total(),
        "first": first,
        "last": last,
        "cpu": cpu,
        "peak_megabytes": peak_megabytes(),
        "p50": percentile(load.seconds, 50),
        "p99": percentile(load.seconds, 99),
        "statuses": load.statuses,
    }


def percentile(values: Iterable[float], percent: float) -> float:
    """Give the smallest value that so many percent of all do not exceed; 0 where there are none."""
    ordered = sorted(values)
    return ordered[max(0, -int(-len(ordered) * percent // 100) - 1)] if ordered else 0.0


def main() -> None:
    """Do the job on standard input's first line; figures go to standard output as JSON."""
    job = LoadJob(**json.loads(sys.stdin.readline()))
    sys.stdout.write(json.dumps(run(work(job))) + "\n")


if __name__ == "__main__":
    main()
