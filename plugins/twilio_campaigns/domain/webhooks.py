"""What Twilio tells by a webhook, once it is known to come from Twilio: a status, a reply, a click. Pure.

None of the three has a date of its own except a click, so each keeps the moment of its receipt; the warehouse, whose
clock dates everything, makes a date of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid5

from msgspec import Struct

from twilio_campaigns.domain.message import NAMESPACE

if TYPE_CHECKING:
    from datetime import datetime

    from twilio_campaigns.domain.opt_out import Keyword

#: What Twilio tries again, and how often, within the 15 s that it takes for all tries together
#: (docs: "Webhooks: Connection Overrides"). Without it Twilio would not come back after a 503.
RETRIES: Final = "#rc=5&rp=5xx,ct,rt"
KEY: Final = "message_key"
CLAIM: Final = "claim_id"


class StatusCallbackUrls:
    """Builds the URL to which Twilio reports the way of one message.

    It names our row and the claim under which it was posted, so that a report gives the SID to a message whose answer
    got lost. Twilio signs the whole URL: nobody else can name a row.

    :param public_url: where Twilio reaches our webhooks, without a slash at its end.
    """

    def __init__(self, public_url: str) -> None:
        self._begin = f"{public_url}/status?{KEY}="
        self._between = f"&{CLAIM}="

    def url(self, key: UUID, claim_id: UUID) -> str:
        """Give the URL of one message; called once per message sent."""
        return f"{self._begin}{key}{self._between}{claim_id}{RETRIES}"


class StatusCallback(Struct, frozen=True, gc=False):
    """Twilio says that an outbound message has a status.

    :param connections: Airflow connections of the account that signed it.
    :param received: when it came, in seconds of the clock that the warehouse reads once more when it writes.
    :param key: our row, where the URL names it.
    :param claim_id: the claim under which it was posted.
    """

    sid: str
    provider_status: str
    connections: tuple[str, ...]
    received: float
    error_code: int | None = None
    from_number: str | None = None
    to_number: str | None = None
    messaging_service_sid: str | None = None
    key: UUID | None = None
    claim_id: UUID | None = None


class InboundMessage(Struct, frozen=True, gc=False):
    """Somebody wrote to one of the account's numbers.

    :param keyword: what Twilio took the text for (`OptOutType`); it knows the words of Advanced Opt-Out, we may not.
    :param media_urls: pictures and the like, at Twilio.
    :param connections: as for :class:`StatusCallback`, and so is `received`.
    """

    sid: str
    provider_status: str
    from_number: str
    to_number: str
    connections: tuple[str, ...]
    received: float
    body: str | None = None
    messaging_service_sid: str | None = None
    parts: int | None = None
    keyword: Keyword | None = None
    media_urls: tuple[str, ...] = ()


class ToldByTwilio(Struct, frozen=True, gc=False):
    """What only a webhook tells of a reply, and no list.

    :param keyword: as for :class:`InboundMessage`; it goes before our own reading of the words.
    :param media_urls: as there.
    """

    keyword: Keyword | None = None
    media_urls: tuple[str, ...] = ()


class Click(Struct, frozen=True, gc=False):
    """Somebody, or something, opened a shortened link.

    :param link: where it leads.
    :param shortened_link: what stood in the text.
    :param clicked_at: Twilio's `click_time`; ``None`` where it says none.
    :param connections: as for :class:`StatusCallback`, and so is `received`.
    """

    sid: str
    link: str
    connections: tuple[str, ...]
    received: float
    shortened_link: str | None = None
    clicked_at: datetime | None = None
    user_agent: str | None = None

    @property
    def event_id(self) -> UUID:
        """Id of the one event that says that this link of this message was clicked."""
        return uuid5(NAMESPACE, f"{self.sid}|clicked|{self.link}")

    @property
    def click_id(self) -> UUID:
        """Id of this click; a repeated report has the same one."""
        return uuid5(NAMESPACE, f"{self.sid}|click|{self.clicked_at}|{self.user_agent}|{self.link}")
