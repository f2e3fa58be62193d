"""The simulator as an ASGI application: routes and nothing else.

Every request to the API goes through :func:`_api`, which is the place for faults; every change of a message's
status follows from its :class:`Life`, which is the place from which callbacks can be told.
"""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import parse_qs
from uuid import uuid4

from fastapi import FastAPI
from pydantic import BaseModel, Field
from starlette.responses import Response
from starlette.routing import Route

from twilio_campaigns.simulator.account import Account
from twilio_campaigns.simulator.answers import API_VERSION, NotFoundError, TwilioError, answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from twilio_campaigns.simulator.config import SimulatorConfig

    Handler = Callable[[Account, Request], Awaitable[Response]]


class ClockChange(BaseModel):
    """What to do to the clock."""

    advance_seconds: Annotated[float, Field(ge=0)] = 0.0
    speed: Annotated[float, Field(gt=0)] | None = None


class Inbound(BaseModel):
    """What somebody writes to us, in Twilio's names."""

    From: str
    To: str
    Body: str


def create_app(config: SimulatorConfig) -> FastAPI:
    """Build the application around a new, empty account."""
    account = Account(config)
    app = FastAPI(title="Twilio simulator", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.account = account
    base = f"/{API_VERSION}/Accounts/{{account}}"
    routes: dict[str, dict[str, Handler]] = {
        f"{base}.json": {"GET": _account},
        f"{base}/Messages.json": {"POST": _create, "GET": _list},
        f"{base}/Messages/{{sid}}.json": {"GET": _fetch, "POST": _update, "DELETE": _delete},
        f"{base}/Messages/{{sid}}/Media.json": {"GET": _media_list},
        f"{base}/Messages/{{sid}}/Media/{{media}}.json": {"GET": _media, "DELETE": _delete_media},
        f"{base}/Messages/{{sid}}/Feedback.json": {"POST": _feedback},
    }
    for path, methods in routes.items():
        for method, handler in methods.items():
            app.router.routes.append(Route(path, _api(account, handler), methods=[method]))
    _add_control(app, account)
    app.router.routes.append(Route("/{rest:path}", _api(account, _nothing), methods=["GET", "POST", "DELETE"]))
    return app


def _api(account: Account, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """Wrap a handler in what every answer has: credentials, latency, request id, Twilio's errors."""

    @wraps(handler)
    async def endpoint(request: Request) -> Response:
        account.calls[handler.__name__.removeprefix("_")] += 1
        if account.config.latency_seconds:
            await asyncio.sleep(account.config.latency_seconds)
        try:
            if "account" in request.path_params:
                account.check(request.path_params["account"], request.headers.get("authorization"))
            response = await handler(account, request)
        except TwilioError as error:
            response = answer(error.body(), error.status)
        response.headers["Twilio-Request-Id"] = f"RQ{uuid4().hex}"
        return response

    return endpoint


def _add_control(app: FastAPI, account: Account) -> None:
    """Add what tests and demos use: the truth, the clock, what people write to us."""

    @app.get("/_simulator/messages")
    def messages() -> dict[str, Any]:
        return {"messages": account.truth()}

    @app.get("/_simulator/stats")
    def stats() -> dict[str, Any]:
        return account.stats()

    @app.post("/_simulator/reset")
    def reset() -> dict[str, Any]:
        account.reset()
        return account.stats()

    @app.post("/_simulator/clock")
    def clock(change: ClockChange) -> dict[str, Any]:
        account.clock.change(advance_seconds=change.advance_seconds, speed=change.speed)
        return account.stats()

    @app.post("/_simulator/inbound")
    def inbound(message: Inbound) -> dict[str, Any]:
        return account.receive(message.From, message.To, message.Body)


async def _form(request: Request) -> dict[str, list[str]]:
    return parse_qs((await request.body()).decode(errors="replace"), keep_blank_values=True)


async def _account(account: Account, _request: Request) -> Response:
    return answer(account.resource())


async def _create(account: Account, request: Request) -> Response:
    return answer(account.create(await _form(request)), 201)


async def _list(account: Account, request: Request) -> Response:
    return answer(account.page(request.query_params, request.url.path))


async def _fetch(account: Account, request: Request) -> Response:
    return answer(account.fetch(request.path_params["sid"]))


async def _update(account: Account, request: Request) -> Response:
    return answer(account.update(request.path_params["sid"], await _form(request)))


async def _delete(account: Account, request: Request) -> Response:
    account.delete(request.path_params["sid"])
    return Response(status_code=204)


async def _media_list(account: Account, request: Request) -> Response:
    return answer(account.media_list(request.path_params["sid"], request.url.path))


async def _media(account: Account, request: Request) -> Response:
    return answer(account.media(request.path_params["sid"], request.path_params["media"]))


async def _delete_media(account: Account, request: Request) -> Response:
    account.delete_media(request.path_params["sid"], request.path_params["media"])
    return Response(status_code=204)


async def _feedback(account: Account, request: Request) -> Response:
    return answer(account.feedback(request.path_params["sid"], await _form(request)))


async def _nothing(_account: Account, _request: Request) -> Response:
    raise NotFoundError
