"""Shortened links: ten characters in the text, a way to where they lead, and the event of a click."""

from __future__ import annotations

import re

import httpx
import pytest

from builders import ACCOUNT_SID
from simulator.api import MESSAGES, PERSON, SERVICE, people, refusal
from simulator.faulty import HELLO
from twilio_campaigns.simulator.webhooks import Webhooks

DOMAIN = "go.example.com"
LONG = "https://shop.example.com/sale?customer=7&x=%20y"
OTHER = "http://example.com"
BODY = f"Sale: {LONG}, or ({OTHER}). Bye"
SHORT = re.compile(rf"https://{re.escape(DOMAIN)}/([0-9A-Za-z]{{10}})")
BOT = "Mozilla/5.0 Google-PageRenderer Google (+https://developers.google.com/+/web/snippet/)"


@pytest.fixture
def shop(start_world, receiver):
    """A simulator with a domain for links, which tells of clicks."""
    return start_world(webhooks=Webhooks(link_domain=DOMAIN, click_url=f"{receiver.url}/click?from=twilio#rc=2&rp=5xx"))


def offer(world, **form):
    return world.send_by_service(url=None, **{"ShortenUrls": "true", "Body": BODY, **form})


def click(world, **fields):
    return world.control("POST", "click", **fields)


def test_links_become_short_and_nothing_else_changes(shop):
    body = offer(shop)["body"]
    codes = SHORT.findall(body)
    assert len(set(codes)) == 2
    assert SHORT.sub("LINK", body) == "Sale: LINK, or (LINK). Bye"
    other = SHORT.findall(offer(shop, To=people(1)[0])["body"])
    assert not set(other) & set(codes)


def test_parts_are_those_of_the_shorter_text(shop):
    message = offer(shop, Body=f"Sale: {LONG}{'a' * 200}")
    shop.advance(60)
    assert shop.http.get(MESSAGES).json()["messages"][0]["num_segments"] == "1"
    assert message["num_segments"] == "0"


@pytest.mark.parametrize("wanted", ["false", None])
def test_who_does_not_ask_keeps_long_links(shop, wanted):
    message = offer(shop, ShortenUrls=wanted)
    assert message["body"] == BODY
    answer = httpx.post(f"{shop.server.url}/_simulator/click", json={"MessageSid": message["sid"]})
    assert (answer.status_code, "ShortenUrls" in answer.json()["detail"]) == (404, True)


def test_shortening_is_a_messaging_services_work(shop):
    assert refusal(shop.http.post(MESSAGES, data={**HELLO, "ShortenUrls": "true"})) == (400, 21603)


@pytest.mark.parametrize(
    ("domain", "body", "code"),
    [(None, BODY, 30103), (DOMAIN, f"{LONG}%zz", 30139), (DOMAIN, f"{LONG}/mañana", 30139), (DOMAIN, "no link", None)],
)
def test_what_cannot_be_shortened_fails_later(shop, domain, body, code):
    shop.control("POST", "webhooks", link_domain=domain)
    message = offer(shop, Body=body)
    shop.advance(1)
    listed = shop.http.get(f"{MESSAGES[:-5]}/{message['sid']}.json").json()
    assert (listed["error_code"], listed["body"]) == (code, body)


def test_a_click_is_told_as_signed_json(shop):
    message = offer(shop)
    shop.advance(3600)
    done = click(shop, MessageSid=message["sid"], Link=2, UserAgent=BOT)
    (request,) = shop.receiver.requests
    sender = shop.truth()[0]["from"]
    assert (
        request.json
        == done["event"]
        == {
            "message_sid": message["sid"],
            "account_sid": ACCOUNT_SID,
            "messaging_service_sid": SERVICE,
            "to": PERSON,
            "from": sender,
            "link": OTHER,
            "shortened_link": [match[0] for match in SHORT.finditer(message["body"])][1],
            "link_create_time": "2026-11-20T12:00:00.000Z",
            "click_time": "2026-11-20T13:00:00.000Z",
            "user_agent": BOT,
        }
    )
    assert request.headers["content-type"] == "application/json"
    assert re.fullmatch(rf"{shop.receiver.url}/click\?from=twilio&bodySHA256=[0-9a-f]{{64}}", request.url)
    assert request.is_signed()
    assert not request.is_signed("another token")
    changed = request.__class__(request.url, request.headers, request.body.replace(PERSON, people(1)[0]))
    assert not changed.is_signed()
    assert (done["webhook"]["answered"], done["webhook"]["tries"]) == (204, 1)


def test_clicks_obey_the_overrides_of_their_url_and_may_be_repeated(shop):
    sid = offer(shop)["sid"]
    shop.receiver.answers = [500, 500]
    assert click(shop, MessageSid=sid)["webhook"]["tries"] == 3
    assert click(shop, MessageSid=sid, Copies=2)["webhook"]["tries"] == 2
    assert len(shop.receiver.requests) == 5
    assert len({request.token for request in shop.receiver.requests}) == 2


def test_a_person_clicks_on_their_last_message_with_a_link(shop):
    offer(shop)
    sid = offer(shop)["sid"]
    shop.send(url=None)
    event = click(shop, To=PERSON)["event"]
    assert (event["message_sid"], event["link"], "iPhone" in event["user_agent"]) == (sid, LONG, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"To": people(1)[0]}, 404),
        ({"To": PERSON, "Link": 3}, 404),
        ({"MessageSid": "SM1"}, 404),
        ({"To": PERSON, "MessageSid": "SM1"}, 422),
        ({"To": PERSON, "Link": 0}, 422),
        ({}, 422),
    ],
)
def test_what_cannot_be_clicked_is_refused(shop, body, status):
    offer(shop)
    assert httpx.post(f"{shop.server.url}/_simulator/click", json=body).status_code == status
    assert shop.settle()["sent"] == 0


def test_a_visitor_is_led_on_and_told_of(shop):
    host = shop.server.url.removeprefix("http://")
    shop.control("POST", "webhooks", link_domain=f"http://{host}")
    body = offer(shop)["body"]
    url = re.search(r"http://\S+", body)[0].rstrip(",")
    for method in ("HEAD", "GET"):
        answer = httpx.request(method, url, headers={"User-Agent": BOT})
        assert (answer.status_code, answer.headers["location"]) == (302, LONG)
    shop.settle()
    (event,) = [request.json for request in shop.receiver.requests]
    assert (event["user_agent"], event["shortened_link"], event["link"]) == (BOT, url, LONG)


def test_unknown_and_forgotten_links_lead_to_the_fallback_if_there_is_one(shop):
    code = SHORT.findall(offer(shop)["body"])[0]
    unknown = f"{shop.server.url}/{'a' * 10}"
    assert refusal(httpx.get(unknown)) == (404, 20404)
    shop.control("POST", "webhooks", fallback_url="https://example.com/gone")
    shop.advance(90 * 86400)
    assert httpx.get(f"{shop.server.url}/{code}").headers["location"] == LONG
    shop.advance(1)
    for url in (unknown, f"{shop.server.url}/{code}"):
        assert httpx.get(url).headers["location"] == "https://example.com/gone"
    assert httpx.get(f"{shop.server.url}/robots.txt").status_code == 404
    assert httpx.post(f"{shop.server.url}/_simulator/click", json={"To": PERSON}).status_code == 404
    assert len(shop.receiver.requests) == shop.settle()["sent"] == 1


def test_without_a_webhook_links_lead_on_all_the_same(shop):
    shop.control("POST", "webhooks", click_url=None)
    code = SHORT.findall(offer(shop)["body"])[0]
    assert httpx.get(f"{shop.server.url}/{code}").status_code == 302
    assert click(shop, To=PERSON)["webhook"] is None
    assert shop.settle()["sent"] == 0


def test_a_reset_forgets_links(shop):
    code = SHORT.findall(offer(shop)["body"])[0]
    shop.control("POST", "reset")
    assert httpx.get(f"{shop.server.url}/{code}").status_code == 404
    assert SHORT.findall(offer(shop)["body"])[0] == code
