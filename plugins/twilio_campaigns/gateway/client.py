"""Twilio's messaging API as the engine sees it: create once, read patiently."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Final, Self, TypeVar
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from twilio_campaigns.domain.exceptions import TwilioRejectedError, TwilioUnavailableError
from twilio_campaigns.domain.status import Source
from twilio_campaigns.gateway.outcome import (
    NOT_FOUND,
    Outcome,
    outcome_of_answer,
    outcome_of_failure,
    request_id,
)
from twilio_campaigns.gateway.reading import (
    CODE_PAGE_TOKEN,
    PageTokenExpiredError,
    Patience,
    error_of_read,
)
from twilio_campaigns.gateway.resource import (
    AccountStatus,
    MalformedAnswerError,
    MessagePage,
    json_object,
    parse_account,
    parse_message,
    parse_page,
)
from twilio_campaigns.gateway.transport import (
    CampaignHttpClient,
    Departure,
    create_headers,
    departure,
    sdk_client,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from types import TracebackType

    from twilio.http.response import Response
    from twilio.rest import Client

    from twilio_campaigns.domain.message import Observation, OutgoingMessage
    from twilio_campaigns.gateway.settings import TwilioSettings

Result = TypeVar("Result")

_TRANSPORT: Final = (aiohttp.ClientError, OSError, TimeoutError)
#: Most messages that Twilio gives per page (error 20007 beyond).
MAX_PAGE_SIZE: Final = 1000
#: What a form's field may not hold as it is; a space becomes a plus sign.
_UNSAFE: Final = re.compile(rb"[^A-Za-z0-9_.~ -]")


class TwilioGateway:
    """One account's messages, over the official SDK. Use as an asynchronous context manager.

    ::

        async with TwilioGateway(settings) as twilio:
            outcome = await twilio.create(message)

    :param settings: account, credentials, address and timeouts.
    :param max_connections: connections open at a time; more calls than that wait, and one that waits longer
        than ``connect_timeout`` counts as not sent.
    :param patience: how reads are retried.
    :ivar max_connections: as given.
    :ivar calls: API calls made so far.
    """

    def __init__(
        self, settings: TwilioSettings, *, max_connections: int = 100, patience: Patience | None = None
    ) -> None:
        self.settings = settings
        self.calls = 0
        self.max_connections = max_connections
        self._patience = patience or Patience()
        self._account = f"/2010-04-01/Accounts/{settings.account_sid}"
        self._http: CampaignHttpClient | None = None
        self._sdk: Client | None = None
        self._create: tuple[CampaignHttpClient, URL, Mapping[str, str]] | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool in the running loop."""
        self._http = CampaignHttpClient(self.settings, self.max_connections)
        self._sdk = sdk_client(self.settings, self._http)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection pool."""
        http, self._http, self._sdk, self._create = self._http, None, None, None
        if http is not None:
            await http.close()

    async def create(self, message: OutgoingMessage, *, status_callback: str | None = None) -> Outcome:
        """Post one message exactly once, whatever happens, and say what may be concluded.

        Never raises for an answer or a failed transport. A cancelled task raises as usual; its message's
        fate is then unknown.

        :param message: what to send.
        :param status_callback: where Twilio reports the message's way.
        """
        http, url, headers = self._creating()
        leaving = Departure()
        token = departure.set(leaving)
        self.calls += 1
        try:
            answer = await http.send("POST", url, _form(message, status_callback), headers)
        except Exception as error:
            # Before a connection stands, what is not the network's fault is ours and must be seen. Afterwards
            # it does not matter what went wrong: the request may have left.
            if not leaving.connected and not isinstance(error, _TRANSPORT):
                raise
            return outcome_of_failure(error, request_may_have_left=leaving.connected)
        finally:
            departure.reset(token)
        return outcome_of_answer(answer.status_code, answer.text, answer.headers)

    async def fetch(self, sid: str) -> Observation | None:
        """Read one message; ``None`` when Twilio does not know it (yet: a young one may still appear).

        :raises TwilioUnavailableError: when Twilio did not answer properly after all tries.
        :raises TwilioRejectedError: when Twilio refuses the account or the request.
        """
        return await self._read(f"{self._account}/Messages/{sid}.json", _message_or_none)

    async def list(
        self,
        *,
        sent_after: datetime | None = None,
        sent_before: datetime | None = None,
        to: str | None = None,
        from_: str | None = None,
        page_size: int = MAX_PAGE_SIZE,
    ) -> AsyncIterator[MessagePage]:
        """Read messages page by page, latest ``date_sent`` first; filters are inclusive.

        A page may come twice when Twilio forgets where a long list was; callers go by SID. The last one says that it
        is, so that nobody has to ask for one more.

        :param sent_after: aware; rounded down to the second.
        :param sent_before: aware; rounded up to the second.
        :param to: E.164.
        :param from_: E.164 or another sender.
        :param page_size: up to 1,000.
        :raises TwilioUnavailableError: as for :meth:`fetch`.
        :raises TwilioRejectedError: as for :meth:`fetch`.
        """
        first = f"{self._account}/Messages.json?" + _query(sent_after, sent_before, to, from_, page_size)
        path: str | None = first
        may_restart = True
        while path is not None:
            try:
                page = await self._read(path, _page)
            except PageTokenExpiredError:
                if not may_restart:
                    raise TwilioUnavailableError(
                        "Twilio forgot twice where it was in a list of messages. Ask for a shorter period.",
                        CODE_PAGE_TOKEN,
                    ) from None
                path, may_restart = first, False
                continue
            yield page
            path = page.next_path

    async def account(self) -> AccountStatus:
        """Look at the account, to see whether the connection works.

        Twilio's standard API keys may send and read messages but not look at the account; then a look at the
        messages stands in, and only the SID is known.

        :raises TwilioUnavailableError: as for :meth:`fetch`.
        :raises TwilioRejectedError: as for :meth:`fetch`.
        """
        try:
            return await self._read(f"{self._account}.json", _account)
        except TwilioRejectedError:
            if not self.settings.uses_api_key:
                raise
            await self._read(f"{self._account}/Messages.json?PageSize=1", _page)
            return AccountStatus(self.settings.account_sid)

    async def _read(self, path: str, parse: Callable[[Response], Result]) -> Result:
        for attempt in count(1):
            try:
                return await self._read_once(path, parse)
            except TwilioUnavailableError as error:
                wait = self._patience.wait_after(attempt, error.retry_after)
                if wait is None:
                    raise
            await self._patience.sleep(wait)
        raise AssertionError  # pragma: no cover - count() does not end

    async def _read_once(self, path: str, parse: Callable[[Response], Result]) -> Result:
        sdk = self._opened()
        self.calls += 1
        try:
            answer = await sdk.api.request_async("GET", path)
        except _TRANSPORT as error:
            raise TwilioUnavailableError(
                f"No complete answer came from {sdk.api.base_url} ({type(error).__name__}). "
                "Check the network and the API base URL if this lasts."
            ) from error
        try:
            return parse(answer)
        except MalformedAnswerError as error:
            raise TwilioUnavailableError(
                f"Twilio's answer cannot be read: {error}. If this lasts, check the API base URL.",
                http_status=answer.status_code,
                request_id=request_id(answer.headers),
            ) from error

    def _creating(self) -> tuple[CampaignHttpClient, URL, Mapping[str, str]]:
        """Give what all creates share. The SDK would put address and headers together for each one anew."""
        if self._create is None:
            sdk = self._opened()
            url = URL(sdk.get_hostname(sdk.api.absolute_url(f"{self._account}/Messages.json")), encoded=True)
            self._create = sdk.http_client, url, create_headers(sdk)
        return self._create

    def _opened(self) -> Client:
        if self._sdk is None:
            raise RuntimeError("The gateway is closed. Use it inside 'async with TwilioGateway(...)'.")
        return self._sdk


def _form(message: OutgoingMessage, status_callback: str | None) -> bytes:
    """Encode the create request; names as in Twilio's OpenAPI, empty ones left out."""
    fields = {
        "To": message.to_number,
        "From": message.from_number,
        "MessagingServiceSid": message.messaging_service_sid,
        "Body": message.body,
        "MediaUrl": message.media_urls or None,
        "ContentSid": message.content_sid,
        "ContentVariables": message.content_variables,
        "ValidityPeriod": message.validity_period,
        "ShortenUrls": "true" if message.shorten_urls else None,
        "StatusCallback": status_callback,
    }
    return b"&".join(_field(name, value) for name, value in fields.items() if value is not None)


def _field(name: str, value: str | int | tuple[str, ...]) -> bytes:
    """Encode one field as :func:`urllib.parse.urlencode` does, in half the time."""
    if isinstance(value, tuple):
        return b"&".join(_field(name, item) for item in value)
    escaped = _UNSAFE.sub(_escape, str(value).encode())
    return b"%b=%b" % (name.encode("ascii"), escaped.replace(b" ", b"+"))


def _escape(found: re.Match[bytes]) -> bytes:
    return b"%%%02X" % found[0][0]


def _query(
    sent_after: datetime | None,
    sent_before: datetime | None,
    to: str | None,
    from_: str | None,
    page_size: int,
) -> str:
    """Encode a list's filters. ``DateSent>`` and its ``=`` read as "on or after" to Twilio."""
    fields = {
        "DateSent>": _timestamp(sent_after),
        "DateSent<": _timestamp(sent_before, round_up=True),
        "To": to,
        "From": from_,
        "PageSize": min(page_size, MAX_PAGE_SIZE),
    }
    return urlencode({name: value for name, value in fields.items() if value is not None})


def _timestamp(moment: datetime | None, *, round_up: bool = False) -> str | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError("a list's limits must know their time zone")
    moment = moment.astimezone(UTC)
    if round_up and moment.microsecond:
        moment += timedelta(seconds=1)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _checked(answer: Response) -> str:
    error = error_of_read(answer)
    if error is not None:
        raise error
    return str(answer.text)


def _message_or_none(answer: Response) -> Observation | None:
    payload = json_object(answer.text)
    if answer.status_code == NOT_FOUND and payload is not None:
        return None
    _checked(answer)
    return parse_message(payload or {}, Source.FETCH)


def _page(answer: Response) -> MessagePage:
    return parse_page(_checked(answer), Source.LIST)


def _account(answer: Response) -> AccountStatus:
    return parse_account(_checked(answer))
