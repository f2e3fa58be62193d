"""The statuses of a message: ours, Twilio's, and how one follows from the other.

The vocabulary is fixed by DESIGN.md §3. Ranks form a total order, so that observations may arrive in any
order, any number of times, and the greatest one is what we know.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """What became of a message, in the words of the events table."""

    ENQUEUED = "enqueued"
    ENQUEUE_FAILED = "enqueue_failed"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    INCOMING_MESSAGE = "incoming_message"
    CLICKED = "clicked"

    @property
    def rank(self) -> int:
        """Place in the order of knowledge: the greater one of two is what we know. Sent messages only."""
        return _RANK[self]

    @property
    def is_final(self) -> bool:
        """Whether no later status is expected, though evidence of delivery may still win."""
        return self in FINAL


FINAL: Final = frozenset({Status.DELIVERED, Status.FAILED, Status.REJECTED, Status.ENQUEUE_FAILED})

# A code that arrives later may turn failed into rejected; evidence of delivery beats both.
_RANK: Final = {
    Status.ENQUEUED: 0,
    Status.SENT: 1,
    Status.FAILED: 2,
    Status.REJECTED: 3,
    Status.DELIVERED: 4,
    Status.ENQUEUE_FAILED: 5,
    Status.INCOMING_MESSAGE: 6,
    Status.CLICKED: 7,
}


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

_BEFORE_SENT: Final = frozenset({"scheduled", "accepted", "queued", "sending"})
_SENT: Final = frozenset({"sent", "partially_delivered"})
_DELIVERED: Final = frozenset({"delivered", "read"})
_NOT_DELIVERED: Final = frozenset({"failed", "undelivered"})
#: Provider words that say that the message had left Twilio, so that ``sent`` is implied.
IMPLIES_SENT: Final = _SENT | _DELIVERED | {"undelivered"}


def provider_rank(provider_status: str) -> int:
    """Place of Twilio's word in a message's life; -1 for a word that we have never seen."""
    return _PROVIDER_RANK.get(provider_status, -1)


def status_of(provider_status: str, *, refused: bool) -> Status | None:
    """Our status for Twilio's word about an outbound message.

    :param provider_status: Twilio's ``status``.
    :param refused: whether the error code says that Twilio, a carrier or a policy refused the message.
    :return: ``None`` for a word that we have never seen: it changes nothing, and the caller logs it.
    """
    if provider_status in _BEFORE_SENT:
        return Status.ENQUEUED
    if provider_status in _SENT:
        return Status.SENT
    if provider_status in _DELIVERED:
        return Status.DELIVERED
    if provider_status == "canceled":
        return Status.REJECTED
    if provider_status in _NOT_DELIVERED:
        return Status.REJECTED if refused else Status.FAILED
    return None
