"""Words, advice and addresses: what needs no warehouse."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from twilio_campaigns.domain import page_urls
from twilio_campaigns.web.pages import formats


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0.4 s"),
        (9.2, "9.2 s"),
        (42, "42 s"),
        (60, "1 min"),
        (3599, "59 min 59 s"),
        (7260, "2 h 1 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_durations(seconds, words):
    assert formats.duration(seconds) == words
    assert formats.duration(timedelta(seconds=seconds)) == words


def test_numbers_and_shares():
    assert formats.number(1234567) == "1,234,567"
    assert formats.percent(1, 3) == "33.3 %"
    assert formats.percent(1, 100_000) == "< 0.1 %"
    assert formats.percent(5, 5) == "100 %"
    assert formats.percent(1, 0) == formats.NOTHING
    assert formats.money(Decimal("1234.5"), "USD") == "1,234.50 USD"
    assert formats.plural(1, "pass", "passes") == "1 pass"


def test_moments_are_utc_and_can_be_read_by_programs():
    berlin = datetime.fromisoformat("2026-11-25T13:00:00+01:00")
    assert str(formats.moment(berlin)) == ('<time datetime="2026-11-25T12:00:00+00:00">2026-11-25 12:00:00 UTC</time>')
    assert str(formats.moment(date(2026, 11, 25))) == '<time datetime="2026-11-25">2026-11-25</time>'


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("", "/plugin/campaigns/twilio/runs/spring/2026-11-20"),
        ("https://a.example/", "https://a.example/plugin/campaigns/twilio/runs/spring/2026-11-20"),
        ("https://a.example/air", "https://a.example/air/plugin/campaigns/air/twilio/runs/spring/2026-11-20"),
    ],
)
def test_a_run_within_airflow(base, path):
    assert page_urls.run_url(base, "spring/2026-11-20") == path


def test_addresses_are_encoded():
    assert page_urls.campaign_path("a b/c") == "/campaigns/a%20b%2Fc"
    assert page_urls.dag_path("d", "manual__2026-11-20T09:00:00+00:00").endswith("%2B00%3A00")
