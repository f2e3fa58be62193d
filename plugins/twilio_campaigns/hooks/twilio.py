"""Airflow's connection to Twilio, made into settings, a gateway or the official SDK's client."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import amask_secret, mask_secret

from twilio_campaigns.domain.exceptions import ConfigurationError, TwilioCampaignsError
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.loop import run
from twilio_campaigns.gateway.reading import Patience
from twilio_campaigns.gateway.settings import TwilioSettings
from twilio_campaigns.gateway.transport import base_address, sdk_client

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from airflow.sdk import Connection

    from twilio_campaigns.gateway.resource import AccountStatus

#: What the connection's extra may hold. Anything else is a slip of the pen that would silently do nothing.
EXTRAS: Final = (
    "api_key_sid",
    "api_key_secret",
    "region",
    "edge",
    "list_lag_seconds",
    "public_url",
    "previous_auth_token",
    "webhook_shared_key",
)

_TWILIO_PORT: Final = 443
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
#: The test button's user is waiting: one more try, soon.
_BRIEF: Final = Patience(tries=2, first_wait=0.5, longest_wait=2.0)

Answer = TypeVar("Answer")


def gateways(at_once: int) -> Callable[[str], Awaitable[TwilioGateway]]:
    """Give what makes gateways from connections, within a running event loop; each connection is read once.

    :param at_once: HTTP connections per account at a time.
    """
    known: dict[str, TwilioSettings] = {}

    async def gateway_of(connection_id: str) -> TwilioGateway:
        if connection_id not in known:
            known[connection_id] = await TwilioHook(connection_id).aget_settings()
        return TwilioGateway(known[connection_id], max_connections=at_once)

    return gateway_of


class TwilioHook(BaseHook):
    """One Twilio account, as an Airflow connection describes it.

    The connection's login is the Account SID, its password the Auth Token, its host the API base URL (empty:
    Twilio's own). Extra: ``api_key_sid``, ``api_key_secret``, ``region``, ``edge``, ``list_lag_seconds``,
    ``public_url``, ``previous_auth_token``, ``webhook_shared_key``; anything else is refused. An API key, when present,
    is used for API calls; only the Auth Token can check webhooks.

    Every parameter wins over the connection, and the connection over the default.

    :param twilio_conn_id: the connection.
    :param base_url: address of the API.
    :param region: Twilio region, ``ie1`` for example.
    :param edge: Twilio edge, ``dublin`` for example.
    :param list_lag_seconds: how late Twilio's message list may show a message.
    :param public_url: where Twilio reaches our webhooks.
    :param connect_timeout: seconds until a connection must stand.
    :param total_timeout: seconds until an answer must be complete.
    """

    conn_name_attr = "twilio_conn_id"
    default_conn_name = "twilio_default"
    conn_type = "twilio"
    hook_name = "Twilio"

    def __init__(
        self,
        twilio_conn_id: str = default_conn_name,
        *,
        base_url: str | None = None,
        region: str | None = None,
        edge: str | None = None,
        list_lag_seconds: int | None = None,
        public_url: str | None = None,
        connect_timeout: float | None = None,
        total_timeout: float | None = None,
    ) -> None:
        super().__init__()
        self.twilio_conn_id = twilio_conn_id
        self._arguments = _given(
            base_url=base_url,
            region=region,
            edge=edge,
            list_lag_seconds=list_lag_seconds,
            public_url=public_url,
            connect_timeout=connect_timeout,
            total_timeout=total_timeout,
        )

    def get_settings(self) -> TwilioSettings:
        """Read the connection.

        :raises ConfigurationError: naming the connection, what is wrong in it, and what to do.
        """
        try:
            connection = self.get_connection(self.twilio_conn_id)
        except AirflowNotFoundException:
            raise self._is_missing() from None
        settings = self._settings(connection)
        for secret in _secrets(settings):
            mask_secret(secret)
        return settings

    async def aget_settings(self) -> TwilioSettings:
        """Read the connection inside a running event loop; as :meth:`get_settings`."""
        try:
            connection = await self.aget_connection(self.twilio_conn_id)
        except AirflowNotFoundException:
            raise self._is_missing() from None
        settings = self._settings(connection)
        for secret in _secrets(settings):
            await amask_secret(secret)
        return settings

    def gateway(self, *, max_connections: int = 100) -> TwilioGateway:
        """Make a gateway, to be used as an asynchronous context manager.

        :param max_connections: connections open at a time.
        """
        return TwilioGateway(self.get_settings(), max_connections=max_connections)

    def get_conn(self) -> Any:  # noqa: ANN401 - the SDK is not typed
        """Make the SDK's own synchronous client (``twilio.rest.Client``), for what this package lacks."""
        return sdk_client(self.get_settings())

    def test_connection(self) -> tuple[bool, str]:
        """Say whether the credentials work, for the test button of Airflow's connection form."""
        try:
            settings = self.get_settings()
            account = run_async(_look(settings))
        except TwilioCampaignsError as error:
            return False, str(error)
        return _verdict(settings, account)

    def require_account(self) -> None:
        """Make sure that Twilio accepts the credentials and the account may send.

        :raises ConfigurationError: for a connection that is missing or wrong, or an account that is not active.
        :raises TwilioRejectedError: when Twilio refuses the credentials.
        :raises TwilioUnavailableError: when Twilio cannot be asked; that says nothing about the credentials.
        """
        settings = self.get_settings()
        works, verdict = _verdict(settings, run_async(_look(settings)))
        if not works:
            raise ConfigurationError(f"Connection {self.twilio_conn_id}: {verdict}")

    def _is_missing(self) -> ConfigurationError:
        return ConfigurationError(
            f"There is no connection {self.twilio_conn_id}. Add one of type Twilio in Airflow, or set "
            f"AIRFLOW_CONN_{self.twilio_conn_id.upper()} in the environment. If it is set, percent-encode special "
            "characters in it."
        )

    def _settings(self, connection: Connection) -> TwilioSettings:
        try:
            known = _given(
                account_sid=(connection.login or "").strip(),
                auth_token=(connection.password or "").strip(),
                base_url=_base_url(connection),
                **_extras(connection),
            )
            return TwilioSettings(**{**known, **self._arguments})
        except ConfigurationError as error:
            raise ConfigurationError(f"Connection {self.twilio_conn_id}: {error}") from None


def run_async(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine to its end, whether or not this thread already has a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run(work)
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(run, work).result()


async def _look(settings: TwilioSettings) -> AccountStatus:
    async with TwilioGateway(settings, max_connections=1, patience=_BRIEF) as twilio:
        return await twilio.account()


def _verdict(settings: TwilioSettings, account: AccountStatus) -> tuple[bool, str]:
    """Word what the test button shows."""
    sid, place = _masked(account.sid), base_address(settings)
    with_what = "API key" if settings.uses_api_key else "Auth Token"
    if account.status is None:
        return True, (
            f"The API key may read the messages of account {sid} at {place}. "
            "It may not look at the account itself, which sending does not need."
        )
    name = f"{account.friendly_name!r} ({sid})" if account.friendly_name else sid
    if account.status != "active":
        return False, f"Account {name} is {account.status}. Open the Twilio Console to see why."
    kind = " trial" if account.kind == "Trial" else ""
    return (
        True,
        f"Connected to{kind} account {name}, status {account.status}, at {place} with the {with_what}.",
    )


def _masked(sid: str) -> str:
    return f"{sid[:4]}…{sid[-4:]}"


def _given(**values: object) -> dict[str, Any]:
    """Only what was given: the form sends empty text for what nobody filled in."""
    return {name: value for name, value in values.items() if value is not None and value != ""}


def _secrets(settings: TwilioSettings) -> list[str]:
    held = (
        settings.auth_token,
        settings.api_key_secret,
        settings.previous_auth_token,
        settings.webhook_shared_key,
    )
    return [secret.get_secret_value() for secret in held if secret is not None]


def _extras(connection: Connection) -> dict[str, object]:
    """Read the extra. Not by Airflow's own property: that takes broken JSON for an empty extra."""
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ConfigurationError('extra is not a JSON object. Write it as {"region": "ie1"}, or leave it empty.')
    unknown = ", ".join(sorted(set(extra) - set(EXTRAS)))
    if unknown:
        raise ConfigurationError(
            f"extra has no setting {unknown}. Remove it, or use one of: {', '.join(EXTRAS)}. "
            "The API base URL belongs into host, the Account SID into login, the Auth Token into password."
        )
    return {name: value.strip() if isinstance(value, str) else value for name, value in extra.items()}


def _base_url(connection: Connection) -> str | None:
    """Put host, schema and port together, in whichever of them people wrote the address."""
    host = (connection.host or "").strip()
    if not host:
        if connection.port not in {None, 0, _TWILIO_PORT}:
            raise ConfigurationError(
                f"port is {connection.port} without host; Twilio's own port is 443. Fill in host, or leave port empty."
            )
        return None
    schema = (connection.schema or "").strip()
    if "://" not in host:
        host = f"{schema or _usual_schema(host)}://{host}"
    elif schema and schema != urlsplit(host).scheme:
        raise ConfigurationError(f"host and schema {schema} contradict each other. Leave schema empty.")
    return _with_port(host, connection.port or None)


def _usual_schema(host: str) -> str:
    """Credentials leave this machine encrypted unless somebody writes ``http`` himself."""
    return "http" if urlsplit(f"//{host}").hostname in _LOOPBACK else "https"


def _with_port(address: str, port: int | None) -> str:
    try:
        parts = urlsplit(address)
        written = parts.port
    except ValueError:
        raise ConfigurationError("host is not an address. Write it as https://host or https://host:port.") from None
    if port is None or written == port:
        return address
    if written is not None:
        raise ConfigurationError(f"host names port {written}, the connection port {port}. Leave one of them out.")
    return parts._replace(netloc=f"{parts.netloc}:{port}").geturl()
