"""Single messages: magic numbers, changes, deletion, media, feedback, and what tests may do to the simulator."""

from __future__ import annotations

from datetime import timedelta

import pytest

from simulator.api import ACCOUNT, MESSAGES, NOON, OUR_NUMBER, PERSON, SERVICE, message_path, moment, refusal

DAYS = 86400
PICTURES = ["https://example.com/a.jpg", "https://example.com/b.jpg"]
MAGIC_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
MAGIC_TO = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}


@pytest.mark.parametrize("tail", range(10))
def test_a_magic_number_as_sender(api, tail):
    number = f"+1500555000{tail}"
    answer = api.post(From=number, To=PERSON, Body="hello")
    if number in MAGIC_FROM:
        assert refusal(answer) == (400, MAGIC_FROM[number])
    else:
        assert (answer.status_code, answer.json()["from"]) == (201, number)


@pytest.mark.parametrize("tail", range(10))
def test_a_magic_number_as_recipient(api, tail):
    number = f"+1500555000{tail}"
    answer = api.post(From=OUR_NUMBER, To=number, Body="hello")
    if number in MAGIC_TO:
        assert refusal(answer) == (400, MAGIC_TO[number])
    else:
        assert (answer.status_code, answer.json()["to"]) == (201, number)


@pytest.mark.parametrize("number", set(MAGIC_TO) - {"+15005550001"})
def test_with_a_messaging_service_the_same_refusal_comes_later(api, number):
    created = api.send_by_service(To=number)
    assert (created["status"], created["error_code"]) == ("accepted", None)
    api.advance(10)
    message = api.fetch(created["sid"])
    assert (message["status"], message["error_code"]) == ("failed", MAGIC_TO[number])
    assert message["error_message"]
    assert message["date_sent"] is None


def test_a_messaging_service_refuses_at_once_what_is_no_number(api):
    answer = api.post(MessagingServiceSid=SERVICE, To="+15005550001", Body="hello")
    assert refusal(answer) == (400, 21211)


def test_a_body_can_be_redacted(api):
    sid = api.send(Body="secret")["sid"]
    api.advance(60)
    before = api.fetch(sid)
    api.advance(60)
    redacted = api.update(sid, Body="").json()
    assert redacted == api.fetch(sid)
    assert {name for name in before if before[name] != redacted[name]} == {"body", "date_updated"}
    assert redacted["body"] == ""
    assert moment(redacted["date_updated"]) == NOON + timedelta(seconds=120)


def test_a_body_cannot_be_rewritten(api):
    sid = api.send(Body="hello")["sid"]
    assert refusal(api.update(sid, Body="goodbye")) == (400, 20001)
    assert api.fetch(sid)["body"] == "hello"


@pytest.mark.parametrize("status", ["sent", "cancelled", ""])
def test_no_status_can_be_set_but_canceled(api, status):
    sid = api.schedule(NOON + timedelta(hours=1))["sid"]
    assert refusal(api.update(sid, Status=status)) == (400, 20001)
    assert api.fetch(sid)["status"] == "scheduled"


def test_a_refused_change_changes_nothing(api):
    sid = api.schedule(NOON + timedelta(hours=1))["sid"]
    assert refusal(api.update(sid, Status="canceled", Body="goodbye")) == (400, 20001)
    assert (api.fetch(sid)["status"], api.fetch(sid)["body"]) == ("scheduled", "hello")


def test_a_canceled_message_never_leaves_and_costs_nothing(api):
    sid = api.schedule(NOON + timedelta(hours=1))["sid"]
    canceled = api.update(sid, Status="canceled").json()
    api.advance(4 * DAYS)
    assert api.fetch(sid) == canceled
    assert (canceled["status"], canceled["date_sent"], canceled["price"]) == ("canceled", None, None)
    assert (canceled["from"], canceled["num_segments"]) == (None, "0")


@pytest.mark.parametrize("seconds", [3600, 3601, DAYS])
def test_what_has_begun_cannot_be_canceled(api, seconds):
    sid = api.schedule(NOON + timedelta(hours=1))["sid"]
    api.advance(seconds)
    assert refusal(api.update(sid, Status="canceled")) == (409, 30409)
    assert api.fetch(sid)["status"] != "canceled"


def test_what_was_never_scheduled_cannot_be_canceled(api):
    assert refusal(api.update(api.send()["sid"], Status="canceled")) == (409, 30409)


def test_a_message_on_its_way_cannot_be_deleted(api):
    for sid in (api.send()["sid"], api.send_by_service()["sid"], api.schedule(NOON + timedelta(hours=1))["sid"]):
        assert refusal(api.call("DELETE", message_path(sid))) == (409, 20009)
        assert api.fetch(sid)["sid"] == sid


def test_a_message_can_be_deleted_as_soon_as_it_is_sent(api):
    sid, seen = api.send()["sid"], set()
    while (status := api.fetch(sid)["status"]) != "sent":
        seen.add(status)
        assert refusal(api.call("DELETE", message_path(sid))) == (409, 20009)
        api.advance(0.05)
    assert seen == {"queued", "sending"}
    assert api.call("DELETE", message_path(sid)).status_code == 204


def test_a_deleted_message_is_gone_with_all_that_belongs_to_it(api):
    sid, kept = api.send(MediaUrl=PICTURES)["sid"], api.send()["sid"]
    api.advance(4 * DAYS)
    assert api.call("DELETE", message_path(sid)).status_code == 204
    for method, below in [("GET", ""), ("POST", ""), ("DELETE", ""), ("GET", "/Media"), ("POST", "/Feedback")]:
        assert refusal(api.call(method, message_path(sid, below))) == (404, 20404)
    assert api.sids() == api.sids(To=PERSON) == api.sids(**{"DateSent>": "2026-11-20"}) == [kept]


@pytest.mark.parametrize("path", [message_path("SM" + "0" * 32), f"{ACCOUNT}/Calls.json", "/", "/2010-04-01/Accounts"])
def test_what_is_not_there_is_not_found(api, path):
    assert refusal(api.call("GET", path)) == (404, 20404)


def test_media_are_listed_and_deleted_one_by_one(api):
    message = api.send(MediaUrl=PICTURES)
    sid, path = message["sid"], message["subresource_uris"]["media"]
    assert (sid[:2], message["num_media"], message["num_segments"]) == ("MM", "2", "1")
    first, second = api.read(path)["media_list"]
    assert first["sid"] != second["sid"]
    assert {medium["parent_sid"] for medium in (first, second)} == {sid}
    assert api.read(first["uri"]) == first
    assert api.call("DELETE", first["uri"]).status_code == 204
    assert refusal(api.call("GET", first["uri"])) == (404, 20404)
    assert refusal(api.call("DELETE", first["uri"])) == (404, 20404)
    assert api.read(path)["media_list"] == [second]
    assert api.fetch(sid)["num_media"] == "1"


def test_a_text_has_no_media(api):
    message = api.send()
    assert (message["sid"][:2], message["num_media"]) == ("SM", "0")
    assert api.read(message["subresource_uris"]["media"])["media_list"] == []


def test_feedback_is_confirmed_or_unconfirmed(api):
    path = api.send()["subresource_uris"]["feedback"]
    assert api.call("POST", path).json()["outcome"] == "confirmed"
    assert api.call("POST", path, data={"Outcome": "unconfirmed"}).json()["outcome"] == "unconfirmed"
    assert refusal(api.call("POST", path, data={"Outcome": "perhaps"})) == (400, 20001)


def test_numbers_come_out_as_e164_and_long_texts_in_parts(api):
    message = api.send(To="(202) 555-0199", Body="x" * 161)
    assert (message["to"], message["num_segments"], message["price"]) == (PERSON, "2", None)


def test_what_a_person_writes_is_there_at_once(api):
    message = api.receive(Body="STOP")
    assert (message["from"], message["to"], message["body"]) == (PERSON, OUR_NUMBER, "STOP")
    assert moment(message["date_sent"]) == NOON
    assert api.sids(To=OUR_NUMBER) == api.sids(DateSent="2026-11-20") == [message["sid"]]


def test_a_reset_forgets_messages_and_calls(api):
    api.send()
    assert api.control("POST", "reset")["messages"] == 0
    assert (api.truth(), api.sids()) == ([], [])
    assert api.control("GET", "stats")["calls"] == {"list": 1}


def test_stats_count_messages_and_calls(api):
    api.send()
    api.send_by_service()
    api.post(To=PERSON)
    api.call("GET", MESSAGES)
    stats = api.control("GET", "stats")
    assert stats["now"] == NOON.isoformat()
    assert (stats["messages"], stats["by_status"]) == (2, {"queued": 1, "accepted": 1})
    assert stats["calls"] == {"create": 3, "list": 1}


@pytest.mark.parametrize("change", [{"advance_seconds": -1}, {"speed": 0}, {"speed": -1}, {"speed": "fast"}])
def test_the_clock_runs_forward_only(api, change):
    answer = api.call("POST", "/_simulator/clock", json=change)
    assert answer.status_code == 422
    assert api.control("GET", "stats")["now"] == NOON.isoformat()
