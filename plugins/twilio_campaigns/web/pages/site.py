"""The pages as a part of our ASGI app: who may come in, which page answers, and what an error looks like."""

from __future__ import annotations

import asyncio
import logging
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from starlette.responses import PlainTextResponse, RedirectResponse, Response

from twilio_campaigns.domain.exceptions import TerminalError, TwilioCampaignsError
from twilio_campaigns.web.pages import campaigns, health, messages, runs
from twilio_campaigns.web.pages.reading import CONNECTIONS, PATIENCE, STATEMENT_TIMEOUT, Reading
from twilio_campaigns.web.pages.rendering import addresses_of, rendered
from twilio_campaigns.web.pages.same_origin import is_same_origin
from twilio_campaigns.web.pages.static_files import serve
from twilio_campaigns.web.pages.visit import BadInputError, ForbiddenError, NotFoundError, Page, Redirect, Visit
from twilio_campaigns.web.pages.visitors import AnonymousError
from twilio_campaigns.web.requests import FORM, RefusedError, body_of, kind_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI
    from starlette.requests import Request

    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.web.pages.visitors import Login

    Answers = Callable[[Visit], Page | Redirect]

log = logging.getLogger(__name__)

#: Path below the mount, method, and who answers. The longer path first where one begins like another.
ROUTES: Final[tuple[tuple[str, str, Answers], ...]] = (
    ("/campaigns", "GET", campaigns.every),
    ("/campaigns/{campaign_id}", "GET", campaigns.one),
    ("/runs/{run_key:path}", "GET", runs.show),
    ("/runs/{run_key:path}", "POST", runs.steer),
    ("/dags/{dag_id}/runs/{dag_run_id:path}", "GET", runs.of_dag_run),
    ("/dags/{dag_id}", "GET", campaigns.of_dag),
    ("/messages", "GET", messages.found),
    ("/messages", "POST", messages.search),
    ("/messages/{message}", "GET", messages.story),
    ("/health-page", "GET", health.show),
    ("/health-page", "POST", health.check),
)


class Site:
    """Serves the pages. Nothing is imported or opened before the first request: workers load plugins, too.

    :param open_login: makes the door.
    :param reading: the warehouse, and threads to ask it.
    """

    def __init__(self, open_login: Callable[[], Login], reading: Reading) -> None:
        self._open_login = open_login
        self._reading = reading

    @cached_property
    def _login(self) -> Login:
        return self._open_login()

    def add_to(self, app: FastAPI) -> None:
        """Add every page to an app."""
        for path, method, answers in ROUTES:
            app.add_route(path, self._endpoint(answers), methods=[method])
        app.add_route("/static/{path:path}", _static, methods=["GET"])
        for path in ("/", "/campaigns/"):
            app.add_route(path, _to_campaigns, methods=["GET"])

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.to_thread(self._reading.close)

    def _endpoint(self, answers: Answers) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                visitor = await self._login.visitor(request)
            except AnonymousError:
                return self._turned_away(request)
            try:
                form = await _form_of(request)
            except RefusedError as error:
                return PlainTextResponse("This form was not sent from one of our pages.", error.status)
            query = dict(request.query_params)
            visit = Visit(
                visitor,
                self._reading.warehouse,
                self._reading.nudge,
                self._reading.count_soon,
                request.path_params,
                query,
                form,
            )
            try:
                return await self._reading.run(lambda: _answer(answers, visit, request))
            except TwilioCampaignsError as error:
                return _failure(visit, request, error)
            finally:
                self._reading.nudge()

        return endpoint

    def _turned_away(self, request: Request) -> Response:
        """Send people to the login and back; a program, or a form, gets a plain no."""
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(self._login.login_url(request), 303, headers={"Cache-Control": "no-store"})
        return PlainTextResponse("Log in to Airflow first.", 401)


def airflow_site() -> Site:
    """Make the pages behind Airflow's login, over its connection `warehouse_default`."""

    def open_login() -> Login:
        from twilio_campaigns.web.pages.airflow_login import AirflowLogin

        return AirflowLogin()

    def open_warehouse() -> Warehouse:
        from twilio_campaigns.hooks.warehouse import WarehouseHook

        return WarehouseHook().get_conn(
            max_connections=CONNECTIONS, patience=PATIENCE, statement_timeout=STATEMENT_TIMEOUT
        )

    return Site(open_login, Reading(open_warehouse))


async def _form_of(request: Request) -> dict[str, str]:
    """Read a form.

    :raises RefusedError: when it comes from elsewhere, or is none.
    """
    if request.method != "POST":
        return {}
    if not is_same_origin(request):
        raise RefusedError(403, "cross_site")
    kind_of(request, FORM)
    return dict(parse_qsl((await body_of(request)).decode("utf-8", "replace"), keep_blank_values=True))


def _answer(answers: Answers, visit: Visit, request: Request) -> Response:
    """Make a page or the page of an error; blocks."""
    try:
        visit.require_text()
        page = answers(visit)
        if isinstance(page, Redirect):
            return RedirectResponse(request.scope.get("root_path", "") + page.path, 303)
        return _shown(visit, request, page)
    except (NotFoundError, ForbiddenError, BadInputError, TwilioCampaignsError) as error:
        return _failure(visit, request, error)
    except Exception:
        log.exception("A page failed.")
        return _shown(visit, request, _error_page(500, "This page has a defect", _OURS, ()))


#: What is said of a defect of ours; the log has the rest.
_OURS: Final = (
    "Nothing was changed. The API server's log tells more under the name twilio_campaigns.web.pages; please report it."
)
_AWAY: Final = (
    "Pages read the connection warehouse_default. Sending and webhooks do not depend on this page.",
    "As soon as the warehouse answers, this page does, too: no restart is needed.",
)


def _failure(visit: Visit, request: Request, error: Exception) -> Response:
    match error:
        case NotFoundError():
            page = _error_page(404, "Nothing to see here", str(error), ())
        case ForbiddenError():
            page = _error_page(403, "You may not do this", str(error), ())
        case BadInputError():
            page = _error_page(400, "This address cannot be read", str(error), ())
        case TerminalError():
            page = _error_page(503, "The warehouse is not ready", str(error), _AWAY)
        case _:
            page = _error_page(503, "The warehouse is away", str(error), _AWAY)
    return _shown(visit, request, page)


def _error_page(status: int, title: str, text: str, more: tuple[str, ...]) -> Page:
    return Page("error.html", {"title": title, "text": text, "more": more, "section": ""}, status)


def _shown(visit: Visit, request: Request, page: Page) -> Response:
    shared: dict[str, Any] = {
        "visitor_name": visit.visitor.name,
        "here": request.scope["path"],
        # What was just done is told once: it goes into no link.
        "query": {name: value for name, value in visit.query.items() if name != "did"},
    }
    return rendered(page, addresses_of(request), **shared)


async def _static(request: Request) -> Response:
    return serve(f"/static/{request.path_params['path']}")


async def _to_campaigns(request: Request) -> Response:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/campaigns", 307)
