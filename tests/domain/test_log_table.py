from datetime import UTC, datetime, timedelta
from decimal import Decimal

from twilio_campaigns.domain.log_table import log_figures, log_table


def test_columns_stand_below_each_other_and_figures_to_the_right():
    rows = [
        {"status_code": "21610", "error": "opted_out", "messages": 1234, "what_to_do": "Nothing."},
        {"status_code": "", "error": "", "messages": 1, "what_to_do": ""},
    ]
    assert list(log_table("Errors", rows)) == [
        "Errors",
        "  status code  error      messages  what to do",
        "  -----------  ---------  --------  ----------",
        "  21610        opted_out     1,234  Nothing.",
        "                                 1",
    ]


def test_a_table_without_rows_is_none():
    assert list(log_table("Errors", [])) == []


def test_one_figure_a_line():
    figures = {
        "accepted": 12345,
        "price": Decimal("1.50"),
        "per_second": None,
        "complete": True,
        "duration": timedelta(seconds=3661.4),
        "a_moment": timedelta(seconds=0.26),
        "next look": datetime(2026, 11, 20, 9, 30, 0, 999, tzinfo=UTC),
    }
    assert list(log_figures("Batch", figures)) == [
        "Batch",
        "  accepted                       12,345",
        "  price                            1.50",
        "  per second                          -",
        "  complete                          yes",
        "  duration                      1:01:01",
        "  a moment                        0.3 s",
        "  next look   2026-11-20 09:30:00+00:00",
    ]
