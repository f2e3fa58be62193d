"""The contestants of `bench_webhooks`: our webhooks, a bare handler that inserts one row, one that does nothing.

One process serves all three, each under its own path; a heat calls one of them, and its process ends with it. Run as a
program they stand in a bare FastAPI app, which mounts them as Airflow's API server does; that server itself takes them
from :mod:`include.local.bench_webhooks_plugin`.
"""

from __future__ import annotations

import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import uvicorn
from fastapi import FastAPI, Request, Response
from psycopg_pool import AsyncConnectionPool

from include.local.bench_webhooks_scene import PUBLIC_URL
from include.local.environment import ACCOUNT_SID
from twilio_campaigns.gateway.settings import TwilioSettings
from twilio_campaigns.web.app import PREFIX, create_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

#: Names of environment variables.
DATABASE: Final = "BENCH_DATABASE"
TOKEN: Final = "BENCH_TOKEN"  # noqa: S105 - the name of one
OURS: Final = PREFIX
BARE: Final = "/bare"
NOTHING: Final = "/nothing"
#: As many connections as ours has.
_CONNECTIONS: Final = 4
_INSERT: Final = """
insert into callbacks (message_sid, status, recipient, error_code) values (%s, %s, %s, %s) on conflict do nothing
"""


def bare(database: str) -> FastAPI:
    """Give the peer: what one writes who wants callbacks in a table, and no more. It believes whoever calls."""
    schema = {"options": "-c search_path=messaging"}
    pool = AsyncConnectionPool(database, min_size=_CONNECTIONS, max_size=_CONNECTIONS, open=False, kwargs=schema)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/status")
    async def status(request: Request) -> Response:
        form = await request.form()
        row = form["MessageSid"], form["MessageStatus"], form.get("To"), form.get("ErrorCode")
        async with pool.connection() as connection:
            await connection.execute(_INSERT, row)
        return Response(status_code=204)

    return app


def nothing() -> FastAPI:
    """Give a handler that does nothing, to see what server and generator take by themselves."""
    app = FastAPI()

    @app.post("/status")
    async def status() -> Response:
        return Response(status_code=204)

    return app


def ours(database: str, token: str) -> FastAPI:
    """Give our webhooks as Airflow's API server mounts them, with the connection that it would read."""
    settings = TwilioSettings.model_validate(
        {"account_sid": ACCOUNT_SID, "auth_token": token, "public_url": PUBLIC_URL},
    )
    return create_app(database, settings_of=lambda _connection_id: settings, prefixes=("",))


def mounted(apps: Mapping[str, FastAPI]) -> FastAPI:
    """Mount apps under their paths and run their lifespans, as Airflow's API server does."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for app in apps.values():
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    server = FastAPI(lifespan=lifespan)
    for path, app in apps.items():
        server.mount(path, app)
    return server


def main(port: int) -> None:
    """Serve all three as command `twilio-campaigns webhooks` serves ours: one worker, no access log."""
    database, token = os.environ[DATABASE], os.environ[TOKEN]
    app = mounted({OURS: ours(database, token), BARE: bare(database), NOTHING: nothing()})
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, proxy_headers=False, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
