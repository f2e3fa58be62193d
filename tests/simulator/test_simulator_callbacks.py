"""Status callbacks: what is told of which message, when, in which order, in which form."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta

import pytest

from builders import ACCOUNT_SID, TOKEN
from simulator.api import NOON, PERSON, message_path, people, refusal
from simulator.faulty import HELLO
from simulator.receiver import STANDS
from twilio_campaigns.simulator.account import Account
from twilio_campaigns.simulator.config import SimulatorConfig

FIELDS = {"MessageSid", "SmsSid", "MessageStatus", "SmsStatus", "AccountSid", "From", "To", "ApiVersion"}
GERMAN = "+491511234"


def expected_of(message):
    """Give the statuses that a message's life leads through, without the first; from the simulator's own truth."""
    first = ["queued"] if message["messaging_service_sid"] else []
    sent = ["sent"] if message["sent_at"] else []
    final = [message["final_status"]] if message["final_at"] else []
    return first + sent + final


@pytest.fixture
def crowd(world):
    """A crowd's whole life: some sent by a number, some by a service, some to a country without receipts."""
    for number in people(150):
        world.send(To=number)
    for number in people(100, "+1415555") + people(10, GERMAN):
        world.send_by_service(To=number)
    return world, world.live()


def test_every_change_after_the_first_status_is_told_once_and_in_order(crowd):
    world, counts = crowd
    truth = world.truth()
    assert {message["final_status"] for message in truth} == {"delivered", "undelivered", "failed", "sent"}
    for message in truth:
        assert world.receiver.told_of(message["sid"]) == expected_of(message)
    total = sum(len(expected_of(message)) for message in truth)
    assert counts == {
        **dict.fromkeys(("lost", "forged", "delayed", "retried", "failed", "pending", "planned"), 0),
        "due": total,
        "sent": total,
        "answered": {"2xx": total},
        "next_due": None,
        "quiet": True,
    }


def test_each_has_the_documented_form_and_a_signature_that_twilios_own_validator_accepts(crowd):
    world, _ = crowd
    truth = {message["sid"]: message for message in world.truth()}
    dated, undated = 0, 0
    for request in world.receiver.requests:
        form, message = request.form, truth[request.form["MessageSid"]]
        status = form["MessageStatus"]
        lost, reported = status in {"failed", "undelivered"}, status in {"delivered", "undelivered"}
        service = {"MessagingServiceSid"} if message["messaging_service_sid"] else set()
        report = {"RawDlrDoneDate"} & set(form)
        assert set(form) == FIELDS | service | ({"ErrorCode"} if lost else set()) | report
        assert (form["SmsSid"], form["SmsStatus"]) == (form["MessageSid"], status)
        assert (form["AccountSid"], form["ApiVersion"]) == (ACCOUNT_SID, "2010-04-01")
        assert (form["To"], form["From"]) == (message["to"], message["from"])
        assert form.get("MessagingServiceSid") == message["messaging_service_sid"]
        assert form.get("ErrorCode") == (str(message["error_code"]) if lost else None)
        if report:
            assert reported
            assert form["RawDlrDoneDate"] == f"{datetime.fromisoformat(message['final_at']):%y%m%d%H%M}"
        dated, undated = dated + bool(report), undated + (reported and not report)
        assert request.headers["content-type"] == "application/x-www-form-urlencoded; charset=UTF-8"
        assert request.is_signed()
        assert not request.is_signed("another token")
    assert dated > 4 * undated > 0
    assert len({request.token for request in world.receiver.requests}) == len(world.receiver.requests)


def test_a_clock_that_stands_tells_nothing_until_it_is_moved_past_a_change(world):
    sid = world.send_by_service()["sid"]
    (message,) = world.truth()
    assert world.callbacks()["planned"] == 1
    time.sleep(0.6)  # a life at usual speed would have begun
    assert world.receiver.requests == []
    sent, final = (datetime.fromisoformat(message[name]) for name in ("sent_at", "final_at"))
    moves = [(sent - timedelta(milliseconds=1) - NOON, ["queued"]), (timedelta(milliseconds=2), ["queued", "sent"])]
    moves += [(final - sent - timedelta(milliseconds=2), ["queued", "sent"])]
    for by, told in [*moves, (timedelta(milliseconds=2), ["queued", "sent", "delivered"])]:
        world.live(by.total_seconds())
        assert world.receiver.told_of(sid) == told
    assert world.live()["planned"] == 0
    assert world.receiver.told_of(sid) == ["queued", "sent", "delivered"]


def test_next_due_tells_when_a_standing_clock_would_say_more(world):
    world.send()
    (message,) = world.truth()
    assert datetime.fromisoformat(world.callbacks()["next_due"]) == datetime.fromisoformat(message["sent_at"])


def test_a_clock_that_runs_tells_by_itself(start_world):
    world = start_world(speed=1, life_speed=100_000, started_at=None)
    sid = world.send_by_service()["sid"]
    until = time.monotonic() + 10
    while len(world.receiver.told_of(sid)) < 3:
        assert time.monotonic() < until, world.callbacks()
        time.sleep(0.01)
    assert world.receiver.told_of(sid) == ["queued", "sent", "delivered"]


def test_a_clock_that_is_set_in_motion_tells_what_waits(world):
    sid = world.send()["sid"]
    world.control("POST", "clock", speed=100_000)
    until = time.monotonic() + 10
    while len(world.receiver.told_of(sid)) < 2:
        assert time.monotonic() < until, world.callbacks()
        time.sleep(0.01)


def test_a_jump_tells_what_lies_behind_it_in_the_order_in_which_it_happened(world):
    for number in people(20):
        world.send(To=number)
    world.receiver.gate.clear()  # every message's first callback leaves before any is answered
    world.advance(86400)
    while len(world.receiver.requests) < 20:
        time.sleep(0.01)
    world.receiver.gate.set()
    world.settle()
    moments = {message["sid"]: message["sent_at"] or message["final_at"] for message in world.truth()}
    first = [sid for sid, _ in world.receiver.told[:20]]
    # Connections may overtake each other on their way; hardly by much.
    places = {sid: place for place, sid in enumerate(sorted(moments, key=moments.get))}
    assert set(first) == set(moments)
    assert sum(abs(places[sid] - place) for place, sid in enumerate(first)) <= 60


def test_a_scheduled_message_is_queued_at_its_time(world):
    when = NOON + timedelta(hours=2)
    options = {"ScheduleType": "fixed", "SendAt": f"{when:%Y-%m-%dT%H:%M:%SZ}"}
    sid = world.send_by_service(**options)["sid"]
    world.live(7199)
    assert world.receiver.requests == []
    world.live(1)
    assert world.receiver.told == [(sid, "queued")]
    world.live()
    assert world.receiver.told_of(sid)[1:] == expected_of(world.truth()[0])[1:]


def test_a_canceled_message_is_told_once_and_has_no_sender_yet(world):
    when = NOON + timedelta(hours=2)
    options = {"ScheduleType": "fixed", "SendAt": f"{when:%Y-%m-%dT%H:%M:%SZ}"}
    sid = world.send_by_service(**options)["sid"]
    world.live(60)
    assert world.http.post(message_path(sid), data={"Status": "canceled"}).status_code == 200
    counts = world.settle()
    assert (counts["due"], counts["planned"]) == (1, 0)
    assert world.live()["due"] == 1
    (request,) = world.receiver.requests
    assert request.told == (sid, "canceled")
    assert set(request.form) == FIELDS - {"From"} | {"MessagingServiceSid"}


def test_refusals_that_come_later_are_told(world):
    world.control("POST", "inbound", From=PERSON, To="+12025550104", Body="STOP")
    sid = world.send_by_service()["sid"]
    world.live()
    assert [request.told for request in world.receiver.requests] == [(sid, "queued"), (sid, "failed")]
    assert world.receiver.requests[-1].form["ErrorCode"] == "21610"


def test_who_names_no_url_hears_nothing_and_costs_nothing(world):
    for url in (None, ""):
        assert world.send(url=None, StatusCallback=url)["sid"]
    counts = world.live()
    assert (counts["due"], counts["planned"], counts["sent"], world.receiver.requests) == (0, 0, 0, [])
    account = world.server._server.config.app.state.account
    assert (account.callbacks._timer, account.callbacks._heap, account.sender._session) == (None, [], None)


def test_the_url_is_requested_and_signed_as_it_stands_without_what_is_meant_for_twilio(world):
    query = "/a%2Fb/it's?message_key=1%202+3&empty=&b=%c3%a9&a=(~)"
    world.send(f"{query}#rc=2&rp=5xx,ct&rt=9000")
    world.live()
    assert {request.url for request in world.receiver.requests} == {f"{world.receiver.url}{query}"}
    assert all(request.is_signed() for request in world.receiver.requests)


@pytest.mark.parametrize(
    "url",
    [
        "nonsense",
        "ftp://example.com/a",
        "https://",
        "https:///path",
        "https://under_score.example.com/",
        "https://example.com/with space",
        "https://example.com/é",
        "https://example.com:99999/",
        "https://example.com/" + "a" * 4000,
    ],
)
def test_a_url_that_twilio_could_not_post_to_is_refused(world, url):
    assert refusal(
        world.http.post("/2010-04-01/Accounts/" + ACCOUNT_SID + "/Messages.json", data={**HELLO, "StatusCallback": url})
    ) == (400, 21609)
    assert world.truth() == []


def test_a_reset_forgets_what_was_to_be_told(world):
    world.send()
    world.control("POST", "reset")
    counts = world.live()
    assert (counts["due"], counts["planned"], world.receiver.requests) == (0, 0, [])
    sid = world.send()["sid"]
    world.live()
    assert world.receiver.told == [(sid, status) for status in expected_of(world.truth()[0])]


def test_a_shared_key_signs_with_sha256(start_world):
    world = start_world(shared_key="our own secret")
    world.send()
    world.live()
    for request in world.receiver.requests:
        settings = request.headers["x-twilio-webhooks-signature-settings"]
        assert settings.startswith("key=webhooks_sharedkey_")
        assert settings.endswith(",algorithm=HMAC_SHA256")
        assert request.is_signed("our own secret")
        assert not request.is_signed()


def test_a_receiver_that_hangs_holds_up_neither_answers_nor_more_than_its_share(world):
    for number in people(200):
        world.send(To=number)
    world.receiver.gate.clear()
    world.advance(86400)
    until = time.monotonic() + 10
    while world.receiver.waiting < 64 and time.monotonic() < until:
        time.sleep(0.01)
    assert world.http.get("/_simulator/stats").json()["messages"] == 200
    assert world.send(url=None)["status"] == "queued"
    counts = world.callbacks()
    assert (counts["sent"], counts["pending"], counts["quiet"], counts["answered"]) == (64, 200, False, {})
    world.receiver.gate.set()
    world.live()
    assert world.receiver.most_waiting == 64
    assert len(set(world.receiver.told)) == len(world.receiver.told) == world.callbacks()["due"]


def test_a_thousand_messages_are_told_of_completely_while_others_are_created(world):
    for number in people(1000):
        world.send(To=number)
    world.advance(5)
    for number in people(200, "+1415555"):
        world.send(To=number)
    counts = world.live()
    told = {(message["sid"], status) for message in world.truth() for status in expected_of(message)}
    assert len(world.receiver.told) == len(told) == counts["due"] == counts["answered"]["2xx"]
    assert set(world.receiver.told) == told
    assert all(request.is_signed() for request in world.receiver.requests[::50])


def test_what_is_due_but_has_not_left_is_not_quiet():
    async def look():
        account = Account(SimulatorConfig(auth_token=TOKEN, opted_out_share=0, seed=7, **STANDS))
        account.create({**{name: [value] for name, value in HELLO.items()}, "StatusCallback": ["http://127.0.0.1:1/"]})
        before = account.webhook_status()
        account.clock.change(advance_seconds=86400)
        account.callbacks.clock_changed()
        after = account.webhook_status()
        await account.close()
        return before, after

    before, after = asyncio.run(look())
    assert (before["quiet"], before["pending"], before["planned"]) == (True, 0, 1)
    assert (after["quiet"], after["pending"], after["planned"]) == (False, 0, 1)


def test_a_server_that_ends_drops_what_is_under_way(start_world):
    world = start_world(**STANDS)
    world.send()
    world.receiver.gate.clear()
    world.advance(86400)
    while not world.receiver.requests:
        time.sleep(0.01)
    began = time.monotonic()
    world.server.stop()
    assert time.monotonic() - began < 5
    assert not world.server._thread.is_alive()
    account = world.server._server.config.app.state.account
    assert (account.sender.pending, account.sender._session) == (0, None)
