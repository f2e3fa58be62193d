"""Assets that other DAGs wait for."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import Asset
from airflow.sdk.execution_time.context import OutletEventAccessors

from builders import campaign, freeze, in_run, people
from conftest import ROOT
from told_run import AT, tell_run
from twilio_campaigns.assets import campaign_asset, emit, reconciled_days
from twilio_campaigns.engine.reconcile import Look
from twilio_campaigns.engine.report import day_event
from twilio_campaigns.engine.steer import RunSteering
from twilio_campaigns.operators.campaign import TwilioCampaignReportOperator
from twilio_campaigns.operators.sending import run_of
from twilio_campaigns.sensors.reconcile import TwilioReconcileSensor

OTHER = Asset("somebody_elses")


def report_operator(**changes):
    return TwilioCampaignReportOperator(task_id="report", campaign_id="spring", **changes)


def test_names_and_addresses_are_a_contract():
    assert (campaign_asset("a_1").name, campaign_asset("a_1").uri) == ("twilio_campaign__a_1", "twilio-campaign://a_1/")
    assert (reconciled_days().name, reconciled_days().uri) == ("twilio_reconciled_days", "twilio-reconcile://days/")


@pytest.mark.parametrize("campaign_id", ["_", "0", "self", "x" * 100])
def test_whatever_a_campaign_may_be_called_airflow_takes_it(campaign_id):
    campaign(campaign_id=campaign_id)
    assert campaign_asset(campaign_id) == campaign_asset(campaign_id) != campaign_asset("other")


def test_tasks_have_their_outlets_unless_somebody_gives_others():
    assert report_operator().outlets == [campaign_asset("spring")]
    assert TwilioReconcileSensor(task_id="reconcile").outlets == [reconciled_days()]
    assert report_operator(outlets=[OTHER]).outlets == [OTHER]


class TestEmit:
    def test_the_event_tells_what_it_was_given(self):
        operator, events = report_operator(), OutletEventAccessors()
        emit(operator, {"outlet_events": events}, campaign_asset("spring"), {"enqueued": 3})
        assert events[campaign_asset("spring")].extra == {"enqueued": 3}
        assert operator.outlets == [campaign_asset("spring")]

    def test_no_event_leaves_other_outlets_alone(self):
        operator = report_operator(outlets=[campaign_asset("spring"), OTHER])
        emit(operator, {"outlet_events": OutletEventAccessors()}, campaign_asset("spring"), None)
        assert operator.outlets == [OTHER]

    def test_an_outlet_that_a_task_does_not_have_gets_no_event(self):
        events = OutletEventAccessors()
        emit(report_operator(outlets=[OTHER]), {"outlet_events": events}, campaign_asset("spring"), {"enqueued": 3})
        assert len(events) == 0


class TestReport:
    @pytest.fixture
    def report(self, database_url, connect_warehouse, warehouse):
        """Make a run of three, do something to it, and let the task report."""
        connect_warehouse(database_url)

        def execute(steer):
            context = {**in_run(), "outlet_events": OutletEventAccessors()}
            freeze(warehouse, people(3), as_run=run_of(context, "spring"))
            steer(RunSteering(warehouse, "spring/manual__one", "ada"))
            operator = report_operator()
            operator.execute(context)
            return operator.outlets, context["outlet_events"]

        return execute

    def test_a_stopped_run_is_over_and_says_what_it_did_not_send(self, report):
        outlets, events = report(lambda run: run.stop())
        assert outlets == [campaign_asset("spring")]
        extra = events[campaign_asset("spring")].extra
        assert (extra["state"], extra["planned"], extra["waiting"], extra["enqueued"]) == ("stopped", 3, 3, 0)
        assert json.loads(json.dumps(extra)) == extra

    def test_the_page_tells_every_figure_of_the_event_and_no_other(self, report):
        _, events = report(lambda run: run.stop())
        page = (ROOT / "docs" / "airflow.md").read_text("utf-8")
        _, _, after = page.partition("`extra` of a campaign's event:\n\n")
        table, _, _ = after.partition("\n\n")
        told = [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]
        assert sorted(told) == sorted(events[campaign_asset("spring")].extra)

    def test_a_paused_run_is_not(self, report):
        outlets, events = report(lambda run: run.pause())
        assert (outlets, len(events)) == ([], 0)


class TestDay:
    def test_its_figures_are_those_of_the_views(self, warehouse, query):
        tell_run(warehouse, query)
        query("update messages set price = 0.0079, price_unit = 'USD' where send_state = 'accepted'")
        event = day_event(warehouse, AT.date(), Look(True, datetime.now(UTC), "", None, 2, 1))
        assert event == {
            "day": "2026-11-20",
            "campaigns": ["spring"],
            "enqueued": 10,
            "sent": 8,
            "delivered": 6,
            "failed": 1,
            "rejected": 1,
            "unreported": 0,
            "open": 10,
            "unresolved": 1,
            "parts": None,
            "price": 0.079,
            "price_unit": "USD",
        }
        assert json.loads(json.dumps(event)) == event

    def test_a_sum_of_two_currencies_is_no_price(self, warehouse, query):
        tell_run(warehouse, query)
        query("update messages set price = 1, price_unit = case when status = 'delivered' then 'USD' else 'EUR' end")
        event = day_event(warehouse, AT.date(), Look(True, datetime.now(UTC), "", None, 0, 0))
        assert (event["price"], event["price_unit"]) == (None, None)

    def test_a_day_without_messages_has_noughts(self, warehouse):
        event = day_event(warehouse, AT.date() - timedelta(days=1), Look(True, datetime.now(UTC), "", None, 0, 0))
        assert (event["enqueued"], event["campaigns"], event["price"]) == (0, [], None)
