"""Twilio's three webhooks: believe nothing before its signature, answer 2xx after the commit and not before."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, Response

from twilio_campaigns.domain.exceptions import TwilioCampaignsError
from twilio_campaigns.gateway.signature import SETTINGS, SIGNATURE
from twilio_campaigns.gateway.webhooks import (
    Clicks,
    Form,
    MalformedWebhookError,
    account_of,
    read_inbound,
    read_status,
)
from twilio_campaigns.web.accounts import Account, Accounts
from twilio_campaigns.web.gathering import Gatherer, OverloadedError
from twilio_campaigns.web.requests import (
    FORM,
    JSON,
    RefusedError,
    body_of,
    forwarded_urls,
    kind_of,
    query_of,
    single_header,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.domain.webhooks import Click, InboundMessage, StatusCallback
    from twilio_campaigns.gateway.settings import TwilioSettings
    from twilio_campaigns.web.records import Records

log = logging.getLogger(__name__)

#: TwiML that answers nothing: what is said to people who write STOP or HELP is Twilio's part.
_NO_REPLY: Final = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
#: Seconds between two writes of what was turned away, however much that is.
_COUNT_EVERY: Final = 1.0
#: Seconds for which the health endpoint repeats itself: anybody may ask it.
_HEALTH_EVERY: Final = 2.0
#: Seconds for which a process that ends still waits for commits.
_LAST_COMMITS: Final = 5.0
#: Threads: two write callbacks, one each replies and clicks, one reads connections and counts.
_THREADS: Final = 5


class Receiver:
    """Takes webhooks, within the loop of one process. Nothing is opened before the first request.

    :param records: where they are written.
    :param settings_of: reads an Airflow connection; called in a thread.
    :param settings: budget and proxies.
    """

    def __init__(self, records: Records, settings_of: Callable[[str], TwilioSettings], settings: Settings) -> None:
        self._records = records
        self._budget = settings.webhook_budget.total_seconds()
        self._proxies = settings.trusted_proxies
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="twilio-webhooks")
        self._accounts = Accounts(records.connections, settings_of, self._threads)
        self._callbacks: Gatherer[StatusCallback] = Gatherer(records.apply, self._threads, writers=2)
        self._replies: Gatherer[InboundMessage] = Gatherer(records.receive, self._threads)
        self._clicks: Gatherer[Click] = Gatherer(records.click, self._threads)
        self._rejected: Counter[str] = Counter()
        self._counting: asyncio.Task[None] | None = None
        self._health: tuple[bool, float] | None = None
        self._asking: asyncio.Future[bool] | None = None

    async def status(self, request: Request) -> Response:
        """Take a status callback."""
        return await self._answer(request, self._take_status, Response(status_code=204))

    async def inbound(self, request: Request) -> Response:
        """Take what somebody wrote to us."""
        return await self._answer(request, self._take_inbound, Response(_NO_REPLY, media_type="text/xml"))

    async def click(self, request: Request) -> Response:
        """Take a click on a shortened link."""
        return await self._answer(request, self._take_clicks, Response(status_code=204))

    async def health(self, _request: Request) -> Response:
        """Say whether webhooks can be written; without a login, so nothing else."""
        if await self._is_well():
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "warehouse away"}, status_code=503)

    async def close(self) -> None:
        """Let what is being written end, then close everything."""
        await asyncio.gather(*(each.close(_LAST_COMMITS) for each in (self._callbacks, self._replies, self._clicks)))
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.gather(self._counting, return_exceptions=True)
        if self._rejected:
            await self._write_rejected()
        await asyncio.to_thread(self._records.close)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _answer(
        self, request: Request, take: Callable[[Request, float], Awaitable[None]], done: Response
    ) -> Response:
        """Answer within the budget; an answer that is no 2xx says nothing but its status."""
        try:
            async with asyncio.timeout(self._budget):
                await take(request, time.monotonic())
        except RefusedError as error:
            self._count(error.reason)
            return Response(status_code=error.status)
        except MalformedWebhookError:
            self._count("malformed")
            return Response(status_code=400)
        except (TimeoutError, OverloadedError, TwilioCampaignsError):
            # Twilio tries again as the callback's URL asks for, and what gets lost for good is read by the sensor.
            return Response(status_code=503, headers={"Retry-After": "1"})
        except Exception as error:  # noqa: BLE001 - Twilio gets an answer, whatever it was; the answer tells no more
            log.error("A webhook failed: %s.", type(error).__name__)  # noqa: TRY400
            return Response(status_code=500)
        return done

    async def _take_status(self, request: Request, received: float) -> None:
        form, account = await self._signed_form(request, "/status")
        await self._callbacks.put(read_status(form, query_of(request)[1:], account.connections, received))

    async def _take_inbound(self, request: Request, received: float) -> None:
        form, account = await self._signed_form(request, "/inbound")
        await self._replies.put(read_inbound(form, account.connections, received))

    async def _take_clicks(self, request: Request, received: float) -> None:
        kind = kind_of(request, FORM, JSON)
        signature = _signature_of(request)
        body = await body_of(request)
        content = Form(body) if kind == FORM else body
        clicks = Clicks.of_form(content) if isinstance(content, Form) else Clicks.of_json(body)
        account = await self._verified(request, "/click", clicks.account_sid, content, signature)
        taken = clicks.read(account.connections, received)
        await asyncio.gather(*(self._clicks.put(click) for click in taken))

    async def _signed_form(self, request: Request, endpoint: str) -> tuple[Form, Account]:
        kind_of(request, FORM)
        signature = _signature_of(request)
        form = Form(await body_of(request))
        return form, await self._verified(request, endpoint, account_of(form), form, signature)

    async def _verified(
        self, request: Request, endpoint: str, sid: str | None, content: Form | bytes, signature: str
    ) -> Account:
        """Give the account that signed a request.

        :param sid: which one it claims to be; ``None`` where it does not say so.
        :raises RefusedError: when none did.
        """
        accounts = await self._accounts.of(sid)
        if not accounts:
            raise RefusedError(403, "unknown_account")
        query, settings = query_of(request), single_header(request, SETTINGS)
        forwarded = forwarded_urls(request, self._proxies)
        for account in accounts:
            urls = [f"{address}{endpoint}{query}" for address in account.addresses]
            urls += [f"{url}{query}" for url in forwarded]
            if account.check.holds(urls, content, signature, settings):
                return account
        raise RefusedError(403, "forged")

    def _count(self, reason: str) -> None:
        self._rejected[reason] += 1
        if self._counting is None or self._counting.done():
            self._counting = asyncio.get_running_loop().create_task(self._count_soon())

    async def _count_soon(self) -> None:
        """Write figures at most once in :data:`_COUNT_EVERY`: a flood must not become a load on the database."""
        while self._rejected:
            await asyncio.sleep(_COUNT_EVERY)
            await self._write_rejected()

    async def _write_rejected(self) -> None:
        counts, self._rejected = self._rejected, Counter()
        try:
            await asyncio.get_running_loop().run_in_executor(self._threads, self._records.reject, counts)
        except TwilioCampaignsError:
            self._rejected.update(counts)

    async def _is_well(self) -> bool:
        now = time.monotonic()
        if self._health is not None and now - self._health[1] < _HEALTH_EVERY:
            return self._health[0]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.get_running_loop().run_in_executor(self._threads, self._records.is_there)
        try:
            is_well = await asyncio.wait_for(asyncio.shield(self._asking), self._budget)
        except TimeoutError:
            is_well = False
        self._health = is_well, time.monotonic()
        return is_well


def _signature_of(request: Request) -> str:
    signature = single_header(request, SIGNATURE)
    if not signature:
        raise RefusedError(403, "unsigned")
    return signature
