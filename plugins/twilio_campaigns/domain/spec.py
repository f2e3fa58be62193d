"""What the pieces of a campaign file have in common: strictness, durations, problems in words."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_SHORT: Final = re.compile(r"(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?", re.ASCII)
_ISO: Final = TypeAdapter(timedelta)
_LONGEST: Final = timedelta(days=366)
#: What no database keeps in a text: NUL, and halves of surrogate pairs.
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


class Spec(BaseModel):
    """A value that people write: unknown keys are refused, and nothing changes afterwards."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    @field_validator("*")
    @classmethod
    def _check_storable(cls, value: object) -> object:
        for text in _texts(value):
            if found := _UNSTORABLE.search(text):
                raise problem(
                    f"holds the character U+{ord(found[0]):04X}, which no database keeps. Delete it; "
                    "write an emoji as itself."
                )
        return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for item in value.items() for part in item for text in _texts(part))
    elif isinstance(value, tuple):
        yield from (text for item in value for text in _texts(item))


def problem(message: str, *, at: str | None = None, line: int | None = None) -> PydanticCustomError:
    """Build a validation error in words for the person who wrote the value: what is wrong, then the remedy.

    :param at: the field below the validated one that is to blame, if it is not the validated one itself.
    :param line: line within the value, counted from 1, for values of many lines.
    """
    # Pydantic takes braces in a message for placeholders, and messages quote templates.
    context = {"message": message} | ({"at": at} if at else {}) | ({"line": line} if line else {})
    return PydanticCustomError("campaign", "{message}", context)


def parse_duration(value: object) -> timedelta:
    """Read a positive duration.

    :param value: ``90s``, ``30m``, ``1h``, ``2d`` or a sequence of them (``1h30m``); an ISO 8601 duration
        (``PT90M``); or a :class:`~datetime.timedelta`. Bare numbers are refused: nobody knows their unit.
    """
    duration = value if isinstance(value, timedelta) else _parse_text(value)
    if not timedelta(0) < duration <= _LONGEST:
        raise problem("the duration must be longer than 0 and at most 366d. Write one such as 30m, 1h or 2d.")
    return duration


def _parse_text(value: object) -> timedelta:
    try:
        if isinstance(value, str) and value.startswith("P"):
            return _ISO.validate_python(value)
        if isinstance(value, str) and value and (match := _SHORT.fullmatch(value)):
            return timedelta(**{_UNITS[unit]: int(digits) for unit, digits in match.groupdict("0").items()})
    except (ValidationError, OverflowError, ValueError):  # ValueError: more digits than Python reads
        pass
    raise problem(f"{value!r} is not a duration with a unit. Write one such as 90s, 30m, 1h, 1h30m or 2d.")


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^(?=.)(\d+d)?(\d+h)?(\d+m)?(\d+s)?$|^P",
            "examples": ["30m", "1h", "2d", "PT90M"],
        }
    ),
]
