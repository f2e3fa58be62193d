"""Clicks: one event per message and link, the first one by a person; previews are kept and marked."""

from datetime import UTC, datetime

import pytest

from web.receiving import OTHER_ACCOUNT, account, everything
from web.twilio_posts import JsonPost, Post, click, click_payload

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile Safari/604.1"
APPLE_PREVIEW = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like Gecko) Version/9.0.1 "
    "Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0"
)
OTHER_LINK = "https://shop.example.com/other?a=%C3%A9"


@pytest.fixture
def sid(claimed, accept):
    claim, _ = claimed()
    (sid,) = accept(claim)
    return sid


def clicked(query):
    return query("select * from campaign_events where status = 'clicked' order by occurred_at")


def test_a_click_is_one_event_per_message_and_link(client, query, sid):
    posts = [
        click(sid, at="2026-11-20T12:30:00.500Z", agent=IPHONE),
        click(sid, at="2026-11-20T12:40:00.000Z", agent=IPHONE),
        click(sid, at="2026-11-20T12:20:00.000Z", agent=IPHONE),
        click(sid, OTHER_LINK, at="2026-11-20T13:00:00Z", agent=IPHONE),
    ]
    assert [post.to(client).status_code for post in posts] == [204] * 4
    first, second = clicked(query)
    (message,) = query("select * from messages")
    assert first["occurred_at"] == datetime(2026, 11, 20, 12, 20, tzinfo=UTC)
    assert second["occurred_at"] == datetime(2026, 11, 20, 13, tzinfo=UTC)
    for name in ("campaign_id", "run_key", "message_key", "message_sid", "customer_id", "to_number", "country"):
        assert first[name] == message[name]
    assert (first["source"], first["event_name"], first["action_type"]) == ("webhook", "campaign", "sms")
    rows = query("select * from link_clicks order by clicked_at")
    assert [row["event_id"] for row in rows] == [first["event_id"]] * 3 + [second["event_id"]]
    assert {row["user_agent"] for row in rows} == {IPHONE}
    assert {row["link"] for row in rows} == {"https://shop.example.com/sale", OTHER_LINK}
    assert query("select clicked, click_rate from campaign_performance") == [{"clicked": 1, "click_rate": 1}]


def test_a_preview_is_marked_and_no_click(client, query, sid):
    click(sid, at="2026-11-20T12:00:01Z", agent=APPLE_PREVIEW).to(client)
    assert clicked(query) == []
    assert [row["is_bot"] for row in query("select is_bot from link_clicks")] == [True]
    assert query("select clicked from campaign_performance") == [{"clicked": 0}]
    click(sid, at="2026-11-20T12:30:00Z", agent=IPHONE).to(client)
    (event,) = clicked(query)
    assert event["occurred_at"] == datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
    assert len(query("select * from link_clicks")) == 2


def test_a_thousand_replays_change_nothing(client, query, sid):
    posts = [click(sid), click(sid, OTHER_LINK), click(sid, agent=APPLE_PREVIEW), click(sid, click_time="")]
    for post in posts:
        post.to(client)
    before = everything(query)
    assert len(before["link_clicks"]) == 4
    assert {posts[n % 4].to(client).status_code for n in range(1000)} == {204}
    assert everything(query) == before


@pytest.mark.parametrize(
    "spelling", ["form", "CamelCase form", "CamelCase JSON", "event", "list of events", "RFC 2822"]
)
def test_both_spellings_and_both_kinds_of_body(client, query, sid, spelling):
    payload = click_payload(sid, agent=IPHONE)
    camel = {"".join(part.title() for part in name.split("_")): value for name, value in payload.items()}
    post = {
        "form": lambda: Post("/click", payload),
        "CamelCase form": lambda: Post("/click", camel),
        "CamelCase JSON": lambda: JsonPost("/click", camel),
        "event": lambda: JsonPost("/click", {"specversion": "1.0", "data": payload}),
        "list of events": lambda: JsonPost("/click", [{"specversion": "1.0", "data": payload}]),
        "RFC 2822": lambda: JsonPost("/click", {**payload, "click_time": "Fri, 20 Nov 2026 12:30:00 +0000"}),
    }[spelling]()
    assert post.to(client).status_code == 204
    (event,) = clicked(query)
    assert event["occurred_at"] == datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


def test_without_an_account_the_signature_tells_whose_it_is(client, query, sid):
    payload = click_payload(sid)
    del payload["account_sid"]
    assert JsonPost("/click", payload, token="wrong").to(client).status_code == 403
    assert clicked(query) == []
    assert JsonPost("/click", payload).to(client).status_code == 204
    assert len(clicked(query)) == 1


def test_another_account_clicks_on_nothing_of_ours(serve, connections, query, sid):
    connections["other"] = account(account_sid=OTHER_ACCOUNT, auth_token="other-token")
    client = serve(webhook_connections=("twilio_default", "other"))
    before = everything(query)
    assert click(sid, account_sid=OTHER_ACCOUNT, token="other-token").to(client).status_code == 204
    assert click("SM" + "f" * 32).to(client).status_code == 204
    assert everything(query) == before


@pytest.mark.parametrize(
    "change",
    [
        {"message_sid": None},
        {"message_sid": "nothing"},
        {"link": ""},
        {"link": ["x"]},
        {"link": "https://example.com/\ud800"},
        {"click_time": "yesterday"},
        {"user_agent": 7},
    ],
)
def test_what_is_no_click_is_refused(client, query, sid, change):
    before = everything(query)
    assert click(sid, **change).to(client).status_code == 400
    assert everything(query) == before


@pytest.mark.parametrize("payload", [[], "text", 7, None, [[]], {"data": []}])
def test_what_is_not_even_an_object_is_refused(client, payload):
    assert JsonPost("/click", payload).to(client).status_code == 400
