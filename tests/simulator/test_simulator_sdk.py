"""Twilio's own package against the simulator: what works with the one must work with the other."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from builders import ACCOUNT_SID, TOKEN
from simulator.api import NOON, OUR_NUMBER, PERSON, SERVICE, STANDING, people

KEY = "SK" + "1" * 32
DAY = 86400


@pytest.fixture
def server(start_simulator):
    return start_simulator(started_at=NOON, speed=STANDING, api_keys={KEY: "secret of the key"})


@pytest.fixture
def connect(server):
    """Make clients that take nothing from the environment."""
    sessions = []

    def make(username=ACCOUNT_SID, password=TOKEN, account_sid=ACCOUNT_SID):
        http = TwilioHttpClient(
            pool_connections=True,
            request_hooks=None,
            timeout=10,
            proxy=None,
            max_retries=None,
        )
        sessions.append(http.session)
        client = Client(
            username=username,
            password=password,
            account_sid=account_sid,
            region=None,
            http_client=http,
            environment={"NOTHING": "of this machine"},
            edge=None,
            user_agent_extensions=[],
            credential_provider=None,
        )
        client.api.base_url = server.url
        return client

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def twilio(connect):
    return connect()


def receive_every(server, seconds, count):
    """Let a person write at noon and then every so many seconds."""
    sids = []
    for _ in range(count):
        sids.append(server.control("POST", "inbound", From=PERSON, To=OUR_NUMBER, Body="hi")["sid"])
        server.control("POST", "clock", advance_seconds=seconds)
    return sids


def test_a_message_is_created_and_fetched(twilio, server):
    created = twilio.messages.create(to=PERSON, from_=OUR_NUMBER, body="café 👋")
    assert (created.status, created.to, created.from_, created.body) == ("queued", PERSON, OUR_NUMBER, "café 👋")
    assert (created.date_created, created.date_sent, created.price) == (NOON, None, None)
    server.control("POST", "clock", advance_seconds=4 * DAY)
    seen = twilio.messages(created.sid).fetch()
    assert (seen.sid, seen.status, seen.error_code) == (created.sid, "delivered", None)
    assert seen.date_created == NOON <= seen.date_sent <= seen.date_updated
    assert (seen.price, seen.price_unit, seen.num_segments) == ("-0.00790", "USD", "1")


def test_a_service_sends_pictures_at_a_later_time(twilio, server):
    message = twilio.messages.create(
        to=PERSON,
        messaging_service_sid=SERVICE,
        media_url=["https://example.com/a.jpg", "https://example.com/b.jpg"],
        schedule_type="fixed",
        send_at=NOON + timedelta(hours=1),
    )
    assert (message.status, message.num_media, message.messaging_service_sid) == ("scheduled", "2", SERVICE)
    assert [medium.parent_sid for medium in message.media.list(limit=20)] == [message.sid] * 2
    server.control("POST", "clock", advance_seconds=DAY)
    assert message.fetch().date_sent > NOON + timedelta(hours=1)


def test_a_list_by_dates_goes_over_many_pages(twilio, server):
    sids = receive_every(server, 60, 25)
    listed = twilio.messages.list(
        date_sent_after=NOON + timedelta(minutes=5), date_sent_before=NOON + timedelta(minutes=20), page_size=4
    )
    assert [message.sid for message in listed] == sids[20:4:-1]
    assert server.control("GET", "stats")["calls"] == {"list": 4}


def test_a_list_of_one_day_and_of_one_number(twilio, server):
    first, second, third = receive_every(server, DAY, 3)
    tomorrow = NOON.date() + timedelta(days=1)
    assert [message.sid for message in twilio.messages.list(date_sent=tomorrow)] == [second]
    assert [message.sid for message in twilio.messages.list(date_sent=NOON + timedelta(days=2))] == [third]
    assert [message.sid for message in twilio.messages.list(to=OUR_NUMBER, limit=2)] == [third, second]
    assert [message.sid for message in twilio.messages.list(from_=PERSON, date_sent_before=tomorrow)] == [first]
    assert twilio.messages.list(to="+12025550198", date_sent=date(2026, 11, 20)) == []


def test_streams_give_every_message_once(twilio):
    sent = {twilio.messages.create(to=number, from_=OUR_NUMBER, body="hello").sid for number in people(30)}
    streamed = [message.sid for message in twilio.messages.stream(page_size=7)]
    assert len(streamed) == 30
    assert set(streamed) == sent


def test_a_message_is_redacted_canceled_and_deleted(twilio, server):
    service = {"messaging_service_sid": SERVICE, "schedule_type": "fixed", "send_at": NOON + timedelta(hours=1)}
    message = twilio.messages.create(to=PERSON, body="secret", **service)
    assert message.update(body="").body == ""
    assert message.update(status="canceled").status == "canceled"
    assert message.delete() is True
    assert server.truth() == []


def test_media_and_feedback(twilio):
    message = twilio.messages.create(
        to=PERSON, from_=OUR_NUMBER, media_url=["https://example.com/a.jpg"], provide_feedback=True
    )
    (medium,) = message.media.list()
    assert medium.fetch().content_type == "image/jpeg"
    assert medium.delete() is True
    assert message.media.list() == []
    assert message.feedback.create(outcome="confirmed").outcome == "confirmed"


def test_the_account_is_active(twilio):
    assert twilio.api.v2010.accounts(ACCOUNT_SID).fetch().status == "active"


def test_an_api_key_is_as_good_as_the_token(connect):
    client = connect(username=KEY, password="secret of the key")
    assert client.messages.create(to=PERSON, from_=OUR_NUMBER, body="hello").account_sid == ACCOUNT_SID


def test_refusals_are_exceptions_with_twilios_code(connect, twilio):
    fresh = twilio.messages.create(to=PERSON, from_=OUR_NUMBER, body="hello")
    wrong, elsewhere = connect(password="wrong"), connect(account_sid="AC" + "9" * 32)
    hello = {"from_": OUR_NUMBER, "body": "hello"}
    for status, code, call in [
        (400, 21211, lambda: twilio.messages.create(to="nobody", **hello)),
        (400, 21610, lambda: twilio.messages.create(to="+15005550004", **hello)),
        (400, 21617, lambda: twilio.messages.create(to=PERSON, from_=OUR_NUMBER, body="x" * 1601)),
        (401, 20003, lambda: wrong.messages.create(to=PERSON, **hello)),
        (401, 20003, lambda: elsewhere.messages.create(to=PERSON, **hello)),
        (404, 20404, lambda: twilio.messages("SM" + "0" * 32).fetch()),
        (409, 20009, fresh.delete),
        (409, 30409, lambda: fresh.update(status="canceled")),
    ]:
        with pytest.raises(TwilioRestException) as caught:
            call()
        assert (caught.value.status, caught.value.code) == (status, code)


def test_a_list_that_is_refused_says_why(twilio):
    with pytest.raises(TwilioException) as caught:
        twilio.messages.list(limit=5000)
    answer = caught.value.args[1]
    assert answer.status_code == 400
    assert '"code":20007' in answer.text


def test_quick_lives_end_while_one_waits(connect, start_simulator):
    quick = start_simulator(life_speed=100_000)
    client = connect()
    client.api.base_url = quick.url
    sid = client.messages.create(to=PERSON, from_=OUR_NUMBER, body="hello").sid
    statuses = {client.messages(sid).fetch().status for _ in range(20)}
    assert statuses <= {"queued", "sending", "sent", "delivered"}
    assert "delivered" in statuses
