"""Lists of messages: filters from the query, pages that neither skip nor repeat a row."""

from __future__ import annotations

import base64
import json
import re
import time
from calendar import timegm
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from twilio_campaigns.simulator.answers import Page, TwilioError, message_text
from twilio_campaigns.simulator.store import Filter, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twilio_campaigns.simulator.store import Store

DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 1000
DAY: Final = 86400
_DIGITS: Final = re.compile(r"[0-9]{1,18}")


def read_filter(query: Mapping[str, str], as_of: float) -> Filter:
    """Read `To`, `From`, `DateSent`, `DateSent<` and `DateSent>`; the limits are inclusive.

    A date without a time means the whole UTC day on either side; `DateSent` means its whole day even with a time,
    which Twilio's SDK always sends.

    :raises TwilioError: 20001 for a date that cannot be read.
    """
    midnight = _midnight(query.get("DateSent"))
    after, before = _moment(query.get("DateSent>"), end=False), _moment(query.get("DateSent<"), end=True)
    return Filter(
        as_of=as_of,
        to=query.get("To") or None,
        from_=query.get("From") or None,
        sent_after=midnight if after is None else after,
        sent_before=midnight + DAY - 1 if before is None and midnight is not None else before,
    )


def list_page(store: Store, query: Mapping[str, str], account: str, path: str, now: float) -> Page:
    """Give one page with its envelope.

    :raises TwilioError: for a page size or page token that Twilio would refuse.
    """
    began, size = time.monotonic(), _page_size(query.get("PageSize"))
    number, token = _number(query.get("Page", "0")), query.get("PageToken")
    as_of, place = _read_token(token) if token else (now, None)
    messages, last = store.page(read_filter(query, as_of), place, size)
    start = number * size
    page = Page(
        [message_text(message, account, now) for message in messages],
        {
            "first_page_uri": _uri(path, query, size, 0, None),
            "next_page_uri": _uri(path, query, size, number + 1, _token(as_of, last)) if last else None,
            "previous_page_uri": None,
            "page": number,
            "page_size": size,
            "start": start,
            "end": start + max(0, len(messages) - 1),
            "uri": _uri(path, query, size, number, token),
        },
    )
    store.reading.note(began, len(messages))
    return page


def _moment(text: str | None, *, end: bool) -> float | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        seconds = float(timegm(moment.astimezone(UTC).timetuple() if moment.tzinfo else moment.timetuple()))
    except (ValueError, OverflowError):
        raise TwilioError(20001) from None
    is_date = len(text) <= len("2026-01-01")
    return seconds + DAY - 1 if end and is_date else seconds


def _midnight(text: str | None) -> float | None:
    moment = _moment(text, end=False)
    return None if moment is None else moment // DAY * DAY


def _page_size(text: str | None) -> int:
    size = _number(text) if text is not None else DEFAULT_PAGE
    if not 1 <= size <= MAX_PAGE:
        raise TwilioError(20007)
    return size


def _number(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise TwilioError(20001)
    return int(text)


def _uri(path: str, query: Mapping[str, str], size: int, number: int, token: str | None) -> str:
    kept = {name: value for name, value in query.items() if name not in {"PageSize", "Page", "PageToken"}}
    paging = {"PageSize": str(size), "Page": str(number)}
    if token:
        paging["PageToken"] = token
    return f"{path}?{urlencode({**kept, **paging})}"


def _token(as_of: float, place: Place) -> str:
    return "PA" + base64.urlsafe_b64encode(json.dumps([as_of, *place]).encode()).decode().rstrip("=")


def _read_token(token: str) -> tuple[float, Place]:
    try:
        padded = token.removeprefix("PA") + "=" * (-(len(token) - 2) % 4)
        as_of, kind, moment, sid = json.loads(base64.urlsafe_b64decode(padded))
        return float(as_of), (int(kind), float(moment), str(sid))
    except (ValueError, TypeError, OverflowError):
        raise TwilioError(21481) from None
