"""The SDK's clients, made fit for sending: timeouts that work, no retries, no numbers in a log."""

from __future__ import annotations

import logging
from base64 import b64encode
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from twilio_campaigns import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from aiohttp import ClientRequest, ClientResponse
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace
    from twilio.http import HttpClient
    from yarl import URL

    from twilio_campaigns.gateway.settings import TwilioSettings

#: Seconds an unused connection is kept. Shorter than the 5 s of common servers: a POST on a connection that
#: the other side is just closing gets no answer, and nobody can say what became of it.
_KEEP_ALIVE: Final = 4.0

#: The SDK takes credentials, region and edge from the environment, silently, wherever an argument is empty,
#: and an empty mapping counts as none given.
_NO_ENVIRONMENT: Final = {"TWILIO_CAMPAIGNS": "settings come from the connection"}

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

for _name in (
    "twilio",
    "twilio.http_client",
    "twilio.async_http_client",
    "aiohttp.client",
    "urllib3.connectionpool",
):
    # At INFO the SDK writes every recipient's number, at DEBUG what lies below it does.
    if logging.getLogger(_name).level < logging.WARNING:
        logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(slots=True)
class Departure:
    """Whether a request has got a connection; before that, no byte of it can have left."""

    connected: bool = False


departure: Final[ContextVar[Departure | None]] = ContextVar("departure", default=None)


class _WatchedConnector(TCPConnector):
    """Tells the waiting caller that its request has got a connection; aiohttp's own tracing costs a tenth more."""

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:  # noqa: ASYNC109 - aiohttp's
        """Give a connection, new or used."""
        connection = await super().connect(req, traces, timeout)
        current = departure.get()
        if current is not None:
            current.connected = True
        return connection


class _BoundedSession:
    """One connection pool whose every request has time limits.

    The SDK hands "no timeout" to aiohttp with each request, which takes it at its word: a session's limits do
    not count then. And the SDK compares what it is given with 0, so it cannot be given aiohttp's limits.
    """

    def __init__(self, settings: TwilioSettings, max_connections: int) -> None:
        self._total, self._connect = settings.total_timeout, settings.connect_timeout
        self._session = ClientSession(
            connector=_WatchedConnector(limit=max_connections, keepalive_timeout=_KEEP_ALIVE),
            cookie_jar=DummyCookieJar(),
            proxy=proxy_for(base_address(settings)),
        )
        self._usual = self._limits(self._total)

    def request(self, *, timeout: float | None, **arguments: Any) -> Awaitable[ClientResponse]:  # noqa: ANN401 - aiohttp's
        limits = self._limits(timeout) if timeout else self._usual
        return self._session.request(**arguments, timeout=limits)

    def _limits(self, total: float) -> ClientTimeout:
        return ClientTimeout(total=total, connect=self._connect, sock_connect=self._connect)

    async def close(self) -> None:
        await self._session.close()


class CampaignHttpClient(AsyncTwilioHttpClient):  # type: ignore[misc]  # the SDK is not typed
    """The SDK's asynchronous HTTP client with one connection pool of our own.

    Must be made inside the running event loop.

    :param settings: for the credentials and the timeouts, which the SDK's own client ignores.
    :param max_connections: connections open at a time.
    """

    def __init__(self, settings: TwilioSettings, max_connections: int) -> None:
        super().__init__(pool_connections=False)
        self.session = _BoundedSession(settings, max_connections)

    async def request(
        self,
        method: str,
        url: str,
        params: dict[str, object] | None = None,
        data: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - the same
        allow_redirects: bool = False,
    ) -> Response:
        """Send one request, once, and write nothing of it: the SDK would log the query with its numbers.

        Credentials travel as a header: aiohttp gives up its own notion of them.
        """
        headers = dict(headers or {})
        if auth is not None:
            headers["Authorization"] = _basic(*auth)
        return await self.send(method, url, data, headers, timeout, params=params, allow_redirects=allow_redirects)

    async def send(
        self,
        method: str,
        url: str | URL,
        data: dict[str, object] | bytes | None,
        headers: Mapping[str, str],
        timeout: float | None = None,  # noqa: ASYNC109 - the SDK's
        **more: Any,  # noqa: ANN401 - aiohttp's
    ) -> Response:
        """Send one request, once, whose headers are complete. Following a redirect would post again."""
        more = {"allow_redirects": False, **more}
        answer = await self.session.request(method=method, url=url, data=data, headers=headers, timeout=timeout, **more)
        # JSON is UTF-8 (RFC 8259); whatever is not was written by somebody in between, and is no JSON.
        return Response(answer.status, (await answer.read()).decode("utf-8", "replace"), answer.headers)


class _QuietHttpClient(TwilioHttpClient):  # type: ignore[misc]  # the SDK is not typed
    """The SDK's synchronous HTTP client, silent about whom it texts."""

    def log_request(self, kwargs: dict[str, object]) -> None:
        """Write nothing: the SDK would write the query with its numbers."""

    def log_response(self, status_code: int, response: Response) -> None:
        """Write nothing, as above."""


def sdk_client(settings: TwilioSettings, http_client: HttpClient | None = None) -> Client:
    """Make the official SDK's client for these settings, free of what the environment says.

    :param http_client: the transport; a synchronous one with working timeouts when empty.
    """
    user, password = settings.credentials()
    client = Client(
        username=user,
        password=password,
        account_sid=settings.account_sid,
        region=settings.region,
        edge=settings.edge,
        http_client=http_client or _QuietHttpClient(timeout=settings.total_timeout),
        environment=_NO_ENVIRONMENT,
        user_agent_extensions=[f"twilio-campaigns/{__version__}"],
    )
    if settings.base_url:
        client.api.base_url = settings.base_url
    return client


def create_headers(sdk: Client) -> dict[str, str]:
    """Give the headers of every create, as the SDK makes them for each request anew."""
    return {**sdk.get_headers("POST", {}), "Authorization": _basic(*sdk.get_auth(None))}


def base_address(settings: TwilioSettings) -> str:
    """Address of the API that these settings lead to."""
    return settings.base_url or str(sdk_client(settings).get_hostname("https://api.twilio.com"))


def proxy_for(address: str) -> str | None:
    """Proxy that the environment names for this address (``HTTPS_PROXY``, ``NO_PROXY`` …), if any.

    The SDK's asynchronous client knows no proxy, and aiohttp's own look-up would cost a thread per request.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if host in _LOOPBACK or proxy_bypass(host):
        return None
    proxy = getproxies().get(parts.scheme)
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


@lru_cache(maxsize=8)
def _basic(user: str, password: str) -> str:
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")
