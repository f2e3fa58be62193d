"""Twilio's JSON, read: the one place that knows how a Message or an error looks on the wire."""

from __future__ import annotations

import json
import re
from calendar import month_abbr
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from msgspec import MsgspecError, Struct, convert, field
from msgspec.json import Decoder
from msgspec.structs import fields

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
    """One page of a list.

    :param next_path: where the next one is.
    """

    messages: list[Observation]
    next_path: str | None

    @property
    def is_last(self) -> bool:
        """Whether no page follows."""
        return self.next_path is None


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


class _Resource(Struct, gc=False):
    """What we use of Twilio's Message resource; all other fields are skipped unread."""

    sid: str = ""
    status: str | None = None
    direction: str | None = None
    date_created: str | None = None
    date_updated: str | None = None
    date_sent: str | None = None
    error_code: int | str | None = None
    num_segments: int | str | None = None
    price: int | float | str | None = None
    price_unit: str | None = None
    from_: str | None = field(default=None, name="from")
    to: str | None = None
    messaging_service_sid: str | None = None
    body: str | None = None


class _List(Struct):
    messages: list[_Resource]
    next_page_uri: Any = None


class _LooseList(Struct):
    messages: list[dict[str, Any]]
    next_page_uri: Any = None


_LIST: Final = Decoder(_List)
_FIELDS: Final = fields(_Resource)


def parse_message(payload: Mapping[str, object], source: Source, *, answered_at: datetime | None = None) -> Observation:
    """Read a Message resource.

    :param payload: the JSON object.
    :param source: from where it came.
    :param answered_at: moment of the answer; stands in for dates that the resource lacks.
    :raises MalformedAnswerError: when it has no SID, no status or no date.
    """
    return _observed(_loose(payload), source, answered_at)


def _observed(message: _Resource, source: Source, answered_at: datetime | None = None) -> Observation:
    created_at = parse_date(message.date_created) or answered_at
    if created_at is None:
        raise MalformedAnswerError("date_created is missing or unreadable")
    if not message.status:
        raise MalformedAnswerError("status is missing")
    if not _MESSAGE_SID.fullmatch(message.sid):
        raise MalformedAnswerError("sid is not the id of a message")
    # By position, in the order of its declaration: names take a third longer, and lists have a thousand of them.
    return Observation(
        message.sid,
        message.status,
        message.direction or "outbound-api",
        created_at,
        parse_date(message.date_updated) or created_at,
        source,
        parse_date(message.date_sent),
        _whole_number(message.error_code),
        _whole_number(message.num_segments),
        _price(message.price),
        message.price_unit or None,
        message.from_ or None,
        message.to or None,
        message.messaging_service_sid or None,
        message.body or None,
    )


def parse_page(body: bytes | str, source: Source) -> MessagePage:
    """Read one page of the message list.

    :raises MalformedAnswerError: when it is not such a page, or points to another server.
    """
    page = _read_list(body)
    return MessagePage([_observed(message, source) for message in page.messages], _next_path(page.next_page_uri))


def _read_list(body: bytes | str) -> _List:
    try:
        return _LIST.decode(body)
    except (MsgspecError, ValueError, RecursionError):
        pass
    # No reason to lose a page: half an emoji where a text was cut, which the standard library lets pass, or a field of
    # one message that holds something else than it should.
    try:
        page = convert(json_object(body), _LooseList)
    except MsgspecError as error:
        # It says where something is wrong, and never what stands there.
        raise MalformedAnswerError(f"the page is not a list of messages ({error})") from None
    return _List([_loose(message) for message in page.messages], page.next_page_uri)


def _loose(payload: Mapping[str, object]) -> _Resource:
    """Take over every field that holds what it should; any other one counts as not given."""
    with suppress(MsgspecError):
        return convert(payload, _Resource)
    message = _Resource()
    for place in _FIELDS:
        with suppress(MsgspecError):
            setattr(message, place.name, convert(payload.get(place.encode_name), place.type))
    return message


def parse_account(body: bytes | str) -> AccountStatus:
    """Read an Account resource.

    :raises MalformedAnswerError: when it has no SID.
    """
    payload = json_object(body)
    if payload is None:
        raise MalformedAnswerError("the account is not a JSON object")
    sid = _text(payload.get("sid"))
    if sid is None:
        raise MalformedAnswerError("sid is missing")
    return AccountStatus(
        sid=sid,
        friendly_name=_text(payload.get("friendly_name")),
        status=_text(payload.get("status")),
        kind=_text(payload.get("type")),
    )


@lru_cache(maxsize=32_768)
def parse_date(text: str | None) -> datetime | None:
    """RFC 2822 date as aware UTC; ``None`` when unreadable. Cached: the messages of a campaign share some hours."""
    if not text:
        return None
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


def _next_path(path: object) -> str | None:
    if path is None or path == "":
        return None
    # Our credentials go to the address in the connection and nowhere else.
    if not isinstance(path, str) or not _PATH.match(path):
        raise MalformedAnswerError("next_page_uri is not a path on this server")
    return path


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


@lru_cache(maxsize=1024, typed=True)
def _whole_number(value: int | str | None) -> int | None:
    """Read a positive whole number, be it text or number; 0 means "not known yet" wherever Twilio says it."""
    if value is None:
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return number if number > 0 else None


@lru_cache(maxsize=1024, typed=True)
def _price(value: float | str | None) -> Decimal | None:
    """Read the amount: Twilio writes what it takes as a negative number, we keep what it costs."""
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return abs(amount) if amount.is_finite() else None
