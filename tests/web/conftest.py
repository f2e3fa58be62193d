"""The app over a real warehouse, as Airflow mounts it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from builders import campaign, freeze, observation, people, run
from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.status import Source
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.outcomes import Outcomes
from twilio_campaigns.web.app import create_app
from web.receiving import account
from web.twilio_posts import SERVICE


@pytest.fixture
def connections():
    """Airflow's connections; a test may change them."""
    return {"twilio_default": account()}


@pytest.fixture
def serve(database_url, connections):
    """Make clients of apps of the test's own."""
    running = []

    def settings_of(name):
        if name not in connections:
            raise ConfigurationError(f"There is no connection {name}.")
        return connections[name]

    def start(url=database_url, **changes):
        app = create_app(url, settings=Settings(**changes), settings_of=settings_of, prefixes=("",))
        client = TestClient(app, base_url="http://internal:8080", client=("10.0.0.9", 1234))
        running.append(client.__enter__())
        return running[-1]

    yield start
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture
def client(serve):
    """A client of the app."""
    return serve()


class Sent:
    """A claimed row, and what Twilio would know of it."""

    def __init__(self, claim, n):
        self.key, self.claim = claim.rows[n].key, claim.claim_id
        self.to = claim.rows[n].message.to_number


@pytest.fixture
def claimed(warehouse):
    """Freeze and claim rows of a run that is being sent."""

    def claim(count=1, of=None, as_run=None):
        of = of or campaign()
        as_run = as_run or run()
        freeze(warehouse, people(count), of=of, as_run=as_run)
        template = OutgoingMessage("", messaging_service_sid=SERVICE)
        made = Ledger(warehouse).claim(as_run.run_key, 1, count, uuid4(), template)
        return made, [Sent(made, n) for n in range(count)]

    return claim


@pytest.fixture
def accept(warehouse):
    """Write down answers for rows of a claim; gives their SIDs."""

    def record(claim, count=None, at=None, status="accepted"):
        at = at or datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=30)
        sids = ["SM" + uuid4().hex for _ in claim.rows[:count]]
        answers = {
            row.key: observation(sid, status, at=at, updated_at=at, source=Source.SEND, to_number=row.message.to_number)
            for row, sid in zip(claim.rows, sids, strict=False)
        }
        Ledger(warehouse).record(
            claim.claim_id,
            Outcomes(answers, {}, [], []),
            window=timedelta(days=4),
            list_lag=timedelta(hours=4),
        )
        return sids

    return record
