"""Twilio as a list in memory, on a clock that is moved: what it created for whom, and when its lists show it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

from builders import observation
from twilio_campaigns.domain.status import Source, Status
from twilio_campaigns.gateway.resource import MessagePage

if TYPE_CHECKING:
    from uuid import UUID

LEAVES_AFTER, ENDS_AFTER = timedelta(seconds=2), timedelta(seconds=10)


@dataclass(frozen=True)
class Word:
    """One of Twilio's words with an error code, and what it proves: written down here, not asked of the package."""

    status: str
    code: int | None
    proves: tuple[Status, ...]


WORDS = (
    Word("queued", None, (Status.ENQUEUED,)),
    Word("sent", None, (Status.ENQUEUED, Status.SENT)),
    Word("delivered", None, (Status.ENQUEUED, Status.SENT, Status.DELIVERED)),
    Word("undelivered", 30003, (Status.ENQUEUED, Status.SENT, Status.FAILED)),
    Word("undelivered", 30007, (Status.ENQUEUED, Status.SENT, Status.REJECTED)),
    Word("failed", 30007, (Status.ENQUEUED, Status.REJECTED)),
    Word("a_word_of_tomorrow", None, ()),
)


@dataclass
class Clock:
    """Time that is moved: `at` says when, on the time line that nobody moves, something of the database was."""

    moved: timedelta = timedelta(0)

    def now(self):
        return datetime.now(UTC) + self.moved

    def at(self, database_time):
        return database_time + self.moved

    def in_database(self, moment):
        return moment - self.moved


@dataclass(frozen=True)
class Created:
    """One message at Twilio.

    :param key: the ledger's row whose post made it; `None`: somebody else's message.
    :param listed_after: how old it is before lists show it.
    """

    sid: str
    to: str
    shown: str
    service: str | None
    from_number: str | None
    created_at: datetime
    listed_after: timedelta = timedelta(0)
    key: UUID | None = None


@dataclass
class TwilioInMemory:
    """The account, and a gateway as far as look-ups use one.

    :param list_lag: the connection's setting, which no message exceeds.
    :param hidden_from: what was created from here on is in no list: lists are later than the setting.
    """

    clock: Clock
    list_lag: timedelta
    messages: list[Created] = field(default_factory=list)
    hidden_from: datetime | None = None

    max_connections = 100

    @property
    def settings(self):
        return SimpleNamespace(list_lag_seconds=self.list_lag.total_seconds())

    def create(self, **values):
        self.messages.append(Created(f"SM{len(self.messages):032x}", **values))
        return self.messages[-1]

    def by_sid(self):
        return {message.sid: message for message in self.messages}

    def tell(self, message, word=WORDS[0], source=Source.LIST):
        """Say of a message what one source would; the time line is the database's."""
        is_sent, created = Status.SENT in word.proves, self.clock.in_database(message.created_at)
        is_webhook = source is Source.WEBHOOK
        return observation(
            message.sid,
            word.status,
            at=created,
            sent_at=created + LEAVES_AFTER if is_sent and not is_webhook else None,
            updated_at=datetime.now(UTC) if is_webhook else created + ENDS_AFTER,
            error_code=word.code,
            source=source,
            to_number=message.to,
            body=message.shown,
            messaging_service_sid=message.service,
            from_number=message.from_number,
        )

    def listed(self, number):
        now = self.clock.now()
        return [
            self.tell(message)
            for message in self.messages
            if message.to == number
            and message.created_at + message.listed_after <= now
            and (self.hidden_from is None or message.created_at < self.hidden_from)
        ]

    async def list(self, *, to):
        yield MessagePage(self.listed(to), None)


def facts_of(told):
    """Give each status that an observation proves, with its moment and code."""
    word = next(word for word in WORDS if (word.status, word.code) == (told.provider_status, told.error_code))
    facts = {}
    for status in word.proves:
        at = {Status.ENQUEUED: told.created_at, Status.SENT: told.sent_at or told.updated_at}.get(status)
        facts[status] = (at or told.updated_at, told.error_code if at is None else None)
    return facts
