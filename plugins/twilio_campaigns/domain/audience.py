"""The rules that turn a row of a segment into a recipient, or into the reason why it is none.

Reasons are looked for in this order, and the first one counts: customer id, number, mobile, template, media,
length. What depends on other rows (``duplicate_number``, ``suppressed``, ``recently_texted``) is found by the
warehouse afterwards.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.content import MAX_BODY_CHARACTERS, is_web_url
from twilio_campaigns.domain.parts import count_parts
from twilio_campaigns.domain.phone import InvalidNumberError, Phone, parse_phone
from twilio_campaigns.domain.template import Content, MissingVariableError, Renderer, TemplateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twilio_campaigns.domain.campaign import Campaign

logger = logging.getLogger(__name__)


class SkipReason(StrEnum):
    """Why a row of the segment is not texted, as the ledger writes it."""

    MISSING_CUSTOMER_ID = "missing_customer_id"
    INVALID_NUMBER = "invalid_number"
    NOT_MOBILE = "not_mobile"
    MISSING_VARIABLE = "missing_variable"
    TEMPLATE_ERROR = "template_error"
    EMPTY_BODY = "empty_body"
    INVALID_MEDIA_URL = "invalid_media_url"
    BODY_TOO_LONG = "body_too_long"
    # Found by the warehouse:
    DUPLICATE_NUMBER = "duplicate_number"
    SUPPRESSED = "suppressed"
    RECENTLY_TEXTED = "recently_texted"


_EXPLAINED: Final[dict[str, str]] = {
    SkipReason.MISSING_CUSTOMER_ID: "The segment gives no id of the person. Leave such rows out of it, or fill them.",
    SkipReason.INVALID_NUMBER: "No numbering plan has this number. Correct it where it is kept, or set default_region.",
    SkipReason.NOT_MOBILE: "The numbering plan says that it is no mobile number, and the campaign texts mobiles only.",
    SkipReason.MISSING_VARIABLE: "The text names a column that is empty for this person. Fill it, or give a default in "
    "the template.",
    SkipReason.TEMPLATE_ERROR: "The text could not be rendered for this person; the log of prepare_audience says why.",
    SkipReason.EMPTY_BODY: "Nothing was left of the text for this person.",
    SkipReason.INVALID_MEDIA_URL: "A media address is no public http(s) address.",
    SkipReason.BODY_TOO_LONG: "The text is longer than Twilio takes, or than audience.max_parts. Shorten it, or raise "
    "max_parts.",
    SkipReason.DUPLICATE_NUMBER: "Another row of the segment has the same number; the lowest customer_id is texted.",
    SkipReason.SUPPRESSED: "The person opted out, or the number is known to be bad; see table suppressions.",
    SkipReason.RECENTLY_TEXTED: "Another run of the campaign has texted them within repeat_after, or is about to.",
}


def explain_exclusion(reason: str) -> str:
    """Say in a sentence why a row is not texted, and what to do; empty for a reason that we do not know."""
    return _EXPLAINED.get(reason, "")


@dataclass(frozen=True, slots=True)
class Recipient:
    """One row of a segment after the rules.

    :param customer_id: as the segment has it; empty where it has none.
    :param input_number: the number as the segment has it; empty where it has none.
    :param to_number: E.164; ``None`` where the input is no number.
    :param country: ISO 3166 code of the number.
    :param time_zone: IANA zone of the number, where it tells.
    :param estimated_parts: text segments by our own count, 1 for an MMS or a Content template; 0 where
        nothing was rendered.
    :param skip_reason: why this row is not texted; ``None``: it is.
    """

    customer_id: str
    input_number: str
    to_number: str | None = None
    country: str | None = None
    time_zone: str | None = None
    body: str | None = None
    media_urls: tuple[str, ...] = ()
    content_sid: str | None = None
    content_variables: str | None = None
    estimated_parts: int = 0
    skip_reason: SkipReason | None = None


class RecipientReader:
    """Applies a campaign's rules to row after row; made once per campaign run.

    :param campaign: whose segment is read.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._rules = campaign.audience
        self._customer_id_column = campaign.segment.customer_id_column
        self._phone_column = campaign.segment.phone_column
        self._is_mms = campaign.action_type() == "mms"
        self._renderer = Renderer(campaign.message, campaign.campaign_id)
        self._explained: set[str] = set()

    def read(self, row: Mapping[str, object]) -> Recipient:
        """Turn a row into a recipient. Whatever is wrong with the row becomes its ``skip_reason``.

        :param row: values of the segment by column, as :func:`twilio_campaigns.hooks.segment.read_segment`
            gives them.
        """
        recipient = Recipient(
            customer_id=as_text(row.get(self._customer_id_column)),
            input_number=as_text(row.get(self._phone_column)),
        )
        if not recipient.customer_id:
            return replace(recipient, skip_reason=SkipReason.MISSING_CUSTOMER_ID)
        try:
            phone = parse_phone(recipient.input_number, self._rules.default_region)
        except InvalidNumberError:
            return replace(recipient, skip_reason=SkipReason.INVALID_NUMBER)
        return self._with_content(_with_phone(recipient, phone), row, phone)

    def _with_content(self, recipient: Recipient, row: Mapping[str, object], phone: Phone) -> Recipient:
        if self._rules.mobile_only and not phone.mobile:
            return replace(recipient, skip_reason=SkipReason.NOT_MOBILE)
        try:
            content = self._renderer.render(row)
        except TemplateError as error:
            return replace(recipient, skip_reason=self._explain(error))
        return self._judge(recipient, _storable_content(content))

    def _judge(self, recipient: Recipient, content: Content) -> Recipient:
        parts = self._parts(content)
        return replace(
            recipient,
            body=content.body,
            media_urls=content.media_urls,
            content_sid=content.content_sid,
            content_variables=content.content_variables,
            estimated_parts=parts,
            skip_reason=self._refuse(content, parts),
        )

    def _refuse(self, content: Content, parts: int) -> SkipReason | None:
        if content.body is not None and _shows_nothing(content.body):
            return SkipReason.EMPTY_BODY
        if not all(is_web_url(url) for url in content.media_urls):
            return SkipReason.INVALID_MEDIA_URL
        if len(content.body or "") > MAX_BODY_CHARACTERS or parts > self._rules.max_parts:
            return SkipReason.BODY_TOO_LONG
        return None

    def _parts(self, content: Content) -> int:
        return 1 if self._is_mms or content.body is None else count_parts(content.body).parts

    def _explain(self, error: TemplateError) -> SkipReason:
        # Each cause once: it is the same for many rows, and the row itself is nobody's business.
        if str(error) not in self._explained:
            self._explained.add(str(error))
            logger.warning("Rows are left out because of the message: %s", error)
        missing = isinstance(error, MissingVariableError)
        return SkipReason.MISSING_VARIABLE if missing else SkipReason.TEMPLATE_ERROR


def _shows_nothing(body: str) -> bool:
    """Whether there is nothing to see: white space, and signs of no width."""
    return not any(character.isprintable() and not character.isspace() for character in body)


def _with_phone(recipient: Recipient, phone: Phone) -> Recipient:
    return replace(recipient, to_number=phone.e164, country=phone.country, time_zone=phone.time_zone)


def _storable_content(content: Content) -> Content:
    return replace(
        content,
        body=None if content.body is None else storable(content.body),
        media_urls=tuple(map(storable, content.media_urls)),
        content_variables=None if content.content_variables is None else storable(content.content_variables),
    )


def as_text(value: object) -> str:
    """Write an id or a number as text: 17, 17.0 and ``Decimal("17.00")`` are all ``17``; ``None`` is empty.

    :param value: a value of a segment's row. Analytical tools write integers as floats where the column has a
        gap.
    """
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    try:
        if isinstance(value, float | Decimal) and value == int(value):
            value = int(value)
        return storable(str(value)).strip()
    except (ArithmeticError, ValueError):  # infinite, not a number, or longer than Python writes
        return ""


def storable(text: str) -> str:
    """Take out what a PostgreSQL text cannot hold: NUL, and halves of surrogate pairs."""
    if "\0" in text:
        text = text.replace("\0", "")
    return text if text.isascii() else text.encode("utf-8", "ignore").decode("utf-8")
