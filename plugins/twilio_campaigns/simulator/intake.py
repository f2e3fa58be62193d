"""Taking a create request in: what Twilio refuses at once, and what becomes of the rest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from twilio_campaigns.domain.opt_out import Keyword, OptOutWords
from twilio_campaigns.domain.parts import count_parts
from twilio_campaigns.domain.phone import InvalidNumberError, Phone, parse_phone
from twilio_campaigns.simulator.answers import TwilioError
from twilio_campaigns.simulator.life import Life, draw_life, has_opted_out
from twilio_campaigns.simulator.links import BadLinkError
from twilio_campaigns.simulator.overrides import is_url
from twilio_campaigns.simulator.store import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twilio_campaigns.simulator.config import SimulatorConfig
    from twilio_campaigns.simulator.store import Store

#: Magic numbers of Twilio's test credentials, as sender and as recipient.
MAGIC_FROM: Final = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
MAGIC_TO: Final = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
MAX_BODY: Final = 1600
MAX_MEDIA: Final = 10
MIN_AHEAD: Final = 300
MAX_AHEAD: Final = 35 * 86400
#: Twilio's code for a recipient who has written STOP.
OPTED_OUT: Final = 21610
#: Links were to be shortened: there is no domain for it (30103 says no more than "application failure"; that Twilio
#: means this case, too, is unverified), or one of them is badly encoded.
NOT_SHORTENED: Final = 30103
BAD_LINK: Final = 30139
MAX_VALIDITY: Final = 36000
_SENDER: Final = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11}")
_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}")
_CONTENT: Final = re.compile(r"HX[0-9a-fA-F]{32}")
_DIGITS: Final = re.compile(r"[0-9]{1,5}")
_POOLED: Final = "MG"
#: Numbers of a Messaging Service's pool are picked by the recipient, so that a person hears from one sender.
POOL: Final = tuple(f"+1202555{tail:04}" for tail in range(100, 110))


class Consents:
    """Who has written STOP or START, and to which number; Twilio's own handling of these words, without an answer."""

    def __init__(self) -> None:
        self._words = OptOutWords()
        self._last: dict[tuple[str, str], bool] = {}

    def hear(self, person: str, number: str, body: str) -> None:
        """Take note of what somebody writes to one of our numbers."""
        meaning = self._words.meaning_of(body)
        if meaning in {Keyword.STOP, Keyword.START}:
            # A Messaging Service is one sender, whichever of its numbers somebody writes to.
            for sender in (number, _POOLED) if number in POOL else (number,):
                self._last[person, sender] = meaning is Keyword.START

    def allow(self, request: Request) -> bool | None:
        """Whether this person wants texts from this sender; `None` where they have said nothing."""
        return self._last.get((request.to, _POOLED if request.service else request.from_))


@dataclass(frozen=True, slots=True)
class Request:
    """A create request that Twilio would take.

    :param picked_later: whether a Messaging Service picks the sender.
    :param fails_with: with a Messaging Service most refusals come later, as a failed message.
    :param status_callback: URL that is told of every change of its status.
    :param shorten: whether links in the body are to be shortened.
    """

    to: str
    country: str
    from_: str
    service: str | None
    picked_later: bool
    body: str
    media: tuple[str, ...]
    send_at: float | None
    fails_with: int | None
    status_callback: str | None
    shorten: bool


def read_request(form: Mapping[str, list[str]], now: float) -> Request:
    """Check a create request.

    :raises TwilioError: what Twilio refuses at once.
    """
    to, country, refusal = _recipient(_one(form, "To"))
    sender, service = _sender(form)
    if refusal is not None and service is None:
        raise TwilioError(refusal)
    body, media = _content(form)
    return Request(
        to=to,
        country=country,
        from_=sender or POOL[hash_of(to) % len(POOL)],
        service=service,
        picked_later=not sender,
        body=body,
        media=media,
        send_at=_send_at(form, service, now),
        fails_with=refusal,
        status_callback=_status_callback(form),
        shorten=_shorten(form, service),
    )


def hash_of(text: str) -> int:
    """Give a number that is the same in every process, unlike `hash`."""
    return sum(ord(character) * (place + 1) for place, character in enumerate(text))


def create(
    store: Store,
    config: SimulatorConfig,
    request: Request,
    now: float,
    consents: Consents,
    shorten: Callable[[str, str, float], str] | None = None,
) -> Message:
    """Make the message and put it into the store.

    :param consents: what people have written; the others have opted out by a share of the crowd.
    :param shorten: makes links short in the text of a message, given its SID, text and creation; nothing without a
        domain.
    :raises TwilioError: where the recipient wants no texts and the sender is a number.
    """
    fails_with = request.fails_with
    allowed = consents.allow(request)
    if allowed is None:
        allowed = not has_opted_out(config.seed, request.to, config.opted_out_share)
    if fails_with is None and not allowed:
        if request.service is None:
            raise TwilioError(OPTED_OUT)
        fails_with = OPTED_OUT
    sid, body = store.next_sid("MM" if request.media else "SM"), request.body
    if request.shorten and fails_with is None:
        try:
            body, fails_with = (shorten(sid, body, now), None) if shorten else (body, NOT_SHORTENED)
        except BadLinkError:
            fails_with = BAD_LINK
    parts = 1 if request.media else count_parts(body).parts
    life = draw_life(
        config.seed,
        request.to,
        request.body,
        store.next_ordinal(request.to),
        request.country,
        parts,
        mms=bool(request.media),
    )
    if fails_with is not None:
        life = Life(0.1, 0.3, None, 1.0, "failed", fails_with, 0.001, 60.0)
    message = Message(
        sid=sid,
        to=request.to,
        from_=request.from_,
        service=request.service,
        body=body,
        media=request.media,
        parts=parts,
        direction="outbound-api",
        created_at=now,
        begins_at=request.send_at or now,
        life=life.compressed(config.life_speed),
        picked_later=request.picked_later,
        status_callback=request.status_callback,
    )
    store.add(message)
    return message


def _one(form: Mapping[str, list[str]], name: str) -> str | None:
    values = form.get(name)
    return values[-1] if values else None


def _recipient(to: str | None) -> tuple[str, str, int | None]:
    if not to:
        raise TwilioError(21604)
    if to in MAGIC_TO:
        if MAGIC_TO[to] == 21211:  # noqa: PLR2004 - Twilio's code
            raise TwilioError(21211)
        return to, "US", MAGIC_TO[to]
    try:
        phone = _parsed(to)
    except InvalidNumberError:
        # Twilio's own magic numbers lie in no numbering plan.
        if to.startswith("+1500555") and to[1:].isdigit():
            return to, "US", None
        raise TwilioError(21211) from None
    return phone.e164, phone.country, None if phone.mobile else 21614


@lru_cache(maxsize=2**17)
def _parsed(to: str) -> Phone:
    """Read a number, which takes longer than all else; the same people are texted again."""
    return parse_phone(to, "US")


def _sender(form: Mapping[str, list[str]]) -> tuple[str | None, str | None]:
    sender, service = _one(form, "From"), _one(form, "MessagingServiceSid")
    if not sender and not service:
        raise TwilioError(21603)
    if service and not _SERVICE.fullmatch(service):
        raise TwilioError(20404, 404)
    if sender and not _SENDER.fullmatch(sender):
        raise TwilioError(21212)
    if sender in MAGIC_FROM:
        raise TwilioError(MAGIC_FROM[sender])
    return sender, service


def _content(form: Mapping[str, list[str]]) -> tuple[str, tuple[str, ...]]:
    body, media, content = _one(form, "Body") or "", tuple(form.get("MediaUrl", ())), _one(form, "ContentSid")
    variables = _one(form, "ContentVariables")
    if variables and not content:
        raise TwilioError(21654)
    if content:
        if not _CONTENT.fullmatch(content):
            raise TwilioError(20404, 404)
        body = f"{content} {_variables(variables)}".strip()
    if not body and not media:
        raise TwilioError(21602)
    if len(body) > MAX_BODY:
        raise TwilioError(21617)
    if len(media) > MAX_MEDIA:
        raise TwilioError(21623)
    if any(urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).netloc for url in media):
        raise TwilioError(21620)
    return body, media


def _variables(text: str | None) -> str:
    if not text:
        return ""
    try:
        values = json.loads(text)
    except ValueError:
        raise TwilioError(21656) from None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise TwilioError(21656)
    return ", ".join(f"{name}={value}" for name, value in values.items())


def _status_callback(form: Mapping[str, list[str]]) -> str | None:
    url = _one(form, "StatusCallback")
    if url and not is_url(url):
        raise TwilioError(21609)
    return url or None


def _shorten(form: Mapping[str, list[str]], service: str | None) -> bool:
    """Whether links are to be shortened, which is a Messaging Service's work.

    With which code Twilio refuses it without one is unverified; this one says what is missing.
    """
    wanted = (_one(form, "ShortenUrls") or "").lower() == "true"
    if wanted and service is None:
        raise TwilioError(21603)
    return wanted


def _send_at(form: Mapping[str, list[str]], service: str | None, now: float) -> float | None:
    validity = _one(form, "ValidityPeriod")
    if validity is not None and not (_DIGITS.fullmatch(validity) and 1 <= int(validity) <= MAX_VALIDITY):
        raise TwilioError(20001)
    if _one(form, "ScheduleType") is None:
        return None
    if service is None:
        raise TwilioError(35118)
    text = _one(form, "SendAt")
    if not text:
        raise TwilioError(35111)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise TwilioError(35114) from None
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not MIN_AHEAD < seconds - now <= MAX_AHEAD:
        raise TwilioError(35115)
    return seconds
