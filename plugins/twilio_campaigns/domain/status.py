"""The statuses of a message: ours, Twilio's, and how one follows from the other.

The vocabulary is fixed by DESIGN.md §3. Ranks form a total order, so that observations may arrive in any
order, any number of times, and the greatest one is what we know.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

# A code that arrives later may turn failed into rejected; evidence of delivery beats both.
_RANK: Final = {
    "enqueued": 0,
    "sent": 1,
    "failed": 2,
    "rejected": 3,
    "delivered": 4,
    "enqueue_failed": 5,
    "incoming_message": 6,
    "clicked": 7,
}
_FINAL: Final = frozenset({"delivered", "failed", "rejected", "enqueue_failed"})


class Status(StrEnum):
    """What became of a message, in the words of the events table.

    :ivar rank: place in the order of knowledge: the greater one of two is what we know. Of sent messages only.
    :ivar is_final: whether no later status is expected, though evidence of delivery may still win.
    """

    rank: int
    is_final: bool

    ENQUEUED = "enqueued"
    ENQUEUE_FAILED = "enqueue_failed"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    INCOMING_MESSAGE = "incoming_message"
    CLICKED = "clicked"

    def __init__(self, word: str) -> None:
        # No properties: they take three times as long, and several are asked for of each message that is read.
        self.rank = _RANK[word]
        self.is_final = word in _FINAL


class SendState(StrEnum):
    """Where a ledger row stands on its way to Twilio."""

    PLANNED = "planned"
    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    ENQUEUE_FAILED = "enqueue_failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    TOO_LATE = "too_late"
    HELD_OUT = "held_out"


class RunState(StrEnum):
    """Where a campaign run stands."""

    FREEZING = "freezing"
    SENDING = "sending"
    PAUSED = "paused"
    STOPPED = "stopped"
    TOO_LATE = "too_late"
    DONE = "done"


class Source(StrEnum):
    """From where an observation came."""

    SEND = "send"
    LIST = "list"
    FETCH = "fetch"
    WEBHOOK = "webhook"


#: Twilio's status words, in the order of a message's life; the greater index is what we know.
#: (docs: "Outbound Message Status in Status Callbacks", merge rank of TWILIO_FACTS §3.1.)
PROVIDER_ORDER: Final = (
    "scheduled",
    "accepted",
    "queued",
    "sending",
    "sent",
    "partially_delivered",
    "canceled",
    "failed",
    "undelivered",
    "delivered",
    "read",
)
_PROVIDER_RANK: Final = {word: rank for rank, word in enumerate(PROVIDER_ORDER)}

#: Our status for each of them. One that did not arrive was refused rather than lost where its error code says so.
_STATUS_OF: Final = {
    "scheduled": Status.ENQUEUED,
    "accepted": Status.ENQUEUED,
    "queued": Status.ENQUEUED,
    "sending": Status.ENQUEUED,
    "sent": Status.SENT,
    "partially_delivered": Status.SENT,
    "canceled": Status.REJECTED,
    "failed": Status.FAILED,
    "undelivered": Status.FAILED,
    "delivered": Status.DELIVERED,
    "read": Status.DELIVERED,
}
#: Provider words that say that the message had left Twilio, so that ``sent`` is implied.
IMPLIES_SENT: Final = frozenset({"sent", "partially_delivered", "delivered", "read", "undelivered"})


def provider_rank(provider_status: str) -> int:
    """Place of Twilio's word in a message's life; -1 for a word that we have never seen."""
    return _PROVIDER_RANK.get(provider_status, -1)


def later_word(known: str | None, observed: str) -> str:
    """Give the one of two of Twilio's words that comes later in a message's life; nothing may be known yet."""
    if known is None or _PROVIDER_RANK.get(known, -1) < _PROVIDER_RANK.get(observed, -1):
        return observed
    return known


def status_of(provider_status: str, *, refused: bool) -> Status | None:
    """Our status for Twilio's word about an outbound message.

    :param provider_status: Twilio's ``status``.
    :param refused: whether the error code says that Twilio, a carrier or a policy refused the message.
    :return: ``None`` for a word that we have never seen: it changes nothing, and the caller logs it.
    """
    status = _STATUS_OF.get(provider_status)
    return Status.REJECTED if refused and status is Status.FAILED else status
