"""The pages over a real warehouse with a run of which everything can be said, mounted as Airflow mounts them."""

from contextlib import ExitStack

import psycopg
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from told_run import tell_run
from twilio_campaigns.warehouse.connection import Warehouse
from twilio_campaigns.warehouse.insight.refreshing import Summaries
from twilio_campaigns.web.app import create_app
from twilio_campaigns.web.pages.reading import Reading
from twilio_campaigns.web.pages.site import Site
from web.pages.visiting import HTML, Browser, SomeLogin, SomeVisitor


@pytest.fixture(scope="session")
def told_url(postgres_url, template_database):
    """URL of a database with the run, for all tests that only look at it."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database told template {template_database}")
    url = postgres_url.replace("/postgres?", "/told?", 1)
    with Warehouse(url) as warehouse:
        tell(warehouse)
    return url


def tell(warehouse):
    """Make the run, and its figures; give its key."""

    def query(statement, *args):
        with warehouse.transaction() as connection:
            cursor = connection.execute(statement, args)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    key = tell_run(warehouse, query)
    Summaries(warehouse).refresh(key)
    return key


@pytest.fixture
def run_key(warehouse):
    """Key of the run, in a database of the test's own."""
    return tell(warehouse)


@pytest.fixture
def visit(request):
    """Open the pages as somebody, over the database of all or, where the test has one, over its own."""
    own = next((name for name in ("database_url", "empty_database_url") if name in request.fixturenames), "told_url")
    with ExitStack() as stack:

        def start(visitor=None, *, anonymous=False, open_warehouse=None, root_path=""):
            url = request.getfixturevalue(own)
            site = Site(
                lambda: SomeLogin(None if anonymous else visitor or SomeVisitor()),
                Reading(open_warehouse or (lambda: Warehouse(url, max_connections=3))),
            )
            airflow = FastAPI(root_path=root_path)
            airflow.mount("/twilio", create_app(prefixes=("",), site=site))
            client = stack.enter_context(TestClient(airflow, base_url="http://airflow", headers=HTML))
            stack.callback(lambda: client.portal.call(site.close))
            return Browser(client)

        yield start
