"""The commands that act on a simulator that runs: `simulator reply` and `simulator click`."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from simulator.api import OUR_NUMBER, PERSON, SERVICE
from twilio_campaigns.cli import app
from twilio_campaigns.simulator.webhooks import Webhooks


@pytest.fixture
def told(start_world, receiver):
    """A simulator whose webhooks all lead to the receiver, and links to a domain."""
    url = receiver.url
    return start_world(webhooks=Webhooks(inbound_url=f"{url}/in", click_url=f"{url}/click", link_domain="go.example"))


def run(world, *words):
    return CliRunner().invoke(app, ["simulator", *words, "--url", world.server.url])


def assert_fails(result, says):
    """Exit code 1, one line on stderr, no number of anybody's in it."""
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1), result.output
    assert says in result.stderr
    assert PERSON[1:] not in result.stderr


def test_somebody_replies(told):
    result = run(told, "reply", "--from", PERSON, "--to", OUR_NUMBER, "--body", "STOP")
    (request,) = told.receiver.requests
    assert (request.form["Body"], request.form["To"], request.form["From"]) == ("STOP", OUR_NUMBER, PERSON)
    sid = request.form["MessageSid"]
    assert (result.exit_code, result.stdout) == (0, f"Message {sid} was received. The webhook answered 204.\n")


def test_somebody_replies_with_pictures_to_a_service(told):
    pictures = ["https://example.com/a.png", "https://example.com/b.gif"]
    words = [word for picture in pictures for word in ("--media", picture)]
    result = run(told, "reply", "--from", PERSON, "--service", SERVICE, *words)
    assert result.exit_code == 0, result.output
    form = told.receiver.requests[0].form
    assert (form["NumMedia"], form["MediaContentType1"], form["MessagingServiceSid"]) == ("2", "image/gif", SERVICE)


@pytest.mark.parametrize(
    ("words", "browser"),
    [([], "iPhone"), (["--bot"], "Google-PageRenderer"), (["--user-agent", "curl/8"], "curl/8")],
)
def test_somebody_clicks(told, words, browser):
    message = told.send_by_service(url=None, Body="https://a.example https://b.example", ShortenUrls="true")
    for named in (["--sid", message["sid"]], ["--to", PERSON]):
        result = run(told, "click", *named, "--link", "2", *words)
        event = told.receiver.requests[-1].json
        assert (event["link"], browser in event["user_agent"]) == ("https://b.example", True)
        said = f"{event['shortened_link']} of {message['sid']} was opened. The webhook answered 204.\n"
        assert (result.exit_code, result.stdout) == (0, said)


def test_a_webhook_that_does_not_take_it_is_an_error(told):
    told.receiver.answers = [403]
    assert_fails(run(told, "reply", "--from", PERSON, "--to", OUR_NUMBER, "--body", "x"), "answered 403")
    told.receiver.answers = ["close", "close"]
    failed = run(told, "reply", "--from", PERSON, "--to", OUR_NUMBER, "--body", "x")
    assert_fails(failed, "could not be reached after 2 tries")


def test_without_a_webhook_it_is_said_how_to_have_one(world):
    result = run(world, "reply", "--from", PERSON, "--to", OUR_NUMBER, "--body", "x")
    assert (result.exit_code, "--inbound-url" in result.stdout) == (0, True)


def test_what_the_simulator_refuses_is_said_in_one_line(told):
    assert_fails(run(told, "reply", "--from", PERSON, "--body", "x"), "say which of ours it writes to")
    assert_fails(run(told, "click", "--to", PERSON), "There is no shortened link in that message")
    refused = run(told, "reply", "--from", PERSON, "--service", "MG1", "--body", "x")
    assert_fails(refused, "MessagingServiceSid: String should match")


def test_a_simulator_that_does_not_run_is_said_in_one_line():
    result = CliRunner().invoke(app, ["simulator", "click", "--to", PERSON, "--url", "http://127.0.0.1:1"])
    assert_fails(result, "No simulator answers at http://127.0.0.1:1")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["reply", "--from", PERSON], "--body"),
        (["reply", "--body", "x"], "--from"),
        (["click"], "--sid"),
        (["click", "--sid", "SM1", "--to", PERSON], "--sid"),
        (["click", "--to", PERSON, "--link", "0"], "--link"),
        (["click", "--to", PERSON, "--bot", "--user-agent", "x"], "--user-agent"),
        (["call"], "call"),
    ],
)
def test_wrong_usage_is_told_before_anything_happens(told, words, says):
    result = run(told, *words)
    assert (result.exit_code, says in result.stderr) == (2, True), result.output
    assert told.truth() == []
