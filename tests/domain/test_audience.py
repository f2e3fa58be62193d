import logging
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_campaigns.domain.audience import Recipient, RecipientReader, SkipReason, as_text, storable
from twilio_campaigns.domain.campaign import AudienceRules, Campaign, FileSegment, Message, SqlSegment
from twilio_campaigns.domain.sender import SenderProfile

HX = "HX0123456789abcdef0123456789abcdef"
TEXTS = SenderProfile(name="texts", from_number="+12025550142")
PICTURES = SenderProfile(name="pictures", channel="mms", from_number="+12025550142")
LANDLINE = "+493012345678"  # Berlin
GERMAN_MOBILE = "+4915123456789"
ROW = {"customer_id": "c1", "phone": "+12025550123", "first_name": "Ann"}


def reader(**changes):
    return RecipientReader(
        Campaign(
            **{
                "campaign_id": "spring",
                "sender": TEXTS,
                "segment": SqlSegment(query="select 1"),
                "message": Message(body="Hi {{ first_name }}"),
            }
            | changes
        )
    )


def read(row, **changes):
    return reader(**changes).read(row)


def test_a_recipient():
    assert read(ROW) == Recipient(
        customer_id="c1",
        input_number="+12025550123",
        to_number="+12025550123",
        country="US",
        time_zone="America/New_York",
        body="Hi Ann",
        estimated_parts=1,
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"customer_id": None}, SkipReason.MISSING_CUSTOMER_ID),
        ({"customer_id": "  "}, SkipReason.MISSING_CUSTOMER_ID),
        ({"customer_id": "\0"}, SkipReason.MISSING_CUSTOMER_ID),
        ({"phone": None}, SkipReason.INVALID_NUMBER),
        ({"phone": ""}, SkipReason.INVALID_NUMBER),
        ({"phone": "call me"}, SkipReason.INVALID_NUMBER),
        ({"phone": "202 555 0123"}, SkipReason.INVALID_NUMBER),
        ({"phone": "+1 555"}, SkipReason.INVALID_NUMBER),
        ({"phone": LANDLINE}, SkipReason.NOT_MOBILE),
        ({"first_name": None}, SkipReason.MISSING_VARIABLE),
        ({"first_name": "x" * 16_001}, SkipReason.TEMPLATE_ERROR),
        ({"first_name": "x" * 1598}, SkipReason.BODY_TOO_LONG),
    ],
)
def test_reasons(changes, reason):
    assert read(ROW | changes).skip_reason is reason


def test_no_columns_at_all():
    assert read({}) == Recipient("", "", skip_reason=SkipReason.MISSING_CUSTOMER_ID)


#: What is wrong, in the order in which it counts, with the change of the row that makes it good.
ORDER = [
    (SkipReason.MISSING_CUSTOMER_ID, {"customer_id": "c1"}),
    (SkipReason.INVALID_NUMBER, {"phone": LANDLINE}),
    (SkipReason.NOT_MOBILE, {"phone": GERMAN_MOBILE}),
    (SkipReason.MISSING_VARIABLE, {"first_name": "-"}),
    (SkipReason.EMPTY_BODY, {"first_name": "x" * 1601}),
    (SkipReason.INVALID_MEDIA_URL, {"image": "https://example.com/a.jpg"}),
    (SkipReason.BODY_TOO_LONG, {"first_name": "x"}),
]


def test_the_first_reason_counts():
    message = Message(body="{{ first_name | replace('-', '') }}", media_urls=("{{ image }}",))
    spring = reader(sender=PICTURES, message=message)
    row = {"customer_id": None, "phone": "x", "first_name": None, "image": "x"}
    for reason, remedy in ORDER:
        assert spring.read(row).skip_reason is reason
        row |= remedy
    assert spring.read(row).skip_reason is None


def test_keeps_what_is_known_of_excluded_rows():
    recipient = read(ROW | {"first_name": None})
    assert (recipient.to_number, recipient.country, recipient.body) == ("+12025550123", "US", None)
    assert recipient.estimated_parts == 0
    invalid = read(ROW | {"phone": " 0-8-15 "})
    assert (invalid.input_number, invalid.to_number, invalid.country) == ("0-8-15", None, None)
    long = read(ROW | {"first_name": "x" * 1700})
    assert (len(long.body), long.estimated_parts) == (1703, 12)


def test_local_numbers_need_a_region():
    rules = AudienceRules(default_region="DE")
    assert read(ROW | {"phone": "0151 23456789"}, audience=rules).to_number == GERMAN_MOBILE
    assert read(ROW | {"phone": "00 49 151 23456789"}, audience=rules).to_number == GERMAN_MOBILE


def test_landlines_may_be_wanted():
    assert read(ROW | {"phone": LANDLINE}, audience=AudienceRules(mobile_only=False)).skip_reason is None


@pytest.mark.parametrize(
    ("text", "max_parts", "parts", "reason"),
    [
        ("x" * 160, 1, 1, None),
        ("x" * 161, 1, 2, SkipReason.BODY_TOO_LONG),
        ("x" * 161, 2, 2, None),
        ("ü" * 160, 1, 1, None),
        ("ш" * 70, 1, 1, None),
        ("ш" * 71, 1, 2, SkipReason.BODY_TOO_LONG),
        ("x" * 1600, 24, 11, None),
        ("x" * 1601, 24, 11, SkipReason.BODY_TOO_LONG),
        ("ш" * 1600, 24, 24, None),
    ],
)
def test_length(text, max_parts, parts, reason):
    rules = AudienceRules(max_parts=max_parts)
    recipient = read(ROW | {"first_name": text}, message=Message(body="{{ first_name }}"), audience=rules)
    assert (recipient.estimated_parts, recipient.skip_reason) == (parts, reason)


class TestMms:
    MESSAGE = Message(body="{{ first_name }}", media_urls=("https://example.com/{{ image }}.jpg",))

    def read(self, **changes):
        return read(ROW | {"image": "a"} | changes, sender=PICTURES, message=self.MESSAGE)

    def test_is_one_part(self):
        recipient = self.read(first_name="ш" * 1600)
        assert (recipient.estimated_parts, recipient.skip_reason) == (1, None)
        assert recipient.media_urls == ("https://example.com/a.jpg",)

    def test_has_a_limit_as_well(self):
        assert self.read(first_name="x" * 1601).skip_reason is SkipReason.BODY_TOO_LONG

    @pytest.mark.parametrize("image", ["a b", "a\n", "x" * 2048])
    def test_urls_are_checked(self, image):
        assert self.read(image=image).skip_reason is SkipReason.INVALID_MEDIA_URL

    def test_urls_need_their_variables(self):
        assert self.read(image=None).skip_reason is SkipReason.MISSING_VARIABLE

    def test_media_alone(self):
        recipient = read(ROW, sender=PICTURES, message=Message(media_urls=("https://example.com/a.jpg",)))
        assert (recipient.body, recipient.estimated_parts, recipient.skip_reason) == (None, 1, None)


def test_a_content_template():
    recipient = read(ROW, message=Message(content_sid=HX, content_variables={"1": "{{ first_name }}"}))
    assert (recipient.body, recipient.content_sid, recipient.content_variables) == (None, HX, '{"1": "Ann"}')
    assert (recipient.estimated_parts, recipient.skip_reason) == (1, None)


def test_columns_may_have_other_names():
    segment = FileSegment(file="a.csv", customer_id_column="id", phone_column="mobile")
    row = {"id": 17, "mobile": "+12025550123", "first_name": "Ann", "phone": "x", "customer_id": "y"}
    recipient = read(row, segment=segment)
    assert (recipient.customer_id, recipient.to_number) == ("17", "+12025550123")


def test_the_campaign_id_is_a_variable():
    assert read(ROW, message=Message(body="{{ campaign_id }}")).body == "spring"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("  a ", "a"),
        ("007", "007"),
        (17, "17"),
        (17.0, "17"),
        (12025550123.0, "12025550123"),
        (Decimal("17.00"), "17"),
        (Decimal("1E+2"), "100"),
        (Decimal(12345678901234567890), "12345678901234567890"),
        (9007199254740993, "9007199254740993"),
        (1.5, "1.5"),
        (True, "True"),
        (math.nan, ""),
        (math.inf, ""),
        (Decimal("NaN"), ""),
        (Decimal("sNaN"), ""),
        (Decimal("Infinity"), ""),
        pytest.param(10**5000, "", id="more digits than Python writes"),
        (b"a\xff", "a\ufffd"),
        ("a\0b", "ab"),
        ("a\ud800b", "ab"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (date(2027, 3, 1), "2027-03-01"),
    ],
)
def test_ids_as_text(value, text):
    assert as_text(value) == text


def test_what_a_database_cannot_hold_is_taken_out():
    assert storable("Grüße 🌷\0\ud83c") == "Grüße 🌷"
    recipient = read(ROW | {"first_name": "A\0n\udfffn"})
    assert (recipient.body, recipient.skip_reason) == ("Hi Ann", None)


def test_logs_each_cause_once_and_no_row(caplog):
    spring = reader(message=Message(body="{{ first_name }} {{ points / 0 }}"))
    with caplog.at_level(logging.DEBUG):
        for number in range(10):
            spring.read(ROW | {"first_name": None, "points": number})
            spring.read(ROW | {"points": number})
    assert len(caplog.records) == 2
    assert "'first_name'" in caplog.messages[0]
    assert "ZeroDivisionError" in caplog.messages[1]
    assert "Ann" not in caplog.text
    assert "2025550123" not in caplog.text


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.text()
    | st.text(st.characters(codec=None, categories=["Cs", "Cc", "Nd"]))
    | st.binary()
    | st.datetimes(timezones=st.just(UTC))
    | st.dates()
    | st.uuids()
    | st.from_regex(r"\+?[0-9() -]{0,20}", fullmatch=True)
)
rows = st.dictionaries(
    st.sampled_from(["customer_id", "phone", "first_name", "points", "image"]) | st.text(),
    scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(), scalars, max_size=2),
)
READER = reader(
    sender=PICTURES,
    message=Message(
        body="Hi {{ first_name }}{% if points > 3 %}, {{ points * 2 }}{{ '%d' | format(points) }}{% endif %}",
        media_urls=("{{ image }}",),
    ),
    audience=AudienceRules(default_region="DE"),
)


@given(rows)
def test_never_raises(row):
    recipient = READER.read(row)
    assert (recipient.skip_reason is None) <= (recipient.to_number is not None)
    for text in (recipient.customer_id, recipient.input_number, recipient.body or "", *recipient.media_urls):
        assert "\0" not in text
        text.encode()


def test_reads_what_time_gives():
    at = datetime(2027, 3, 1, tzinfo=UTC)
    assert read(ROW | {"at": at}, message=Message(body="{{ at.year }}")).body == "2027"
