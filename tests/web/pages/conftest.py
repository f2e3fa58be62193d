"""The pages over a real warehouse with a run of which everything can be said, mounted as Airflow mounts them."""

from contextlib import ExitStack

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from twilio_campaigns.warehouse.insight.refreshing import Summaries

from told_run import tell_run
from twilio_campaigns.warehouse.connection import Warehouse
from twilio_campaigns.web.app import create_app
from twilio_campaigns.web.pages.reading import Reading
from twilio_campaigns.web.pages.site import Site
from web.pages.visiting import HTML, Browser, SomeLogin, SomeVisitor


@pytest.fixture
def visit(database_url):
    """Open the pages as somebody; gives a function that gets a page."""
    with ExitStack() as stack:

        def start(visitor=None, *, anonymous=False, url=database_url, open_warehouse=None):
            site = Site(
                lambda: SomeLogin(None if anonymous else visitor or SomeVisitor()),
                Reading(open_warehouse or (lambda: Warehouse(url, max_connections=3))),
            )
            airflow = FastAPI()
            app = create_app(prefixes=("",), site=site)
            airflow.mount("/twilio", app)
            client = stack.enter_context(TestClient(airflow, base_url="http://airflow", headers=HTML))
            stack.callback(lambda: client.portal.call(site.close))
            return Browser(client)

        yield start


@pytest.fixture
def run_key(warehouse, query):
    key = tell_run(warehouse, query)
    Summaries(warehouse).refresh(key)
    return key
