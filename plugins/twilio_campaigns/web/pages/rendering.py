"""Templates into answers, with the headers that keep them private."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from twilio_campaigns.domain import page_urls
from twilio_campaigns.web.pages.formats import FILTERS
from twilio_campaigns.web.pages.static_files import static_path

if TYPE_CHECKING:
    from starlette.requests import Request

    from twilio_campaigns.web.pages.visit import Page

#: Everything comes from us, nothing is inline, and only Airflow's own pages may frame ours.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'self'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
}


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("twilio_campaigns.web.pages", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


class Addresses:
    """Makes addresses for templates.

    :param mount: path of our app on its host.
    :param airflow: path of Airflow on its host.
    """

    def __init__(self, mount: str, airflow: str) -> None:
        self._mount = mount
        self._airflow = airflow

    def campaigns(self) -> str:
        """Give all campaigns."""
        return self._mount + page_urls.campaigns_path()

    def campaign(self, campaign_id: str) -> str:
        """Give one campaign."""
        return self._mount + page_urls.campaign_path(campaign_id)

    def run(self, run_key: str) -> str:
        """Give one run."""
        return self._mount + page_urls.run_path(run_key)

    def message(self, message: object) -> str:
        """Give one message."""
        return self._mount + page_urls.message_path(str(message))

    def messages(self) -> str:
        """Give the search for messages."""
        return f"{self._mount}/messages"

    def health(self) -> str:
        """Give the health page."""
        return f"{self._mount}/health-page"

    def static(self, name: str) -> str:
        """Give a file of ours."""
        return self._mount + static_path(name)

    def airflow(self, path: str) -> str:
        """Give a page of Airflow's own UI."""
        return f"{self._airflow}{path}"

    def framed(self, request_path: str) -> str:
        """Give a page of ours within Airflow, with its navigation."""
        return f"{self._airflow}/plugin/{page_urls.ROUTE}{request_path}"


def addresses_of(request: Request) -> Addresses:
    """Give what makes addresses, however the app is mounted."""
    scope = request.scope
    return Addresses(scope.get("root_path", ""), scope.get("app_root_path", ""))


def rendered(page: Page, addresses: Addresses, **more: Any) -> HTMLResponse:  # noqa: ANN401 - whatever templates show
    """Fill a template."""
    text = _environment().get_template(page.template).render(url=addresses, **more, **page.values)
    return HTMLResponse(text, status_code=page.status, headers=_HEADERS)
