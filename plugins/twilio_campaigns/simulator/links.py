"""Shortened links: ten characters on the account's own domain, remembered for 90 days, and the event of a click.

What Twilio posts for a click is not documented field by field: it is taken to be JSON with the fields of the event
`com.twilio.daptbt.link-shortening.link-clicked`, version 3, without the envelope of Event Streams, signed like every
JSON webhook. Unverified.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from twilio_campaigns.simulator.store import Message

#: How long Twilio knows a link, in seconds.
LINK_LIFE: Final = 90 * 86400.0
CODE: Final = re.compile(r"[0-9A-Za-z]{10}")
_LINK: Final = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
#: What ends a sentence rather than a link.
_TRAILING: Final = ".,;:!?)]}'"
_BADLY_ENCODED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})|[^\x21-\x7e]")
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH: Final = 10


class BadLinkError(ValueError):
    """A link in a text cannot be shortened: characters in it are not encoded; 30139 with Twilio."""


@dataclass(frozen=True, slots=True)
class Link:
    """A shortened link of one message.

    :param code: the ten characters.
    :param target: where it leads.
    :param shortened: what stands in the text instead.
    :param created_at: seconds since 1970 on the simulator's clock.
    """

    message_sid: str
    code: str
    target: str
    shortened: str
    created_at: float


class Links:
    """The shortened links of the account.

    :param seed: codes follow from it.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._by_code: dict[str, Link] = {}
        self._by_message: dict[str, list[Link]] = {}

    def shorten(self, base: str, message_sid: str, body: str, now: float) -> str:
        """Give a text with short links, one code for each link of each message.

        :param base: what short links begin with.
        :raises BadLinkError: for a link that Twilio would not shorten.
        """
        found: list[Link] = []

        def replace(match: re.Match[str]) -> str:
            target = match[0].rstrip(_TRAILING)
            if _BADLY_ENCODED.search(target):
                raise BadLinkError
            code = self._code(message_sid, len(found))
            found.append(Link(message_sid, code, target, f"{base}/{code}", now))
            return found[-1].shortened + match[0][len(target) :]

        text = _LINK.sub(replace, body)
        self._by_message[message_sid] = found
        self._by_code.update((link.code, link) for link in found)
        return text

    def find(self, code: str, now: float) -> Link | None:
        """Find a link by its code; ``None`` for one that is unknown or too old."""
        link = self._by_code.get(code)
        return link if link is not None and now - link.created_at <= LINK_LIFE else None

    def of(self, message_sid: str) -> list[Link]:
        """Give a message's links in the order of its text."""
        return self._by_message.get(message_sid, [])

    def _code(self, message_sid: str, place: int) -> str:
        digest = int.from_bytes(blake2b(f"{self._seed}|{message_sid}|{place}".encode(), digest_size=16).digest())
        return "".join(_ALPHABET[digest // 62**position % 62] for position in range(_LENGTH))


def click_event(link: Link, message: Message, account_sid: str, user_agent: str, now: float) -> dict[str, str]:
    """Give what is told of a click."""
    return {
        "message_sid": message.sid,
        "account_sid": account_sid,
        "messaging_service_sid": message.service or "",
        "to": message.to,
        "from": message.from_ or "",
        "link": link.target,
        "shortened_link": link.shortened,
        "link_create_time": _iso(link.created_at),
        "click_time": _iso(now),
        "user_agent": user_agent,
    }


def _iso(moment: float) -> str:
    """Write a date as Event Streams do, to the millisecond."""
    return f"{datetime.fromtimestamp(moment, UTC).isoformat(timespec='milliseconds')[:-6]}Z"
