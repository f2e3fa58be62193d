"""Webhooks and pages as an ASGI app: mounted by Airflow's API server under `/twilio`. The webhooks also run alone.

::

    uvicorn twilio_campaigns.web.app:create_app --factory

Mounted, its paths are `/twilio/status`, `/twilio/inbound`, `/twilio/click` and `/twilio/health`; alone they are
the same, and `/status` and so on as well, so that a proxy may cut the prefix off or leave it. Pages
(:mod:`twilio_campaigns.web.pages`) need Airflow's login; alone there are none.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI

from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.web.receiver import Receiver
from twilio_campaigns.web.records import CONNECTIONS, PATIENCE, Records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from twilio_campaigns.gateway.settings import TwilioSettings
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.web.pages.site import Site

#: Where Airflow mounts the app, and what `public_url` ends in then.
PREFIX: Final = "/twilio"


def create_app(
    database_url: str | None = None,
    *,
    settings: Settings | None = None,
    settings_of: Callable[[str], TwilioSettings] | None = None,
    prefixes: tuple[str, ...] = ("", PREFIX),
    site: Site | None = None,
) -> FastAPI:
    """Make the app. It does nothing before its first request: no connection, no look at Airflow.

    :param database_url: PostgreSQL URL of the warehouse; Airflow's connection `warehouse_default` when empty.
    :param settings: read from the environment, with the first request, when empty.
    :param settings_of: reads a connection of type `twilio`; Airflow's when empty.
    :param prefixes: of the webhooks' paths.
    :param site: the pages; none when empty.
    """
    desk = _Desk(database_url, settings, settings_of or _settings_of)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        # Airflow runs the lifespans of the apps that plugins mount (airflow.api_fastapi.app.lifespan).
        yield
        await desk.close()
        if site is not None:
            await site.close()

    app = FastAPI(
        title="Twilio webhooks",
        lifespan=lifespan,
        # Nobody needs a description of four paths that only Twilio calls.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # A redirect would change the URL that Twilio signed.
        redirect_slashes=False,
    )
    for prefix in prefixes:
        app.add_route(f"{prefix}/status", desk.passing_on(Receiver.status), methods=["POST"])
        app.add_route(f"{prefix}/inbound", desk.passing_on(Receiver.inbound), methods=["POST"])
        app.add_route(f"{prefix}/click", desk.passing_on(Receiver.click), methods=["POST"])
        app.add_route(f"{prefix}/health", desk.passing_on(Receiver.health), methods=["GET"])
    if site is not None:
        site.add_to(app)
    return app


def airflow_app() -> FastAPI:
    """Make what Airflow's API server mounts: the webhooks, and pages for whom Airflow knows."""
    from twilio_campaigns.web.pages.site import airflow_site

    return create_app(prefixes=("",), site=airflow_site())


class _Desk:
    """Has one receiver for each event loop that the app runs in, and makes it with the first request.

    The app object may be older than its process: servers fork.
    """

    def __init__(
        self, database_url: str | None, settings: Settings | None, settings_of: Callable[[str], TwilioSettings]
    ) -> None:
        self._database_url = database_url
        self._settings = settings
        self._settings_of = settings_of
        self._receiver: Receiver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def passing_on(
        self, take: Callable[[Receiver, Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Give an endpoint that lets the receiver do its work."""

        async def endpoint(request: Request) -> Response:
            return await take(self._of_this_loop(), request)

        return endpoint

    async def close(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            await receiver.close()

    def _of_this_loop(self) -> Receiver:
        loop = asyncio.get_running_loop()
        if self._receiver is None or self._loop is not loop:
            settings = self._settings or Settings.from_environ(os.environ)
            records = Records(lambda: _open_warehouse(self._database_url, settings), settings)
            self._receiver, self._loop = Receiver(records, self._settings_of, settings), loop
        return self._receiver


def _open_warehouse(database_url: str | None, settings: Settings) -> Warehouse:
    options: dict[str, Any] = {
        "max_connections": CONNECTIONS,
        "patience": PATIENCE,
        "statement_timeout": settings.webhook_budget.total_seconds(),
    }
    if database_url is None:
        from twilio_campaigns.hooks.warehouse import WarehouseHook

        return WarehouseHook(settings=settings).get_conn(**options)
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.schema import require_current

    require_current(database_url, settings.db_schema)
    return Warehouse(database_url, settings.db_schema, **options)


def _settings_of(connection_id: str) -> TwilioSettings:
    """Read a connection through Airflow: in the API server from its database, alone from the environment.

    Called in a thread: on the event loop Airflow's synchronous look-up may wait for itself.
    """
    from twilio_campaigns.hooks.twilio import TwilioHook

    return TwilioHook(connection_id).get_settings()
