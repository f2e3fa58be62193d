"""The simulator as an ASGI application: routes and nothing else.

Every request to the API goes through :func:`_api`; creates and reads meet their faults in their handlers; every
change of a message's status follows from its :class:`Life`, and :mod:`callbacks` tells it to whoever asked.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs
from uuid import uuid4

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from twilio_campaigns.simulator.account import Account
from twilio_campaigns.simulator.answers import API_VERSION, NotFoundError, TwilioError, answer
from twilio_campaigns.simulator.control import add_control
from twilio_campaigns.simulator.links import CODE
from twilio_campaigns.simulator.meeting import Disconnect, create_under, read_under, refusal
from twilio_campaigns.simulator.webhook_control import add_webhook_control

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.types import ASGIApp, Receive, Scope, Send

    from twilio_campaigns.simulator.config import SimulatorConfig

    Handler = Callable[[Account, Request], Awaitable[Response]]
    Endpoint = Callable[[Request], Awaitable[Response]]

_CREATE_PATH: Final = re.compile(rf"/{API_VERSION}/Accounts/(?P<account>[^/]+)/Messages\.json")


def create_app(config: SimulatorConfig) -> FastAPI:
    """Build the application around a new, empty account."""
    account = Account(config)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await account.close()

    app = FastAPI(title="Twilio simulator", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.account = account
    app.state.server = None  # the one that listens for this application, where there is one
    base = f"/{API_VERSION}/Accounts/{{account}}"
    routes: dict[str, dict[str, Handler]] = {
        f"{base}.json": {"GET": _account},
        f"{base}/Messages.json": {"POST": _create, "GET": _list},
        f"{base}/Messages/{{sid}}.json": {"GET": _fetch, "POST": _update, "DELETE": _delete},
        f"{base}/Messages/{{sid}}/Media.json": {"GET": _media_list},
        f"{base}/Messages/{{sid}}/Media/{{media}}.json": {"GET": _media, "DELETE": _delete_media},
        f"{base}/Messages/{{sid}}/Feedback.json": {"POST": _feedback},
    }
    open_routes: dict[str, Handler] = {f"{base}/Messages/{{sid}}/Media/{{media}}": _medium, "/{code}": _visit}
    for path, methods in routes.items():
        for method, handler in methods.items():
            app.router.routes.append(Route(path, _api(account, handler), methods=[method]))
    add_control(app, account)
    add_webhook_control(app, account)
    for path, handler in open_routes.items():
        app.router.routes.append(Route(path, _api(account, handler, is_open=True), methods=["GET"]))
    app.router.routes.append(Route("/{rest:path}", _api(account, _nothing), methods=["GET", "POST", "DELETE"]))
    app.add_middleware(_ShortWay, create=_api(account, _create))
    return app


class _ShortWay:
    """Lets creates, which are nearly all requests, past middleware and routing: a sixth of the time they take here.

    :param app: takes everything else.
    :param create: takes creates.
    """

    def __init__(self, app: ASGIApp, create: Endpoint) -> None:
        self._app = app
        self._create = create

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _CREATE_PATH.fullmatch(scope["path"]) if scope.get("method") == "POST" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["path_params"] = found.groupdict()
        response = await self._create(Request(scope, receive))
        await response(scope, receive, send)


def _api(account: Account, handler: Handler, *, is_open: bool = False) -> Endpoint:
    """Wrap a handler in what every answer has: credentials, latency, request id, Twilio's errors.

    :param is_open: whether it answers everybody, as what stands in people's texts does.
    """
    name = handler.__name__.removeprefix("_")

    @wraps(handler)
    async def endpoint(request: Request) -> Response:
        account.calls[name] += 1
        if account.config.latency_seconds:
            await asyncio.sleep(account.config.latency_seconds)
        try:
            if "account" in request.path_params and not is_open:
                account.check(request.path_params["account"], request.headers.get("authorization"))
            response = await handler(account, request)
        except TwilioError as error:
            response = refusal(error)
        except ClientDisconnect:  # in the middle of its request: nothing was processed
            response = Disconnect()
        response.headers["Twilio-Request-Id"] = f"RQ{uuid4().hex}"
        return response

    return endpoint


async def _form(request: Request) -> dict[str, list[str]]:
    return parse_qs((await request.body()).decode(errors="replace"), keep_blank_values=True)


async def _account(account: Account, _request: Request) -> Response:
    return answer(account.resource())


async def _create(account: Account, request: Request) -> Response:
    form = await _form(request)
    fault = account.faults.for_create()
    if fault is None:
        return await _process(account, form)
    return await create_under(fault, account, request, lambda: _process(account, form, fault))


async def _process(account: Account, form: dict[str, list[str]], fault: str | None = None) -> Response:
    slow = account.faults.faults.slow_media_seconds
    if slow and "MediaUrl" in form:
        account.faults.dealt["slow_media"] += 1
        await asyncio.sleep(slow)
    return answer(account.create(form, fault), 201)


async def _list(account: Account, request: Request) -> Response:
    fault = account.faults.for_read()
    if fault is not None:
        return read_under(fault)
    return answer(account.page(request.query_params, request.url.path))


async def _fetch(account: Account, request: Request) -> Response:
    fault = account.faults.for_read()
    if fault is not None:
        return read_under(fault)
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


async def _medium(account: Account, request: Request) -> Response:
    return RedirectResponse(account.medium(request.path_params["sid"], request.path_params["media"]))


async def _visit(account: Account, request: Request) -> Response:
    """Lead a visitor from a shortened link to where it leads, and tell of the click."""
    code = request.path_params["code"]
    link = account.links.find(code, account.clock.now()) if CODE.fullmatch(code) else None
    if link is None:
        if CODE.fullmatch(code) and account.webhooks.fallback_url:
            return RedirectResponse(account.webhooks.fallback_url)
        raise NotFoundError
    if request.method == "GET":  # not for HEAD: nobody has been there
        _event, webhook = account.click(link, request.headers.get("user-agent", ""))
        if webhook is not None:
            account.sender.post(webhook)
    return RedirectResponse(link.target, 302)


async def _delete_media(account: Account, request: Request) -> Response:
    account.delete_media(request.path_params["sid"], request.path_params["media"])
    return Response(status_code=204)


async def _feedback(account: Account, request: Request) -> Response:
    return answer(account.feedback(request.path_params["sid"], await _form(request)))


async def _nothing(_account: Account, _request: Request) -> Response:
    raise NotFoundError
