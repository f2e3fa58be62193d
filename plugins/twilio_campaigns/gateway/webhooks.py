"""Twilio's webhooks, read: the one place that knows how a status callback, a reply or a click looks on the wire.

Fields that we do not know are left alone: new ones appear without notice. Those that we need have to look as Twilio
writes them. That is more than tidiness: Twilio signs names and values run together, so whoever has a signed request
could move the border between two of them.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl
from uuid import UUID

from twilio_campaigns.domain.opt_out import Keyword
from twilio_campaigns.domain.webhooks import CLAIM, KEY, Click, InboundMessage, StatusCallback
from twilio_campaigns.gateway.resource import parse_date

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_FIELDS: Final = 500
_MOST_MEDIA: Final = 10
_ACCOUNT: Final = re.compile(r"AC[0-9a-fA-F]{32}")
_MESSAGE: Final = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}")
_STATUS: Final = re.compile(r"[a-z][a-z_]{2,30}")
_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
#: Number or short code, name of at most eleven characters, or address of a channel (``whatsapp:+…``).
_ADDRESS: Final = re.compile(r"\+?[0-9]{3,20}|[A-Za-z0-9 +\-_&]{1,11}|[a-z]{2,20}:[\x21-\x7e]{1,128}")
_URL: Final = re.compile(r"[^\x00-\x20\x7f]{1,4096}")
#: Halves of surrogate pairs, which JSON can write and no text can hold.
_HALVES: Final = re.compile("[\ud800-\udfff]")
_WHOLE: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_KEYWORDS: Final = {str(keyword).upper(): keyword for keyword in Keyword}
_FEW: Final = 32767


class MalformedWebhookError(ValueError):
    """The body is not what Twilio posts, and never will be; the message names the field, not its value."""


class Form:
    """The fields of a form; each may stand there several times, as the signature's rules allow.

    :param body: as it came.
    :raises MalformedWebhookError: when it is no form in UTF-8.
    """

    __slots__ = ("_values",)

    def __init__(self, body: bytes) -> None:
        try:
            pairs = parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=True,
                errors="strict",
                max_num_fields=_MOST_FIELDS,
            )
        except ValueError:
            raise MalformedWebhookError("the body is not a form in UTF-8") from None
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __bool__(self) -> bool:
        return bool(self._values)

    def getlist(self, name: str) -> list[str]:
        """Give every value of a field; the SDK's validator asks so."""
        return self._values[name]

    def get(self, name: str) -> str | None:
        """Give the one value of a field; ``None`` where it is missing or empty.

        :raises MalformedWebhookError: when it stands there twice.
        """
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise MalformedWebhookError(f"{name} stands there several times")
        return values[0] or None

    def like(self, pattern: re.Pattern[str], name: str) -> str | None:
        """Give the one value of a field, as :meth:`get`.

        :raises MalformedWebhookError: when it does not look as it should.
        """
        value = self.get(name)
        if value is not None and not pattern.fullmatch(value):
            raise MalformedWebhookError(f"{name} does not look as Twilio writes it")
        return value

    def need(self, pattern: re.Pattern[str], name: str) -> str:
        """As :meth:`like`, of a field that has to be there."""
        value = self.like(pattern, name)
        if value is None:
            raise MalformedWebhookError(f"{name} is missing")
        return value


def account_of(form: Form) -> str:
    """Give the account that a form claims to be from.

    :raises MalformedWebhookError: when it names none.
    """
    return form.need(_ACCOUNT, "AccountSid")


def read_status(form: Form, query: str, connections: tuple[str, ...], received: float) -> StatusCallback:
    """Read a status callback.

    :param query: of the URL; it may name our row and claim.
    :param connections: of the account that signed it.
    :param received: clock reading.
    :raises MalformedWebhookError: when a field that we need is missing or wrong.
    """
    form.like(_VERSION, "ApiVersion")
    names = dict(parse_qsl(query))
    key, claim_id = _uuid(names.get(KEY)), _uuid(names.get(CLAIM))
    return StatusCallback(
        sid=form.need(_MESSAGE, "MessageSid"),
        provider_status=form.need(_STATUS, "MessageStatus"),
        connections=connections,
        received=received,
        error_code=_whole(form, "ErrorCode"),
        from_number=form.like(_ADDRESS, "From"),
        to_number=form.like(_ADDRESS, "To"),
        messaging_service_sid=form.like(_SERVICE, "MessagingServiceSid"),
        key=key,
        claim_id=claim_id,
    )


def read_inbound(form: Form, connections: tuple[str, ...], received: float) -> InboundMessage:
    """Read the webhook for a message that somebody wrote to us; parameters as for :func:`read_status`.

    :raises MalformedWebhookError: as there.
    """
    form.like(_VERSION, "ApiVersion")
    media = min(_whole(form, "NumMedia") or 0, _MOST_MEDIA)
    urls = (form.like(_URL, f"MediaUrl{number}") for number in range(media))
    parts = _whole(form, "NumSegments")
    return InboundMessage(
        sid=form.need(_MESSAGE, "MessageSid"),
        provider_status=form.like(_STATUS, "SmsStatus") or "received",
        from_number=form.need(_ADDRESS, "From"),
        to_number=form.need(_ADDRESS, "To"),
        connections=connections,
        received=received,
        body=form.get("Body"),
        messaging_service_sid=form.like(_SERVICE, "MessagingServiceSid"),
        parts=parts if parts and parts <= _FEW else None,
        keyword=_KEYWORDS.get((form.get("OptOutType") or "").upper()),
        media_urls=tuple(url for url in urls if url is not None),
    )


class Clicks:
    """Clicks as they are told: how the fields are called is documented for Event Streams only, so both spellings do.

    :param payload: a click, an event of Event Streams that holds one, or a list of either.
    :raises MalformedWebhookError: when it is none of them, or its clicks are of several accounts.
    """

    def __init__(self, payload: object) -> None:
        items = payload if isinstance(payload, list) else [payload]
        if not items or len(items) > _MOST_FIELDS:
            raise MalformedWebhookError("there is no click in it")
        self._items = [_fields(item) for item in items]
        accounts = {item.get("account_sid") for item in self._items}
        if len(accounts) > 1:
            raise MalformedWebhookError("account_sid differs")
        self.account_sid = _like(self._items[0], _ACCOUNT, "account_sid")

    @classmethod
    def of_json(cls, body: bytes) -> Clicks:
        """Read a JSON body; errors as for the class."""
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):
            raise MalformedWebhookError("the body is not JSON") from None
        return cls(payload)

    @classmethod
    def of_form(cls, form: Form) -> Clicks:
        """Read a form; errors as for the class."""
        return cls({name: form.get(name) for name in form})

    def read(self, connections: tuple[str, ...], received: float) -> list[Click]:
        """Give the clicks; parameters as for :func:`read_status`.

        :raises MalformedWebhookError: as there.
        """
        return [
            Click(
                sid=_need(item, _MESSAGE, "message_sid", "sms_sid"),
                link=_need(item, _URL, "link", "original_link", "url"),
                connections=connections,
                received=received,
                shortened_link=_like(item, _URL, "shortened_link", "short_link"),
                clicked_at=_moment(_text(item, "click_time", "clicked_at")),
                user_agent=_text(item, "user_agent"),
            )
            for item in self._items
        ]


def _fields(item: object) -> Mapping[str, Any]:
    """Give a click's fields by one spelling, out of their envelope if there is one."""
    if isinstance(item, dict) and isinstance(item.get("data"), dict):
        item = item["data"]
    if not isinstance(item, dict):
        raise MalformedWebhookError("the click is not an object")
    return {_HUMP.sub("_", name).lower(): value for name, value in item.items()}


def _text(item: Mapping[str, Any], *names: str) -> str | None:
    for name in names:
        value = item.get(name)
        if value is not None and value != "":
            if not isinstance(value, str) or _HALVES.search(value):
                raise MalformedWebhookError(f"{name} is not a text")
            return value
    return None


def _like(item: Mapping[str, Any], pattern: re.Pattern[str], *names: str) -> str | None:
    value = _text(item, *names)
    if value is not None and not pattern.fullmatch(value):
        raise MalformedWebhookError(f"{names[0]} does not look as Twilio writes it")
    return value


def _need(item: Mapping[str, Any], pattern: re.Pattern[str], *names: str) -> str:
    value = _like(item, pattern, *names)
    if value is None:
        raise MalformedWebhookError(f"{names[0]} is missing")
    return value


def _moment(text: str | None) -> datetime | None:
    """Read a date as Event Streams or the REST API write it."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = parse_date(text)  # type: ignore[assignment]  # ``None`` is what it may be
    if moment is None:
        raise MalformedWebhookError("click_time is not a date")
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _whole(form: Form, name: str) -> int | None:
    value = form.like(_WHOLE, name)
    return None if value is None else int(value) or None


def _uuid(text: str | None) -> UUID | None:
    """Read what our own URL says; another URL says nothing."""
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
