"""How pages write numbers, money, moments and durations; and what they hide from whom."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from decimal import Decimal

#: Where there is nothing to show.
NOTHING: Final = "\N{EN DASH}"
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def number(value: float | Decimal | None) -> str:
    """Write a count or an amount, with separators for thousands."""
    if value is None:
        return NOTHING
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def percent(part: float | Decimal | None, whole: float | Decimal | None = 1) -> str:
    """Write a share; of one, or of ``whole``."""
    if part is None or not whole:
        return NOTHING
    share = 100 * float(part) / float(whole)
    if 0 < share < 0.1:  # noqa: PLR2004 - the smallest share that one decimal shows
        return "< 0.1 %"
    return "100 %" if share == 100 else f"{share:.1f} %"  # noqa: PLR2004 - all of it


def share(part: float | Decimal | None, whole: float | Decimal | None) -> float:
    """Give a share of a bar's width, from 0 to 100."""
    return 0.0 if not part or not whole else round(min(100.0, 100 * float(part) / float(whole)), 2)


def money(value: Decimal | float | None, unit: str | None) -> str:
    """Write an amount with its currency."""
    if value is None:
        return NOTHING
    return f"{value:,.2f} {unit or ''}".rstrip()


def moment(value: datetime | date | None) -> Markup:
    """Write a moment in UTC, to the second, so that programs can read it, too."""
    if value is None:
        return Markup("{}").format(NOTHING)
    if not isinstance(value, datetime):
        return Markup('<time datetime="{0}">{0}</time>').format(value.isoformat())
    utc = value.astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        utc.isoformat(timespec="seconds"), utc.strftime("%Y-%m-%d %H:%M:%S")
    )


def age(value: datetime | None, now: datetime) -> str:
    """Write how long ago something was."""
    if value is None:
        return "never"
    passed = (now - value).total_seconds()
    return "just now" if passed < 1 else f"{duration(passed)} ago"


def duration(seconds: float | Decimal | timedelta | None) -> str:
    """Write how long something took, in its two largest units."""
    if seconds is None:
        return NOTHING
    left = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if left < _MINUTE:
        return f"{left:.1f} s" if left < 10 else f"{left:.0f} s"  # noqa: PLR2004 - decimals tell less then
    if left < _HOUR:
        return _two(left, _MINUTE, "min", 1, "s")
    if left < _DAY:
        return _two(left, _HOUR, "h", _MINUTE, "min")
    return _two(left, _DAY, "d", _HOUR, "h")


def _two(seconds: float, large: int, large_name: str, small: int, small_name: str) -> str:
    whole, rest = divmod(int(seconds), large)
    return f"{whole} {large_name}" + (f" {rest // small} {small_name}" if rest // small else "")


def words(value: object) -> str:
    """Write one of our names with underscores as words."""
    return NOTHING if value is None else str(value).replace("_", " ")


def plural(count: int | None, one: str, many: str | None = None) -> str:
    """Write a count with its noun."""
    return f"{number(count or 0)} {one if count == 1 else many or one + 's'}"


FILTERS: Final[dict[str, Any]] = {
    "number": number,
    "percent": percent,
    "share": share,
    "money": money,
    "moment": moment,
    "age": age,
    "duration": duration,
    "words": words,
    "plural": plural,
}
