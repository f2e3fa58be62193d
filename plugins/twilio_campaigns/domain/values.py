"""How single values are written in tables and logs for people, and in JSON for programs. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

_MINUTE: Final = 60


def text_of(value: object) -> str:
    """Write a value for people: whole numbers with separators, moments to the second; nothing for ``None``.

    :param value: a code has to be a text already, as :func:`code_text` gives it.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        return f"{seconds:.1f} s" if abs(seconds) < _MINUTE else str(timedelta(seconds=round(seconds)))
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return f"{value:,}" if isinstance(value, int) else str(value)


def code_text(code: int | None) -> str:
    """Write an error code: it is a name, and names have no separators."""
    return "" if code is None else str(code)


def is_figure(value: object) -> bool:
    """Whether people want to see this value to the right of its column."""
    return isinstance(value, int | float | Decimal | timedelta) and not isinstance(value, bool)


def as_json(value: object) -> object:
    """Give what JSON has for a value: an amount is a number, a moment or a day its ISO 8601 text."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int | float | list | tuple | dict) else str(value)
