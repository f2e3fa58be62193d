"""What goes over the wire: dates, resources, pages, errors, as in Twilio's OpenAPI description."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twilio_campaigns.simulator.store import Message

API_VERSION: Final = "2010-04-01"

#: Short texts of the codes that this simulator answers with.
MESSAGES: Final = {
    20001: "Invalid parameter value",
    20003: "Authenticate",
    20007: "PageSize must be between 1 and 1000",
    20009: "The message is not in a final state",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    20503: "Service Unavailable",
    21211: "The 'To' number is not a valid phone number",
    21212: "The 'From' number is not a valid sender",
    21408: "Sending to this region is not enabled for the account",
    21481: "Invalid page token",
    21602: "A message needs a body, media or a content template",
    21603: "A 'From' or 'MessagingServiceSid' is required",
    21604: "A 'To' number is required",
    21606: "The 'From' number cannot send messages for this account",
    21609: "The 'StatusCallback' URL is invalid",
    21610: "The recipient has unsubscribed",
    21611: "The queue of the 'From' number is full",
    21612: "The 'To' number cannot be reached from this sender",
    21614: "The 'To' number is not a mobile number",
    21617: "The body has more than 1600 characters",
    21620: "A media URL is invalid",
    21623: "Too many media URLs",
    21654: "ContentVariables need a ContentSid",
    21656: "ContentVariables are not a JSON object of texts",
    30103: "Links could not be shortened",
    30139: "A link in the body cannot be shortened",
    30409: "The message is too far on its way to be canceled",
    35111: "SendAt is missing",
    35114: "SendAt is not a timestamp",
    35115: "SendAt must lie between 5 minutes and 35 days ahead",
    35118: "Scheduling needs a Messaging Service",
}


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


class TwilioError(Exception):
    """An answer with one of Twilio's error codes.

    :param retry_after: seconds that the answer asks to wait.
    """

    def __init__(self, code: int, status: int = 400, retry_after: int | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.retry_after = retry_after

    def body(self) -> dict[str, Any]:
        """Give the error as Twilio writes it."""
        return {
            "code": self.code,
            "message": MESSAGES[self.code],
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }


class NotFoundError(TwilioError):
    """There is no such resource."""

    def __init__(self) -> None:
        super().__init__(20404, 404)


def answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:  # noqa: ANN401
    """Give a JSON answer."""
    body = content.encoded() if isinstance(content, Page) else _ENCODER.encode(content).encode()
    return Response(body, status, dict(headers or {}), "application/json")


def rfc2822(moment: float) -> str:
    """Write a date as the API does, whole seconds in UTC."""
    return _rfc2822(int(moment))


@lru_cache(maxsize=2**17)  # more seconds than a day has: lists of a day are read again and again
def _rfc2822(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def iso(moment: float | None) -> str | None:
    """Write a date of the simulator's own truth, to the microsecond."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="microseconds")


class Page(dict[str, Any]):
    """A page of a list: the envelope, and messages that are text already.

    :param rows: each message as :func:`message_text` gives it.
    :param envelope: everything else.
    """

    def __init__(self, rows: Sequence[str], envelope: Mapping[str, Any]) -> None:
        super().__init__(envelope)
        self._rows = rows

    def encoded(self) -> bytes:
        """Give the page as JSON, once; a megabyte is put together but once."""
        rows = [row.encode() for row in self._rows] or [b""]
        rows[0] = b'{"messages":[' + rows[0]
        rows[-1] += b"]," + _ENCODER.encode(self)[1:].encode()
        return b",".join(rows)


def message_resource(message: Message, account: str, now: float) -> dict[str, Any]:
    """Render a message as it looks at a moment: all twenty properties."""
    return dict(json.loads(message_text(message, account, now)))


def message_text(message: Message, account: str, now: float) -> str:
    """Render a message as JSON.

    Written by hand, because a list has a thousand of them: a dictionary for each and an encoder take three times as
    long, and whoever reads lists would be measured by how fast we write them.
    """
    status, life, sent_at, sid = message.status_at(now), message.life, message.sent_at, message.sid
    uri = f"/{API_VERSION}/Accounts/{account}/Messages/{sid}"
    has_code = life.code is not None and status in {"failed", "undelivered"}
    # A Messaging Service does not know the number of parts before it has picked the sender.
    is_picked = not message.picked_later or status not in {"accepted", "scheduled", "canceled"}
    parts = message.parts if is_picked else 0
    sender = quoted(message.from_) if is_picked and message.from_ is not None else "null"
    price = f'"-{message.price:.5f}"' if message.is_priced_at(now) else "null"
    error = quoted(MESSAGES.get(life.code or 0, "Delivery failed")) if has_code else "null"
    num_media = len(message.media) - len(message.deleted_media) if message.media else 0
    service = "null" if message.service is None else quoted(message.service)
    date_sent = f'"{rfc2822(sent_at)}"' if sent_at <= now else "null"
    return (
        f'{{"body":{quoted(message.body)},"num_segments":"{parts}","direction":"{message.direction}",'
        f'"from":{sender},"to":{quoted(message.to)},"date_updated":"{rfc2822(message.updated_at(now))}",'
        f'"price":{price},"error_message":{error},"uri":"{uri}.json","account_sid":"{account}",'
        f'"num_media":"{num_media}","status":"{status}","messaging_service_sid":{service},"sid":"{sid}",'
        f'"date_sent":{date_sent},"date_created":"{rfc2822(message.created_at)}",'
        f'"error_code":{life.code if has_code else "null"},"price_unit":"USD","api_version":"{API_VERSION}",'
        f'"subresource_uris":{{"media":"{uri}/Media.json","feedback":"{uri}/Feedback.json"}}}}'
    )


def truth_of(message: Message, now: float) -> dict[str, Any]:
    """Give what the simulator knows and Twilio would not tell yet."""
    final = message.life.final
    return {
        "sid": message.sid,
        "to": message.to,
        "from": message.from_,
        "messaging_service_sid": message.service,
        "direction": message.direction,
        "body": message.body,
        "status": message.status_at(now),
        "final_status": "canceled" if message.canceled_at is not None else message.life.final_status,
        "error_code": message.life.code,
        "created_at": iso(message.created_at),
        "sent_at": iso(message.sent_at) if message.life.sent is not None and message.canceled_at is None else None,
        "final_at": iso(message.begins_at + final) if final is not None else None,
        "price": f"{message.price:.5f}",
        "priced_at": iso(message.begins_at + message.life.priced),
        "fault": message.fault,
    }
