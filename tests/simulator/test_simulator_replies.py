"""What people write to us: shown like any inbound message, and told to the webhook that is configured for it."""

from __future__ import annotations

from datetime import timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest

from builders import ACCOUNT_SID
from simulator.api import MESSAGES, NOON, PERSON, SERVICE
from twilio_campaigns.simulator.intake import POOL
from twilio_campaigns.simulator.webhooks import Webhooks

#: A number that belongs to no Messaging Service, unlike those of the pool.
OUR_NUMBER = "+12025559000"
PICTURE = "https://example.com/pictures/cat.png?size=1"
PLACE = {f"{side}{field}": "" for side in ("From", "To") for field in ("City", "State", "Zip")}


@pytest.fixture
def told(start_world, receiver):
    """A simulator that tells a path of the receiver of replies."""

    def start(**webhooks):
        return start_world(webhooks=Webhooks(inbound_url=f"{receiver.url}/inbound", **webhooks))

    return start


def reply(world, **fields):
    return world.control("POST", "reply", **{"From": PERSON, "To": OUR_NUMBER, "Body": "Yes, please", **fields})


def test_a_reply_is_a_message_and_a_signed_webhook(told):
    world = told()
    done = reply(world, Body="é & = +")
    sid = done["message"]["sid"]
    assert done["webhook"] == {"url": f"{world.receiver.url}/inbound", "answered": 204, "tries": 1, "taken": True}
    (request,) = world.receiver.requests
    assert request.form == {
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsMessageSid": sid,
        "AccountSid": ACCOUNT_SID,
        "From": PERSON,
        "To": OUR_NUMBER,
        "Body": "é & = +",
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsStatus": "received",
        "ApiVersion": "2010-04-01",
        "FromCountry": "US",
        "ToCountry": "US",
        **PLACE,
    }
    assert request.is_signed()
    assert not request.is_signed("another token")
    assert request.token
    (listed,) = world.http.get(MESSAGES, params={"To": OUR_NUMBER}).json()["messages"]
    assert listed == done["message"]
    assert (listed["direction"], listed["status"], listed["body"]) == ("inbound", "received", "é & = +")


def test_without_a_webhook_there_is_only_the_message(world):
    assert reply(world)["webhook"] is None
    assert world.callbacks()["sent"] == 0
    assert len(world.truth()) == 1


def test_the_older_endpoint_tells_as_well_but_does_not_wait(told):
    world = told()
    world.receiver.gate.clear()
    message = world.control("POST", "inbound", From=PERSON, To=OUR_NUMBER, Body="hello")
    world.receiver.gate.set()
    world.settle()
    assert [request.form["MessageSid"] for request in world.receiver.requests] == [message["sid"]]


@pytest.mark.parametrize(
    ("body", "service", "advanced", "told_as"),
    [
        ("STOP", SERVICE, True, "STOP"),
        (" unsubscribe\n", SERVICE, True, "STOP"),
        ("unstop", SERVICE, True, "START"),
        ("Help", SERVICE, True, "HELP"),
        ("stop it", SERVICE, True, None),
        ("STOP", SERVICE, False, None),
        ("STOP", None, True, None),
    ],
)
def test_opt_out_type_is_told_by_services_with_advanced_opt_out(told, body, service, advanced, told_as):
    world = told(advanced_opt_out=advanced)
    reply(world, Body=body, MessagingServiceSid=service)
    form = world.receiver.requests[0].form
    assert form.get("OptOutType") == told_as
    assert form.get("MessagingServiceSid") == service


def test_stop_and_start_count_for_what_is_sent_next(told):
    world = told(advanced_opt_out=True)
    world.send_by_service()
    world.live()
    reply(world, To=None, Body="STOP")
    stopped = world.send_by_service()["sid"]
    reply(world, To=None, Body="START")
    started = world.send_by_service()["sid"]
    world.live()
    assert world.receiver.told_of(stopped) == ["queued", "failed"]
    assert world.receiver.told_of(started)[:2] == ["queued", "sent"]


def test_a_reply_without_a_number_answers_the_last_message(told):
    world = told()
    world.send(url=None, From="+12025559001")
    assert reply(world, To=None)["message"]["to"] == "+12025559001"
    sender = world.truth()[0]["from"]
    sid = world.send_by_service(url=None)["sid"]
    number = next(message["from"] for message in world.truth() if message["sid"] == sid)
    assert number in POOL
    assert reply(world, To=None)["message"]["to"] == number
    assert world.receiver.requests[-1].form["MessagingServiceSid"] == SERVICE
    assert reply(world, To=sender)["message"]["to"] == sender
    assert "MessagingServiceSid" not in world.receiver.requests[-1].form


def test_a_service_that_never_wrote_still_has_a_number_and_who_got_nothing_must_say_which(told):
    world = told()
    assert reply(world, To=None, MessagingServiceSid=SERVICE)["message"]["to"] in POOL
    answer = httpx.post(f"{world.server.url}/_simulator/reply", json={"From": "+12025550177", "Body": "hello"})
    assert answer.status_code == 404
    assert "say which of ours" in answer.json()["detail"]
    assert len(world.truth()) == 1


def test_services_and_numbers_have_webhooks_of_their_own(told):
    world = told()
    urls = {SERVICE: f"{world.receiver.url}/service", POOL[0]: f"{world.receiver.url}/number"}
    changed = world.control("POST", "webhooks", inbound_urls=urls)
    assert changed == world.control("GET", "webhooks")
    assert changed["inbound_url"] == f"{world.receiver.url}/inbound"
    for to, service in ((POOL[0], SERVICE), (POOL[1], SERVICE), (POOL[0], None), (OUR_NUMBER, None)):
        reply(world, To=to, MessagingServiceSid=service)
    paths = [request.url.removeprefix(world.receiver.url) for request in world.receiver.requests]
    assert paths == ["/service", "/service", "/number", "/inbound"]


@pytest.mark.parametrize(
    "changes",
    [
        {"inbound_url": "nonsense"},
        {"inbound_urls": {"me": "https://example.com"}},
        {"link_domain": "a/b"},
        {"url": "x"},
    ],
)
def test_webhooks_that_make_no_sense_are_refused_as_a_whole(told, changes):
    world = told()
    before = world.control("GET", "webhooks")
    changes = {"advanced_opt_out": True, **changes}
    assert httpx.post(f"{world.server.url}/_simulator/webhooks", json=changes).status_code == 422
    assert world.control("GET", "webhooks") == before


def test_pictures_are_told_by_addresses_that_lead_to_them(told):
    world = told()
    message = reply(world, Body="", MediaUrl=[PICTURE, "https://example.com/clip"])["message"]
    form = world.receiver.requests[0].form
    assert message["sid"].startswith("MM")
    assert (form["NumMedia"], message["num_media"], form["Body"]) == ("2", "2", "")
    assert (form["MediaContentType0"], form["MediaContentType1"]) == ("image/png", "image/jpeg")
    base = f"{world.server.url}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{message['sid']}/Media/ME"
    assert form["MediaUrl0"].startswith(base)
    for url, target in ((form["MediaUrl0"], PICTURE), (form["MediaUrl1"], "https://example.com/clip")):
        answer = httpx.get(url)
        assert (answer.status_code, answer.headers["location"]) == (307, target)
    media = world.http.get(f"{form['MediaUrl0']}.json").json()
    assert (media["sid"], media["content_type"]) == (form["MediaUrl0"][-34:], "image/png")
    assert httpx.get(f"{form['MediaUrl0'][:-1]}x").status_code == 404


def test_a_webhook_may_come_more_than_once_and_fail(told):
    world = told()
    done = reply(world, Copies=3)
    assert (len(world.receiver.requests), done["webhook"]["tries"]) == (3, 3)
    assert len({(request.body, request.token) for request in world.receiver.requests}) == 1
    world.receiver.answers = [503]
    done = reply(world)
    assert (done["webhook"]["answered"], done["webhook"]["taken"]) == (503, False)
    assert world.callbacks()["failed"] == 1


def test_faults_of_status_callbacks_leave_replies_alone(told):
    world = told()
    world.control("POST", "faults", callback_lost_share=1.0)
    reply(world)
    assert len(world.receiver.requests) == 1


def test_replies_are_dated_by_the_simulators_clock(told):
    world = told()
    world.advance(86400)
    assert parsedate_to_datetime(reply(world)["message"]["date_created"]) == NOON + timedelta(days=1)
