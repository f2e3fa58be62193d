"""Reads are patient: which answers are tried again, for how long, and what comes of the others."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest

from gateway.scripted_server import (
    ACCOUNT_SID,
    MESSAGE_SID,
    answer,
    hang_up,
    message_json,
    reset,
    scripted,
)
from twilio_campaigns.domain.exceptions import TwilioRejectedError, TwilioUnavailableError
from twilio_campaigns.domain.status import Source
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.reading import Patience
from twilio_campaigns.gateway.settings import TwilioSettings

PROXY_PAGE = "<html>Bad gateway</html>"
UNAVAILABLE = answer(503, {"code": 20503}, Twilio_Request_Id="RQ5")
KEY = {"api_key_sid": "SK" + "1" * 32, "api_key_secret": "s"}


def page(*messages, next_page_uri=None):
    return answer(200, {"messages": list(messages), "next_page_uri": next_page_uri})


class Reader:
    """A gateway that notes its waits instead of waiting."""

    def __init__(self, url, **given):
        self.waits = []
        known = {"account_sid": ACCOUNT_SID, "auth_token": "token", "base_url": url, "total_timeout": 2.0}
        patience = Patience(sleep=self._sleep, jitter=lambda: 1.0)
        self.twilio = TwilioGateway(TwilioSettings(**{**known, **given}), patience=patience)

    async def _sleep(self, seconds):
        self.waits.append(seconds)

    def fetch(self):
        return self._run(lambda twilio: twilio.fetch(MESSAGE_SID))

    def account(self):
        return self._run(lambda twilio: twilio.account())

    def list(self, **filters):
        async def pages(twilio):
            return [seen.sid async for page in twilio.list(**filters) for seen in page.messages]

        return self._run(pages)

    def _run(self, work):
        async def run():
            async with self.twilio as twilio:
                return await work(twilio)

        return asyncio.run(run())


def test_fetch_reads_one_message():
    with scripted(answer(200, message_json(status="delivered"))) as server:
        seen = Reader(server.url).fetch()
    assert (seen.sid, seen.provider_status, seen.source) == (MESSAGE_SID, "delivered", Source.FETCH)
    assert server.seen[0].path == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{MESSAGE_SID}.json"


def test_fetch_of_an_unknown_message_is_none_and_not_tried_again():
    with scripted(answer(404, {"code": 20404, "message": "not found"})) as server:
        assert Reader(server.url).fetch() is None
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "trouble",
    [
        answer(500, {"code": 20500}),
        answer(502, PROXY_PAGE, "text/html"),
        answer(429, {"code": 20429}),
        answer(429, PROXY_PAGE, "text/html"),
        answer(200, "{broken"),
        answer(200, PROXY_PAGE, "text/html"),
        answer(200, b"\xff\xfe", "application/json; charset=utf-8"),
    ],
)
def test_what_passes_is_tried_again(trouble):
    with scripted(trouble, trouble, answer(200, message_json())) as server:
        reader = Reader(server.url)
        assert reader.fetch().sid == MESSAGE_SID
    assert reader.waits == [0.5, 1.0]
    assert reader.twilio.calls == len(server.seen) == 3


@pytest.mark.parametrize("trouble", [reset, hang_up])
def test_a_lost_connection_is_tried_again(trouble):
    # aiohttp repeats a read once by itself, hence one wait less.
    with scripted(trouble, trouble, answer(200, message_json())) as server:
        reader = Reader(server.url)
        assert reader.fetch().sid == MESSAGE_SID
    assert reader.waits == [0.5]
    assert len(server.seen) == 3


def test_patience_ends_with_what_twilio_said():
    with scripted(UNAVAILABLE) as server:
        reader = Reader(server.url)
        with pytest.raises(TwilioUnavailableError) as caught:
            reader.fetch()
    assert len(server.seen) == 5
    assert reader.waits == [0.5, 1.0, 2.0, 4.0]
    error = caught.value
    assert (error.code, error.http_status, error.request_id) == (20503, 503, "RQ5")


def test_retry_after_is_honoured_up_to_a_limit():
    slow = answer(429, {"code": 20429}, Retry_After="9")
    for_ever = answer(503, "", Retry_After="86400")
    with scripted(slow, for_ever, answer(200, message_json())) as server:
        reader = Reader(server.url)
        reader.fetch()
    assert reader.waits == [9.0, 30.0]


def test_waits_are_spread():
    shortest = Patience(jitter=lambda: 0.0)
    assert [shortest.wait_after(n, None) for n in (1, 2, 3)] == [0.25, 0.5, 1.0]
    assert shortest.wait_after(5, None) is None


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, {"code": 20003}, "Auth Token"),
        (401, PROXY_PAGE, "Auth Token"),
        (403, {"code": 20005}, "Twilio"),
        (403, PROXY_PAGE, "API key"),
        (404, PROXY_PAGE, "API base URL"),
        (301, "", "API base URL"),
        (400, {"code": 20001}, "Twilio"),
    ],
)
def test_what_is_refused_is_not_tried_again(status, body, says):
    with scripted(answer(status, body, Twilio_Request_Id="RQ9")) as server:
        reader = Reader(server.url)
        with pytest.raises(TwilioRejectedError, match=says) as caught:
            reader.list()
    assert (len(server.seen), reader.waits) == (1, [])
    assert (caught.value.http_status, caught.value.request_id) == (status, "RQ9")


def test_a_list_follows_its_pages():
    first = page(message_json(), next_page_uri="/2010-04-01/Accounts/x/Messages.json?Page=1&PageToken=PASM1")
    with scripted(first, page(message_json(sid="SM" + "b" * 32))) as server:
        assert Reader(server.url).list() == [MESSAGE_SID, "SM" + "b" * 32]
    assert server.seen[1].path == "/2010-04-01/Accounts/x/Messages.json?Page=1&PageToken=PASM1"


def test_a_lists_filters_on_the_wire_are_utc_and_inclusive():
    east = timezone(timedelta(hours=5, minutes=30))
    with scripted(page()) as server:
        Reader(server.url).list(
            sent_after=datetime(2026, 11, 23, 5, 30, 0, 999_999, tzinfo=east),
            sent_before=datetime(2026, 11, 23, 23, 59, 59, 1, tzinfo=UTC),
            to="+15005550010",
            from_="+15005550006",
            page_size=5000,
        )
    assert parse_qs(urlsplit(server.seen[0].path).query) == {
        "DateSent>": ["2026-11-23T00:00:00Z"],
        "DateSent<": ["2026-11-24T00:00:00Z"],
        "To": ["+15005550010"],
        "From": ["+15005550006"],
        "PageSize": ["1000"],
    }


def test_a_list_without_a_time_zone_is_a_mistake():
    with pytest.raises(ValueError, match="time zone"):
        Reader("http://127.0.0.1:1").list(sent_after=datetime(2026, 11, 23))  # noqa: DTZ001 - that is the mistake


def test_trouble_in_the_middle_of_a_list_repeats_the_page_only():
    first = page(message_json(), next_page_uri="/2010-04-01/next")
    with scripted(first, UNAVAILABLE, page(message_json(sid="SM" + "b" * 32))) as server:
        assert len(Reader(server.url).list()) == 2
    assert [request.path for request in server.seen][1:] == ["/2010-04-01/next"] * 2


def test_a_forgotten_page_token_starts_the_list_again_once():
    first = page(message_json(), next_page_uri="/2010-04-01/next")
    expired = answer(400, {"code": 21481, "message": "bad token", "status": 400})
    with scripted(first, expired, first, page(message_json(sid="SM" + "b" * 32))) as server:
        assert Reader(server.url).list() == [MESSAGE_SID, MESSAGE_SID, "SM" + "b" * 32]
        assert len(server.seen) == 4
    with (
        scripted(first, expired, first, expired) as server,
        pytest.raises(TwilioUnavailableError, match="twice"),
    ):
        Reader(server.url).list()


def test_credentials_are_never_taken_to_another_server():
    with scripted(page()) as other, scripted(page(next_page_uri=other.url + "/x")) as server:
        with pytest.raises(TwilioUnavailableError, match="next_page_uri"):
            Reader(server.url).list()
        assert not other.seen


ACCOUNT = {"sid": ACCOUNT_SID, "friendly_name": "Shop", "status": "active", "type": "Full"}
DENIED = answer(401, {"code": 20003, "message": "no"})


def test_the_account():
    with scripted(answer(200, ACCOUNT)) as server:
        account = Reader(server.url).account()
    assert (account.friendly_name, account.status) == ("Shop", "active")
    assert server.seen[0].path == f"/2010-04-01/Accounts/{ACCOUNT_SID}.json"


def test_a_standard_api_key_may_read_messages_but_not_the_account():
    with scripted(DENIED, page()) as server:
        account = Reader(server.url, **KEY).account()
    assert (account.sid, account.status) == (ACCOUNT_SID, None)
    assert "Messages.json?PageSize=1" in server.seen[1].path


def test_bad_credentials_are_refused_with_and_without_a_key():
    for key in ({}, KEY):
        with scripted(DENIED) as server, pytest.raises(TwilioRejectedError):
            Reader(server.url, **key).account()
