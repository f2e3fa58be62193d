import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from twilio_campaigns.domain.values import as_json, code_text, is_figure, text_of

MOMENT = datetime(2026, 11, 20, 9, 30, 0, 999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text", "figure", "in_json"),
    [
        (None, "", False, None),
        (True, "yes", False, True),
        (False, "no", False, False),
        (0, "0", True, 0),
        (-1234567, "-1,234,567", True, -1234567),
        (1234.5, "1234.5", True, 1234.5),
        (Decimal("1234.50"), "1234.50", True, 1234.5),
        (timedelta(seconds=0.26), "0.3 s", True, "0:00:00.260000"),
        (timedelta(seconds=59.9), "59.9 s", True, "0:00:59.900000"),
        (timedelta(seconds=3661.4), "1:01:01", True, "1:01:01.400000"),
        (MOMENT, "2026-11-20 09:30:00+00:00", False, "2026-11-20T09:30:00.000999+00:00"),
        (date(2026, 11, 20), "2026-11-20", False, "2026-11-20"),
        ("[red]", "[red]", False, "[red]"),
        ("21610", "21610", False, "21610"),
        (["a"], "['a']", False, ["a"]),
    ],
)
def test_a_value_for_people_and_for_programs(value, text, figure, in_json):
    assert (text_of(value), is_figure(value), as_json(value)) == (text, figure, in_json)
    assert json.loads(json.dumps(as_json(value))) == in_json


@pytest.mark.parametrize(("code", "text"), [(None, ""), (21610, "21610")])
def test_a_code_has_no_separators(code, text):
    assert code_text(code) == text
