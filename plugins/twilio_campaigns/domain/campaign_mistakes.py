"""What is wrong with a campaign's file although each of its values is good: with it nobody would get the message.

The file is refused; the models are not, because a spec that a run was frozen with has to be read back for ever.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from twilio_campaigns.domain.content import MAX_BODY_CHARACTERS
from twilio_campaigns.domain.parts import count_parts
from twilio_campaigns.domain.segment import SqlSegment
from twilio_campaigns.domain.template import always_written, is_template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.domain.yaml_lines import KeyPath

#: Where, what and the remedy, and the line within the value where one is to blame.
Mistake = tuple["KeyPath", str, int | None]

_COMMENTS: Final = re.compile(r"\A(?:\s|\(|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_CHANGES: Final = frozenset(
    {"alter", "create", "delete", "drop", "grant", "insert", "merge", "revoke", "truncate", "update"}
)
_INWARD: Final = (".internal", ".lan", ".local", ".localhost", ".test")


def mistakes_of(campaign: Campaign) -> Iterator[Mistake]:
    """Find what would leave everybody out, or do what no segment should."""
    yield from _of_the_body(campaign)
    for number, url in enumerate(campaign.message.media_urls):
        if not is_template(url) and not _is_public(url):
            what = f"{url!r} leads into a network of your own, where Twilio cannot fetch it. Write a public address."
            yield ("message", "media_urls", number), what, None
    yield from _of_the_query(campaign)


def _of_the_body(campaign: Campaign) -> Iterator[Mistake]:
    if campaign.message.body is None:
        return
    text, path = always_written(campaign.message.body), ("message", "body")
    parts, most = count_parts(text).parts if text else 1, campaign.audience.max_parts
    if len(text) > MAX_BODY_CHARACTERS:
        what = f"the text has {len(text):,} characters for everybody; Twilio takes {MAX_BODY_CHARACTERS:,}. Shorten it."
        yield path, what, None
    elif campaign.action_type() == "sms" and parts > most:
        what = (
            f"the text takes {parts} parts for everybody, and audience.max_parts is {most}: nobody would get it. "
            "Shorten it, or raise max_parts."
        )
        yield path, what, None


def _of_the_query(campaign: Campaign) -> Iterator[Mistake]:
    segment = campaign.segment
    if not isinstance(segment, SqlSegment) or segment.query is None:
        return
    word = re.match(r"\w*", _COMMENTS.sub("", segment.query, count=1))
    if word and word[0].lower() in _CHANGES:
        what = (
            f"the query begins with {word[0]!r}, and a segment only reads. Write a SELECT with one row per recipient."
        )
        yield ("segment", "sql" if segment.sql else "query"), what, None


def _is_public(url: str) -> bool:
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    try:
        return ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith(_INWARD)
