"""The audit's task, run as Airflow runs it: what is green, what is red for good, what is tried again."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException
from structlog.testing import capture_logs

from builders import campaign, freeze, in_run, people, run
from twilio_campaigns.domain.exceptions import TransientError, UnfinishedError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway import client
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.reading import Patience
from twilio_campaigns.operators.audit import TwilioAuditOperator

#: At a day's end, so that the run of five days later is due soon.
LOGICAL_DATE = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0)
SENT_AT = LOGICAL_DATE - timedelta(days=5)
DAY = SENT_AT.date()


@pytest.fixture
def long_ago(database_url, start_simulator, connect_twilio, connect_warehouse, monkeypatch):
    """A Twilio of five days ago, with the connections to it."""
    monkeypatch.setattr(client, "Patience", lambda: Patience(tries=1))
    simulator = start_simulator(life_speed=100_000, started_at=SENT_AT)
    connect_twilio(simulator.url)
    connect_warehouse(database_url)
    return simulator


@pytest.fixture
def settled(warehouse, query, long_ago):
    """Twenty messages whose fate the ledger knows."""
    freeze(warehouse, people(20))

    async def work():
        async with TwilioGateway(long_ago.settings()) as twilio:
            await BatchSender(warehouse, twilio, campaign(), Settings()).send(run().run_key, 1)

    asyncio.run(work())
    long_ago.control("POST", "clock", advance_seconds=timedelta(days=5).total_seconds())
    query("update messages set provider_status = 'read', status = 'delivered', settled_at = now()")
    return long_ago


def execute(logical_date=LOGICAL_DATE, **changes):
    return TwilioAuditOperator(task_id="audit", **changes).execute(in_run(logical_date))


def said(logs):
    return "\n".join(str(entry) for entry in logs)


class TestGreen:
    def test_a_clean_day_gives_its_figures(self, settled, query):
        with capture_logs() as logs:
            figures = execute()
        assert figures == {
            "accepted": 20,
            "matched": 20,
            "missing": 0,
            "orphans": 0,
            "different": 0,
            "listed": figures["listed"],
            "fetched": 20 - figures["listed"],
            "api_calls": 1 + 20 - figures["listed"],
        }
        assert query("select day, complete from reconcile_audits") == [{"day": DAY, "complete": True}]
        assert f"Auditing the messages that Twilio accepted on {DAY}." in said(logs)
        assert f"Day {DAY}, twilio_default: 20 accepted: 20 match" in said(logs)
        assert "+1202" not in said(logs)

    def test_a_run_without_logical_date_has_the_day_of_its_start(self, settled):
        context = in_run(None, run_after=LOGICAL_DATE)
        assert TwilioAuditOperator(task_id="audit").execute(context)["accepted"] == 20

    def test_any_day_may_be_named(self, settled, query):
        assert execute(LOGICAL_DATE - timedelta(days=90), day=DAY.isoformat())["accepted"] == 20
        assert execute(day="2025-01-01")["accepted"] == 0

    def test_a_longer_window_closes_days_later(self, settled, configure):
        configure(TRACKING_WINDOW="6d")
        assert execute()["accepted"] == 0
        assert execute(LOGICAL_DATE + timedelta(days=2))["accepted"] == 20


class TestRed:
    def test_a_gap_is_no_matter_of_trying_again(self, settled, query):
        query("update messages set provider_status = 'queued', status = 'enqueued'")
        query("update messages set tracking_closes_at = now()")
        with capture_logs() as logs, pytest.raises(AirflowFailException) as caught:
            execute()
        message = str(caught.value)
        assert message.startswith(f"Day {DAY} has 0 missing, 20 different, 0 orphans.")
        assert f"twilio-campaigns reconcile --day {DAY}" in message
        assert "20 different" in said(logs)
        assert "+1202" not in message + said(logs)
        assert query("select count(*) as n from reconcile_audit_findings")[0]["n"] == 20

    def test_senders_that_are_not_campaigns_alone_are_left_out(self, settled, query):
        query("delete from messages where customer_id >= 'c000010'")
        with pytest.raises(AirflowFailException, match="orphans"):
            execute()
        assert execute(other_senders=["MG" + "0" * 32])["orphans"] == 0

    def test_credentials_that_are_refused_are_not_tried_again(self, settled, connect_twilio, query):
        connect_twilio(settled.url, password="another-token")
        with pytest.raises(AirflowFailException, match="does not accept these credentials") as caught:
            execute()
        assert "The audit is incomplete." in str(caught.value)
        assert "another-token" not in str(caught.value)
        assert query("select complete from reconcile_audits") == [{"complete": False}]

    def test_a_day_that_is_none_is_not_tried_again(self, long_ago):
        with pytest.raises(AirflowFailException, match="2026-11-20"):
            execute(day="yesterday")

    def test_a_warehouse_without_tables_names_the_dag_that_makes_them(self, empty_database_url, connect_warehouse):
        connect_warehouse(empty_database_url)
        with pytest.raises(AirflowFailException, match="warehouse_upgrade"):
            execute()


class TestTryingAgain:
    def test_twilio_out_of_reach(self, settled, connect_twilio):
        connect_twilio("http://127.0.0.1:1")
        with pytest.raises(UnfinishedError, match="could not be read whole") as caught:
            execute()
        assert not isinstance(caught.value, AirflowFailException)
        connect_twilio(settled.url)
        assert execute()["matched"] == 20

    def test_the_warehouse_out_of_reach(self, long_ago, connect_warehouse):
        connect_warehouse("postgresql://user:hidden@127.0.0.1:1/warehouse")
        with pytest.raises(TransientError) as caught:
            execute()
        assert "hidden" not in str(caught.value)
