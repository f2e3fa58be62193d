import json
from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from gateway.independent_twilio import ACCOUNT_SID, AUTH_TOKEN, independent_twilio
from gateway.scripted_server import answer, hang_up, scripted
from twilio_campaigns.domain.exceptions import TwilioUnavailableError
from twilio_campaigns.operators.message import TwilioSendMessageOperator

RECIPIENT = "+14155550123"


@pytest.fixture
def connect(monkeypatch):
    def define(url):
        given = {"conn_type": "twilio", "login": ACCOUNT_SID, "password": AUTH_TOKEN, "host": url}
        monkeypatch.setenv("AIRFLOW_CONN_TWILIO_DEFAULT", json.dumps(given))

    return define


def operator(**given):
    known = {"task_id": "text", "to": "+14155552671", "from_number": "+15005550006", "body": "hello"}
    return TwilioSendMessageOperator(**{**known, **given})


def test_one_sms(connect):
    with independent_twilio() as server:
        connect(server.url)
        result = operator().execute({})
        (sent,) = server.account.messages
    assert result == {"sid": sent["sid"], "status": "queued"}
    assert (sent["to"], sent["body"]) == ("+14155552671", "hello")
    assert "4155552671" not in json.dumps(result)


def test_one_mms_to_a_number_as_people_write_it(connect):
    with independent_twilio() as server:
        connect(server.url)
        operator(to="(415) 555-2671", default_region="US", body=None, media_url="https://example.com/a.png").execute({})
        (sent,) = server.account.messages
    assert (sent["to"], sent["num_media"], sent["sid"][:2]) == ("+14155552671", "1", "MM")


def test_content_variables_travel_as_json(connect):
    with scripted(answer(500)) as server:
        connect(server.url)
        with pytest.raises(AirflowFailException):
            operator(
                body=None,
                from_number=None,
                messaging_service_sid="MG" + "1" * 32,
                content_sid="HX" + "1" * 32,
                content_variables={"1": "Ada"},
            ).execute({})
        (request,) = server.seen
    assert request.form["ContentVariables"] == ['{"1": "Ada"}']
    assert request.form["MessagingServiceSid"] == ["MG" + "1" * 32]
    assert "From" not in request.form


@pytest.mark.parametrize(
    ("script", "error", "says"),
    [
        (answer(429, {"code": 20429}), TwilioUnavailableError, "did not take"),
        (answer(400, {"code": 21610}), AirflowFailException, "refused"),
        (answer(401, {"code": 20003}), AirflowFailException, "refused"),
        (answer(500, "oops"), AirflowFailException, "not known"),
        (answer(429, "<html>"), AirflowFailException, "not known"),
        (answer(201, "{"), AirflowFailException, "message log"),
        (hang_up, AirflowFailException, "clear this task"),
    ],
)
def test_one_post_and_the_right_kind_of_failure(connect, script, error, says):
    with scripted(script) as server:
        connect(server.url)
        with pytest.raises(error, match=says) as caught:
            operator().execute({})
        assert server.posts == 1
    assert "4155552671" not in str(caught.value)


def test_out_of_reach_may_be_tried_again(connect):
    connect("http://127.0.0.1:1")
    with pytest.raises(TwilioUnavailableError, match="not sent"):
        operator().execute({})


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"to": "12"}, "to is not a valid phone number"),
        ({"to": ""}, "to is not a valid phone number"),
        ({"to": "(415) 555-2671"}, "default_region"),
        ({"from_number": None}, "No sender"),
        ({"from_number": ""}, "No sender"),
        ({"body": None}, "Nothing to send"),
        ({"body": "", "media_url": []}, "Nothing to send"),
        ({"body": "x" * 1601}, "1601 characters"),
        ({"media_url": ["https://example.com/a.png"] * 11}, "11 addresses"),
        ({"content_variables": {"1": "a"}}, "content_sid"),
        ({"content_sid": "HX" + "1" * 32, "content_variables": "[1]"}, "JSON object"),
        ({"content_sid": "HX" + "1" * 32, "content_variables": "{"}, "JSON object"),
        ({"twilio_conn_id": "nowhere"}, "nowhere"),
    ],
)
def test_wrong_parameters_fail_before_anything_is_posted(connect, given, says):
    with scripted(answer(500)) as server:
        connect(server.url)
        with pytest.raises(Exception, match=says) as caught:
            operator(**given).execute({})
        assert server.seen == []
    if "twilio_conn_id" not in given:
        assert isinstance(caught.value, AirflowFailException)


def test_a_broken_connection_is_not_retried(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_TWILIO_DEFAULT", json.dumps({"conn_type": "twilio", "login": "AC1"}))
    with pytest.raises(AirflowFailException, match="Connection twilio_default"):
        operator().execute({})


def test_what_is_templated():
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        task = operator(to="{{ params.to }}", body="Hi {{ params.name }}", content_variables={"1": "{{ params.name }}"})
    task.render_template_fields({"params": {"to": RECIPIENT, "name": "Ada"}})
    assert (task.to, task.body, task.content_variables) == (RECIPIENT, "Hi Ada", {"1": "Ada"})
    assert "default_region" not in task.template_fields


def test_nothing_is_checked_before_templates_are_rendered():
    operator(to="{{ whatever }}", from_number=None, body=None)
