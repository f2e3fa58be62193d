"""The media of a message: SIDs that follow from the message's own, resources, and which of them are left."""

from __future__ import annotations

from mimetypes import guess_type
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from twilio_campaigns.simulator.answers import API_VERSION, NotFoundError, rfc2822

if TYPE_CHECKING:
    from twilio_campaigns.simulator.store import Message

#: What a medium is whose address does not say.
_USUAL: Final = "image/jpeg"


def media_sid_of(message: Message, number: int) -> str:
    """Give the SID of a message's medium."""
    return f"ME{number:02x}{message.sid[4:]}"


def content_type(url: str) -> str:
    """Give what a medium is, by the end of its address."""
    return guess_type(urlsplit(url).path)[0] or _USUAL


def media_path(message: Message, number: int, account: str) -> str:
    """Give where a medium is; with `.json` behind it, what it is."""
    return f"/{API_VERSION}/Accounts/{account}/Messages/{message.sid}/Media/{media_sid_of(message, number)}"


def media_resource(message: Message, number: int, account: str) -> dict[str, Any]:
    """Render a medium."""
    return {
        "sid": media_sid_of(message, number),
        "account_sid": account,
        "parent_sid": message.sid,
        "content_type": content_type(message.media[number]),
        "date_created": rfc2822(message.created_at),
        "date_updated": rfc2822(message.created_at),
        "uri": f"{media_path(message, number, account)}.json",
    }


def media_page(message: Message, account: str, path: str) -> dict[str, Any]:
    """Render the list of a message's media."""
    items = [media_resource(message, number, account) for number in _left(message)]
    return {
        "media_list": items,
        "first_page_uri": f"{path}?PageSize=50&Page=0",
        "next_page_uri": None,
        "previous_page_uri": None,
        "page": 0,
        "page_size": 50,
        "start": 0,
        "end": max(0, len(items) - 1),
        "uri": f"{path}?PageSize=50&Page=0",
    }


def media_number(message: Message, media_sid: str) -> int:
    """Find a medium by its SID.

    :raises NotFoundError: if there is none, or none any more.
    """
    for number in _left(message):
        if media_sid_of(message, number) == media_sid:
            return number
    raise NotFoundError


def _left(message: Message) -> list[int]:
    return [number for number in range(len(message.media)) if number not in message.deleted_media]
