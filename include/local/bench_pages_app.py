"""The pages under uvicorn for `bench_pages`, and every page that there is, each ready to be asked."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import httpx
import uvicorn
from fastapi import FastAPI

from include.local.bench_lab import BenchError
from include.local.environment import free_port
from twilio_campaigns.domain import page_urls
from twilio_campaigns.domain.scope import Scope
from twilio_campaigns.warehouse.connection import Warehouse
from twilio_campaigns.warehouse.insight.campaigns import CampaignIndex
from twilio_campaigns.warehouse.insight.messages import MessageSearch
from twilio_campaigns.web.app import create_app
from twilio_campaigns.web.pages.reading import CONNECTIONS, Reading
from twilio_campaigns.web.pages.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from starlette.requests import Request

_STARTING: Final = 30.0


class _Administrator:
    """Who may see and do everything, and so sees the fullest pages."""

    name = "bench"

    def readable(self, dag_ids: Iterable[str]) -> set[str]:
        return set(dag_ids)

    def may_steer(self, _dag_id: str) -> bool:
        return True

    def edits_connections(self) -> bool:
        return True


class _Door:
    async def visitor(self, _request: Request) -> _Administrator:
        return _Administrator()

    def login_url(self, _request: Request) -> str:
        return "/"


@contextmanager
def visitor(url: str) -> Iterator[dict[str, Callable[[], object]]]:
    """Serve the pages over a warehouse; give what asks for each page, by name."""
    site = Site(_Door, Reading(lambda: Warehouse(url, max_connections=CONNECTIONS)))
    airflow = FastAPI()
    airflow.mount(page_urls.MOUNT, create_app(url, prefixes=("",), site=site))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(airflow, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        _wait(server)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}{page_urls.MOUNT}", timeout=60) as client:
            yield {name: _asking(client, path) for name, path in _paths(url).items()}
    finally:
        server.should_exit = True
        thread.join(10)


def _wait(server: uvicorn.Server) -> None:
    until = time.monotonic() + _STARTING
    while not server.started:
        if time.monotonic() > until:
            raise BenchError(f"The pages were not served within {_STARTING:.0f} s.")
        time.sleep(0.02)


def _asking(client: httpx.Client, path: str) -> Callable[[], None]:
    def ask() -> None:
        answer = client.get(path, headers={"Accept": "text/html"})
        if answer.status_code != httpx.codes.OK:
            raise BenchError(f"{path} was answered {answer.status_code}: {answer.text[:500]}")

    return ask


def _paths(url: str) -> dict[str, str]:
    """Name every page with the largest that there is to show on it."""
    with Warehouse(url) as warehouse:
        runs = CampaignIndex(warehouse).runs(Scope()).rows
        largest = max(runs, key=lambda run: run.counts.audience)
        message = MessageSearch(warehouse).of_run(largest.run_key, state="delivered").rows[0]
    campaign = page_urls.campaign_path(largest.campaign_id)
    of_run = f"/messages?run={quote(largest.run_key, safe='')}"
    return {
        "campaigns": page_urls.campaigns_path(),
        "campaigns, searched": f"{page_urls.campaigns_path()}?q=e",
        "a campaign, all its runs": campaign,
        "a campaign, one country": f"{campaign}?country=US",
        "a campaign, some days": f"{campaign}?since={largest.created_at.date()}",
        "the newest run, being sent": page_urls.run_path(runs[0].run_key),
        f"a run of {largest.counts.audience:,}": page_urls.run_path(largest.run_key),
        "its messages": of_run,
        "its failed messages": f"{of_run}&state=failed",
        "its messages without an answer": f"{of_run}&state=unknown",
        "its excluded rows": f"{of_run}&state=skipped",
        "the messages of a batch": f"{of_run}&batch={message.batch_no}",
        "messages of a customer": f"/messages?q={message.customer_id}",
        "messages to one number": f"/messages?same_number_as={message.message_key}",
        "one message": page_urls.message_path(str(message.message_sid)),
        "health": "/health-page",
    }
