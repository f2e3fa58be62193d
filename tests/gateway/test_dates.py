"""Twilio's dates: the usual form read fast, and alike by the standard library."""

from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_campaigns.gateway.resource import parse_date


@given(st.integers(0, 4_000_000_000))
def test_the_usual_form_means_what_the_standard_library_reads(second):
    moment = datetime.fromtimestamp(second, UTC)
    text = format_datetime(moment.replace(microsecond=0))
    assert parse_date(text) == parsedate_to_datetime(text) == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Wed, 25 Nov 2026 02:34:26 GMT", datetime(2026, 11, 25, 2, 34, 26, tzinfo=UTC)),
        ("Wed, 25 Nov 2026 02:34:26 +0100", datetime(2026, 11, 25, 1, 34, 26, tzinfo=UTC)),
        ("Wed, 5 Nov 2026 02:34:26 -0800", datetime(2026, 11, 5, 10, 34, 26, tzinfo=UTC)),
        ("25 Nov 2026 02:34:26", datetime(2026, 11, 25, 2, 34, 26, tzinfo=UTC)),
        ("Wed, 31 Feb 2026 02:34:26 +0000", None),
        ("Wed, 25 Nov 2026 25:34:26 +0000", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_other_forms(text, moment):
    assert parse_date(text) == moment
