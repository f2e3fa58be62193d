"""Links beside tasks, as a worker makes them."""

from types import SimpleNamespace

import pytest
from airflow.sdk import BaseOperator

from twilio_campaigns.links.console import TwilioMessageLink, TwilioMessageLogLink
from twilio_campaigns.links.pages import CampaignLink, CampaignRunLink, MessagingHealthLink, page_url
from twilio_campaigns.operators.audit import TwilioAuditOperator
from twilio_campaigns.operators.campaign import (
    TwilioCampaignReportOperator,
    TwilioCampaignSendOperator,
    TwilioPrepareAudienceOperator,
)
from twilio_campaigns.operators.message import TwilioSendMessageOperator
from twilio_campaigns.operators.resolve import TwilioResolveUnknownOperator
from twilio_campaigns.provider_info import get_provider_info
from twilio_campaigns.sensors.reconcile import TwilioReconcileSensor

RUN_KEY = "spring/2026-11-20T09:00:00.000000Z"
OPERATORS = (
    TwilioPrepareAudienceOperator,
    TwilioCampaignSendOperator,
    TwilioResolveUnknownOperator,
    TwilioCampaignReportOperator,
    TwilioSendMessageOperator,
    TwilioAuditOperator,
    TwilioReconcileSensor,
)


class TaskInstance:
    """What a link needs of Airflow's."""

    def __init__(self, *, error=None):
        self.xcoms = {}
        self.error = error

    def xcom_push(self, key, value):
        if self.error:
            raise self.error
        self.xcoms[key] = value


@pytest.fixture
def operator():
    return TwilioCampaignReportOperator(task_id="report", campaign_id="spring")


class TestKept:
    def test_it_shows_while_the_task_still_runs_and_when_it_has_ended(self, operator):
        task_instance = TaskInstance()
        CampaignRunLink().keep_run(operator, {"ti": task_instance}, RUN_KEY)
        url = "twilio/runs/spring/2026-11-20T09%3A00%3A00.000000Z"
        assert task_instance.xcoms == {"_link_CampaignRunLink": url}
        # Airflow asks an object of its own, with the operator that has run.
        assert CampaignRunLink().get_link(operator, ti_key=task_instance) == url

    def test_two_links_of_a_task_are_kept_apart(self, operator):
        TwilioMessageLink().keep(operator, {}, "one")
        TwilioMessageLogLink().keep(operator, {}, "log")
        assert TwilioMessageLink().get_link(operator, ti_key=None) == "one"
        assert TwilioMessageLogLink().get_link(operator, ti_key=None) == "log"

    @pytest.mark.parametrize("link", [CampaignRunLink(), TwilioMessageLink(), TwilioMessageLogLink()])
    def test_a_task_that_never_came_so_far_has_none(self, operator, link):
        assert link.get_link(operator, ti_key=None) == ""

    def test_an_xcom_that_cannot_be_written_fails_no_task(self, operator, caplog):
        CampaignRunLink().keep_run(operator, {"ti": TaskInstance(error=ConnectionError("away"))}, RUN_KEY)
        assert "away" in caplog.text
        assert CampaignRunLink().get_link(operator, ti_key=None)


class TestPages:
    @pytest.mark.parametrize(
        ("base_url", "url"),
        [
            (None, "twilio/campaigns/spring"),
            ("https://airflow.example.com", "/plugin/campaigns/twilio/campaigns/spring"),
            ("https://airflow.example.com/", "/plugin/campaigns/twilio/campaigns/spring"),
        ],
    )
    def test_a_campaign_with_and_without_the_address_of_the_api_server(self, monkeypatch, operator, base_url, url):
        if base_url:
            monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)
        assert CampaignLink().get_link(operator, ti_key=None) == url

    def test_a_path_prefix_stands_in_front(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://example.com/airflow/")
        assert page_url("/health-page").startswith("/airflow/plugin/campaigns/")

    def test_health(self):
        sensor = TwilioReconcileSensor(task_id="reconcile")
        assert MessagingHealthLink().get_link(sensor, ti_key=SimpleNamespace()) == "twilio/health-page"


def test_the_provider_names_every_link_that_an_operator_has():
    used = {type(link) for operator in OPERATORS for link in operator.operator_extra_links}
    assert {f"{link.__module__}.{link.__name__}" for link in used} == set(get_provider_info()["extra-links"])


def test_no_two_links_of_a_task_have_one_name():
    for operator in OPERATORS:
        names = [link.name for link in operator.operator_extra_links]
        assert len(set(names)) == len(names) > 0
        assert issubclass(operator, BaseOperator)
