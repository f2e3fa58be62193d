"""Twilio's JSON, read: the one place that knows how a Message or an error looks on the wire."""

from __future__ import annotations

import json
import re
from calendar import month_abbr
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.message import Observation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twilio_campaigns.domain.status import Source

_MESSAGE_SID: Final = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
_PATH: Final = re.compile(r"/(?![/\\])")
#: How Twilio writes dates, in UTC; the standard library reads every form there is, twenty times as slowly.
_USUAL_DATE: Final = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d{2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4}) "
    r"(\d{2}):(\d{2}):(\d{2}) (?:\+0000|GMT)",
    re.ASCII,
)
_MONTHS: Final = {name: number for number, name in enumerate(month_abbr)}
#: Twilio's error codes have five digits; gateways in between like to repeat the HTTP status as ``code``.
_LOWEST_TWILIO_CODE: Final = 10_000


class MalformedAnswerError(ValueError):
    """An answer is not what Twilio's API description promises; the message names the field, not its value."""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """What Twilio says about an account.

    :param sid: ``AC…``.
    :param friendly_name: the name that people gave it.
    :param status: ``active``, ``suspended`` or ``closed``; ``None`` where a restricted API key may send and
        read messages but not look at its account.
    :param kind: ``Full`` or ``Trial``.
    """

    sid: str
    friendly_name: str | None = None
    status: str | None = None
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class MessagePage:
    """One page of a list: its messages and the path of the next one."""

    messages: list[Observation]
    next_path: str | None


def json_object(body: bytes | str) -> dict[str, object] | None:
    """Parse an answer's body; ``None`` unless it is a JSON object."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def error_code(body: bytes | str) -> int | None:
    """Twilio's error code in an answer's body; ``None`` when somebody else wrote the answer."""
    code = (json_object(body) or {}).get("code")
    if isinstance(code, str) and code.isascii() and code.isdigit():
        code = int(code)
    if isinstance(code, bool) or not isinstance(code, int):
        return None
    return code if code >= _LOWEST_TWILIO_CODE else None


def header(headers: Mapping[str, str], name: str) -> str | None:
    """One header whatever its case, also from a plain ``dict``."""
    found = headers.get(name)
    if found is not None:
        return found
    wanted = name.lower()
    return next((value for key, value in headers.items() if key.lower() == wanted), None)


def parse_message(payload: Mapping[str, object], source: Source, *, answered_at: datetime | None = None) -> Observation:
    """Read a Message resource.

    :param payload: the JSON object.
    :param source: from where it came.
    :param answered_at: moment of the answer; stands in for dates that the resource lacks.
    :raises MalformedAnswerError: when it has no SID, no status or no date.
    """
    created_at = _date(payload, "date_created") or answered_at
    if created_at is None:
        raise MalformedAnswerError("date_created is missing or unreadable")
    return Observation(
        sid=_sid(payload),
        provider_status=_required_text(payload, "status"),
        direction=_text(payload, "direction") or "outbound-api",
        created_at=created_at,
        updated_at=_date(payload, "date_updated") or created_at,
        source=source,
        sent_at=_date(payload, "date_sent"),
        error_code=_whole_number(payload, "error_code"),
        parts=_whole_number(payload, "num_segments"),
        price=_price(payload),
        price_unit=_text(payload, "price_unit"),
        from_number=_text(payload, "from"),
        to_number=_text(payload, "to"),
        messaging_service_sid=_text(payload, "messaging_service_sid"),
        body=_text(payload, "body"),
    )


def parse_page(body: bytes | str, source: Source) -> MessagePage:
    """Read one page of the message list.

    :raises MalformedAnswerError: when it is not such a page, or points to another server.
    """
    payload = json_object(body)
    records = payload.get("messages") if payload else None
    if payload is None or not isinstance(records, list):
        raise MalformedAnswerError("the page has no list of messages")
    if not all(isinstance(record, dict) for record in records):
        raise MalformedAnswerError("the page holds something that is not a message")
    return MessagePage([parse_message(record, source) for record in records], _next_path(payload))


def parse_account(body: bytes | str) -> AccountStatus:
    """Read an Account resource.

    :raises MalformedAnswerError: when it has no SID.
    """
    payload = json_object(body)
    if payload is None:
        raise MalformedAnswerError("the account is not a JSON object")
    return AccountStatus(
        sid=_required_text(payload, "sid"),
        friendly_name=_text(payload, "friendly_name"),
        status=_text(payload, "status"),
        kind=_text(payload, "type"),
    )


@lru_cache(maxsize=8192)
def parse_date(text: str) -> datetime | None:
    """RFC 2822 date as aware UTC; ``None`` when unreadable. Cached: a page repeats the same seconds."""
    found = _USUAL_DATE.fullmatch(text)
    if found is not None:
        try:
            day, hour, minute, second = int(found[1]), int(found[4]), int(found[5]), int(found[6])
            return datetime(int(found[3]), _MONTHS[found[2]], day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            return None
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def _sid(payload: Mapping[str, object]) -> str:
    sid = payload.get("sid")
    if not isinstance(sid, str) or not _MESSAGE_SID.fullmatch(sid):
        raise MalformedAnswerError("sid is not the id of a message")
    return sid


def _next_path(payload: Mapping[str, object]) -> str | None:
    path = payload.get("next_page_uri")
    if path is None or path == "":
        return None
    # Our credentials go to the address in the connection and nowhere else.
    if not isinstance(path, str) or not _PATH.match(path):
        raise MalformedAnswerError("next_page_uri is not a path on this server")
    return path


def _text(payload: Mapping[str, object], name: str) -> str | None:
    value = payload.get(name)
    return value if isinstance(value, str) and value else None


def _required_text(payload: Mapping[str, object], name: str) -> str:
    value = _text(payload, name)
    if value is None:
        raise MalformedAnswerError(f"{name} is missing")
    return value


def _date(payload: Mapping[str, object], name: str) -> datetime | None:
    text = _text(payload, name)
    return parse_date(text) if text else None


def _whole_number(payload: Mapping[str, object], name: str) -> int | None:
    """Read a positive whole number, be it text or number; 0 means "not known yet" wherever Twilio says it."""
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if number > 0 else None


def _price(payload: Mapping[str, object]) -> Decimal | None:
    """Read the amount: Twilio writes what it takes as a negative number, we keep what it costs."""
    value = payload.get("price")
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return abs(amount) if amount.is_finite() else None
