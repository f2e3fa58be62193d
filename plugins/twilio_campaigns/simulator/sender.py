"""Posting webhooks: signed, tried again as their URLs ask, a bounded number at once.

All of it runs on the event loop that answers requests, in steps of a fraction of a millisecond, so that answers and
webhooks take turns; nothing exists of it before the first webhook.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from twilio_campaigns.simulator.overrides import Overrides, read_overrides, split
from twilio_campaigns.simulator.signing import Signer, with_body_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: How many webhooks are under way at once.
AT_ONCE: Final = 64
#: Seconds after which an idle connection is closed: sooner than receivers do, which would look like a lost request.
_IDLE: Final = 3.0
_HEADERS: Final = {"User-Agent": "TwilioProxy/1.1", "Accept": "*/*"}
_FORM: Final = "application/x-www-form-urlencoded; charset=UTF-8"
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook.

    :param url: as configured, with connection overrides behind `#`.
    :param content: fields of the form, or what the JSON says.
    :param token: the same for all tries, so that a receiver can tell them from news.
    :param is_json: whether the body is JSON.
    :param forged: whether it is signed with another secret than ours.
    """

    url: str
    content: Mapping[str, str]
    token: str
    is_json: bool = False
    forged: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a webhook ended.

    :param answered: the last answer's HTTP status, or why there was none: `ct` no connection, `rt` no answer in time,
        `tt` no time left, `dropped` when the simulator was reset.
    :param tries: how often it was posted.
    """

    answered: int | str
    tries: int

    @property
    def is_taken(self) -> bool:
        """Whether the receiver said that it has it."""
        return isinstance(self.answered, int) and self.answered // 100 == 2  # noqa: PLR2004 - success, in HTTP


@dataclass(frozen=True, slots=True)
class _Job:
    webhook: Webhook
    first_try_ended: Callable[[], None] | None
    ended: asyncio.Future[Outcome] | None


class Sender:
    """Posts webhooks in the order in which they are handed in; the first :data:`AT_ONCE` of them at once.

    :param signer: signs them.
    :ivar counts: requests `sent` and `retried`, webhooks `failed`: given up without a 2xx.
    :ivar answers: requests by what came back: `2xx`, `4xx` …, `ct`, `rt`, `tt`.
    """

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._session: aiohttp.ClientSession | None = None
        self._ready: deque[_Job] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self.reset()

    def reset(self) -> None:
        """Forget everything, and drop what is under way."""
        for job in self._ready:
            _end(job, Outcome("dropped", 0))
        self._ready.clear()
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        self.counts: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()

    async def close(self) -> None:
        """Drop what is under way and close the connections."""
        tasks = list(self._tasks)
        self.reset()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    @property
    def pending(self) -> int:
        """How many webhooks have not ended."""
        return len(self._ready) + len(self._tasks)

    def post(self, webhook: Webhook, first_try_ended: Callable[[], None] | None = None) -> None:
        """Post a webhook as soon as its turn comes.

        :param first_try_ended: called when the first try has been answered or has failed.
        """
        self._add(_Job(webhook, first_try_ended, None))

    async def deliver(self, webhook: Webhook) -> Outcome:
        """Post a webhook and wait for its end."""
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._add(_Job(webhook, None, ended))
        return await ended

    def _add(self, job: _Job) -> None:
        self._ready.append(job)
        self._start()

    def _start(self) -> None:
        while self._ready and len(self._tasks) < AT_ONCE:
            task = asyncio.get_running_loop().create_task(self._work(self._ready.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._next)

    def _next(self, task: asyncio.Task[None]) -> None:
        if task in self._tasks:  # otherwise it was dropped
            self._tasks.discard(task)
            self._start()

    async def _work(self, job: _Job) -> None:
        outcome = Outcome("dropped", 0)
        try:
            outcome = await self._deliver(job)
        finally:
            _end(job, outcome)

    async def _deliver(self, job: _Job) -> Outcome:
        url, body, headers, overrides = self._prepare(job.webhook)
        loop, tries = asyncio.get_running_loop(), 0
        deadline = loop.time() + overrides.total
        while True:
            tries += 1
            self.counts["sent" if tries == 1 else "retried"] += 1
            answered = await self._request(url, body, headers, overrides, deadline - loop.time())
            kind = f"{answered // 100}xx" if isinstance(answered, int) else answered
            self.answers[kind] += 1
            if tries == 1 and job.first_try_ended is not None:
                job.first_try_ended()
            if kind not in overrides.policy or tries > overrides.retries or loop.time() >= deadline:
                outcome = Outcome(answered, tries)
                self.counts["failed"] += not outcome.is_taken
                return outcome

    def _prepare(self, webhook: Webhook) -> tuple[URL, bytes, dict[str, str], Overrides]:
        address, fragment = split(webhook.url)
        if webhook.is_json:
            body = json.dumps(webhook.content, separators=(",", ":"), ensure_ascii=False).encode()
            address, form, kind = with_body_hash(address, body), None, _JSON
        else:
            body, form, kind = urlencode(webhook.content).encode(), webhook.content, _FORM
        signed = self._signer.headers(address, form, forged=webhook.forged)
        headers = {"Content-Type": kind, "I-Twilio-Idempotency-Token": webhook.token, **signed}
        # The URL goes out as it stands: the signature covers it so.
        return URL(address, encoded=True), body, headers, read_overrides(fragment)

    async def _request(
        self, url: URL, body: bytes, headers: Mapping[str, str], overrides: Overrides, left: float
    ) -> int | str:
        """Post once; give the answer's HTTP status, or why there is none."""
        timeout = aiohttp.ClientTimeout(total=left, sock_connect=overrides.connect, sock_read=overrides.read)
        options: Any = {"headers": headers, "timeout": timeout, "allow_redirects": False}
        try:
            async with self._connected().post(url, data=body, **options) as response:
                await response.read()
                return response.status
        except aiohttp.ConnectionTimeoutError:
            return "ct"
        except aiohttp.SocketTimeoutError:
            return "rt"
        except TimeoutError:
            return "tt"
        except (aiohttp.ClientError, OSError):
            return "ct"

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_IDLE),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
            )
        return self._session


def _end(job: _Job, outcome: Outcome) -> None:
    if job.ended is not None and not job.ended.done():
        job.ended.set_result(outcome)
