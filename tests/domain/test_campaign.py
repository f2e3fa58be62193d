import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from twilio_campaigns.domain.campaign import AudienceRules, Campaign, FileSegment, Message, SqlSegment
from twilio_campaigns.domain.content import is_web_url
from twilio_campaigns.domain.sender import SenderProfile
from twilio_campaigns.domain.spec import Duration

HX = "HX0123456789abcdef0123456789abcdef"
TEXTS = SenderProfile(name="texts", messaging_service_sid="MG0123456789abcdef0123456789abcdef")
PICTURES = SenderProfile(name="pictures", channel="mms", from_number="+12025550142")
IMAGE = "https://example.com/a.jpg"


def campaign(**changes):
    return Campaign(
        **{
            "campaign_id": "spring",
            "sender": TEXTS,
            "segment": SqlSegment(query="select 1"),
            "message": Message(body="Hello"),
        }
        | changes
    )


def test_the_least_that_a_campaign_needs():
    spring = campaign()
    assert spring.action_type() == "sms"
    assert spring.connection == "twilio_default"
    assert spring.segment.connection == "warehouse_default"
    assert (spring.max_lateness, spring.send_within, spring.repeat_after) == (
        timedelta(hours=1),
        timedelta(hours=24),
        timedelta(hours=12),
    )
    assert (spring.schedule, spring.timezone, spring.start_date) == (None, "UTC", None)
    assert spring.audience == AudienceRules(default_region=None, mobile_only=True, max_parts=10)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"segment": FileSegment(file="segments/vip.csv", phone_column="mobile")},
        {"segment": SqlSegment(sql="segments/a.sql", query="select '%'", connection="crm")},
        {"sender": PICTURES, "message": Message(media_urls=[IMAGE])},
        {"message": Message(content_sid=HX, content_variables={"1": "{{ a }}"})},
        {"schedule": "0 9 * * 1", "timezone": "Europe/Berlin", "start_date": datetime(2027, 3, 1)},  # noqa: DTZ001
        {"max_lateness": "90s", "send_within": "2d", "repeat_after": timedelta(microseconds=1)},
        {"shorten_urls": True},
        {"tags": ["a"], "batch_size": 7, "validity_period": 600, "event_name": "promo", "description": "x"},
        {"audience": {"default_region": "DE", "mobile_only": False, "max_parts": 1}},
    ],
)
def test_a_spec_reads_back_as_it_was(changes):
    spring = campaign(**changes)
    spec = json.loads(json.dumps(spring.model_dump(mode="json")))
    assert Campaign.model_validate(spec) == spring


def test_nothing_changes_afterwards():
    with pytest.raises(ValidationError):
        campaign().campaign_id = "other"


def test_a_start_date_is_in_the_time_zone_of_the_campaign():
    dates = ("2027-03-01", datetime(2027, 3, 1), "2027-03-01T00:00:00+01:00")  # noqa: DTZ001
    for start_date in dates:
        spring = campaign(timezone="Europe/Berlin", start_date=start_date)
        assert spring.start_date == datetime(2027, 2, 28, 23, tzinfo=UTC)
        assert spring.start_date.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "schedule",
    [
        None,
        "@hourly",
        "@quarterly",
        "0 9 * * 1-5",
        "*/15 8-18 * * *",
        "0 9 * * mon",
        "0 0 L * *",
        "0 0 29 2 *",
    ],
)
def test_schedules(schedule):
    assert campaign(schedule=schedule).schedule == schedule


@pytest.mark.parametrize(
    ("schedule", "cron"), [(None, None), ("@quarterly", "0 0 1 */3 *"), ("0 9 * * 1-5", "0 9 * * 1-5")]
)
def test_a_preset_is_a_cron_expression_too_and_the_spec_keeps_what_was_written(schedule, cron):
    spring = campaign(schedule=schedule)
    assert spring.cron == cron
    assert spring.model_dump(mode="json")["schedule"] == schedule
    assert "cron" not in spring.model_dump()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"campaign_id": "Spring"}, "'Spring' is no campaign id"),
        ({"campaign_id": "a" * 101}, "is no campaign id"),
        ({"campaign_id": "spring\n"}, "is no campaign id"),
        ({"shedule": "@daily"}, "shedule"),
        ({"schedule": "daily"}, "'daily' is not a cron expression. Write five fields"),
        ({"timezone": "europe/berln"}, "is not an IANA time zone. Did you mean 'Europe/Berlin'"),
        ({"max_lateness": 3600}, "3600 is not a duration with a unit"),
        (
            {"message": Message(media_urls=[IMAGE])},
            "sender 'texts' sends sms. Name a sender with channel: mms",
        ),
        ({"sender": PICTURES}, "Twilio would send this message without media as SMS"),
        ({"validity_period": 36001}, "validity_period"),
        ({"segment": {}}, "the segment has no source"),
        ({"segment": {"sql": "a.sql", "file": "a.csv"}}, "needs exactly one source"),
        ({"segment": 5}, "needs exactly one source"),
        ({"start_date": True}, "True is not a date and time"),
    ],
)
def test_says_what_is_wrong(changes, message):
    with pytest.raises(ValidationError) as caught:
        campaign(**changes)
    assert message in str(caught.value)


def test_a_sender_of_mms_may_use_a_content_template():
    assert campaign(sender=PICTURES, message=Message(content_sid=HX)).action_type() == "mms"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1h", 3600),
        ("2d", 172_800),
        ("1d2h3m4s", 93_784),
        ("PT90M", 5400),
        ("P1DT1H", 90_000),
        ("366d", 31_622_400),
        (timedelta(minutes=5), 300),
    ],
)
def test_durations(text, seconds):
    assert TypeAdapter(Duration).validate_python(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    ["", "1", "h", "1h 30m", "30m1h", "1w", "-1h", "0s", "-PT1H", "P", "PT", "P1X", "٣h", 60, 1.5, True, None,
     [], timedelta(0), timedelta(days=367), "9" * 9999 + "d", "P999999999999D", {"hours": 1}],
)  # fmt: skip
def test_no_durations(value):
    with pytest.raises(ValidationError, match="duration"):
        TypeAdapter(Duration).validate_python(value)


@given(st.timedeltas(timedelta(microseconds=1), timedelta(days=366)))
def test_durations_survive_json(duration):
    adapter = TypeAdapter(Duration)
    assert adapter.validate_python(adapter.dump_python(duration, mode="json")) == duration


@pytest.mark.parametrize(
    ("url", "valid"),
    [
        ("https://example.com/a.jpg", True),
        ("http://example.com:8080/a?b=c#d", True),
        ("https://exämple.com/ü.jpg", True),
        ("https://", False),
        ("https://:80/", False),
        ("https://example.com:0/", False),
        ("https://example.com:99999/", False),
        ("https://[::1/", False),
        ("https://example.com/a b.jpg", False),
        ("https://example.com/a\n.jpg", False),
        ("ftp://example.com/a.jpg", False),
        ("javascript:alert(1)", False),
        ("example.com/a.jpg", False),
        ("", False),
        ("https://example.com/" + "a" * 2048, False),
    ],
)
def test_web_urls(url, valid):
    assert is_web_url(url) is valid


def test_only_a_messaging_service_shortens_links():
    assert campaign(shorten_urls=True).shorten_urls
    number = SenderProfile(name="a_number", from_number="+12025550142")
    with pytest.raises(ValidationError, match=r"'a_number' is a number.*messaging_service_sid.*remove shorten_urls"):
        campaign(sender=number, shorten_urls=True)
    assert not campaign(sender=number).shorten_urls
    with pytest.raises(ValidationError, match="shorten_urls"):
        campaign(shorten_urls="yes")
