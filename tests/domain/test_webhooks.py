"""Callback URLs, clicks' ids, and who is a program."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest

from twilio_campaigns.domain.link_previews import is_bot
from twilio_campaigns.domain.webhooks import Click, StatusCallbackUrls


def test_the_url_names_row_and_claim_and_asks_for_retries():
    key, claim = uuid4(), uuid4()
    parts = urlsplit(StatusCallbackUrls("https://example.com:8443/twilio").url(key, claim))
    assert (parts.scheme, parts.netloc, parts.path) == ("https", "example.com:8443", "/twilio/status")
    assert parse_qs(parts.query) == {"message_key": [str(key)], "claim_id": [str(claim)]}
    assert dict(item.split("=") for item in parts.fragment.split("&")) == {"rc": "5", "rp": "5xx,ct,rt"}


def test_the_simulator_understands_the_overrides():
    from twilio_campaigns.simulator.overrides import read_overrides, split

    _, fragment = split(StatusCallbackUrls("https://example.com").url(uuid4(), uuid4()))
    overrides = read_overrides(fragment)
    assert (overrides.retries, overrides.policy) == (5, {"5xx", "ct", "rt"})


def test_ids_of_clicks():
    at = datetime(2026, 11, 20, tzinfo=UTC)
    click = Click("SM1", "https://example.com/a", ("twilio_default",), 1.0, clicked_at=at, user_agent="x")
    later = Click(
        "SM1", "https://example.com/a", ("twilio_default",), 2.0, clicked_at=at.replace(hour=1), user_agent="x"
    )
    other = Click("SM1", "https://example.com/b", ("twilio_default",), 1.0, clicked_at=at, user_agent="x")
    again = Click("SM1", "https://example.com/a", ("other",), 9.0, clicked_at=at, user_agent="x")
    assert click.event_id == later.event_id != other.event_id
    assert click.click_id == again.click_id
    assert len({click.click_id, later.click_id, other.click_id}) == 3


@pytest.mark.parametrize(
    "agent",
    [
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "Mozilla/5.0 (Macintosh) AppleWebKit/601.2.4 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
        "Mozilla/5.0 (X11; Linux x86_64) Chrome/56.0.2924.87 Safari/537.36 Google-PageRenderer Google",
        "WhatsApp/2.24.6.77 A",
        "TelegramBot (like TwitterBot)",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
        "Mozilla/5.0 (compatible; SomeNewBot/1.0; +https://example.com)",
        "SomeCrawler/3.1",
        "Mozilla/5.0 HeadlessChrome/120",
        "curl/8.5.0",
        "python-requests/2.32",
    ],
)
def test_programs(agent):
    assert is_bot(agent)


@pytest.mark.parametrize(
    "agent",
    [
        None,
        "",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile Safari/604.1",
        "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/130.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 9; CUBOT_X19) AppleWebKit/537.36 Chrome/100.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 10; CUBOT/NOTE 20) AppleWebKit/537.36 Chrome/100.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0) AppleWebKit/605.1.15 Mobile/21A329 [FBAN/FBIOS;FBAV/440.0]",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0) Mobile/15E148 Instagram 300.0.0",
        "Mozilla/5.0 (Linux; Android 13; SM-A536B) SamsungBrowser/23.0 Chrome/115 Mobile Safari/537.36",
    ],
)
def test_people(agent):
    assert not is_bot(agent)
