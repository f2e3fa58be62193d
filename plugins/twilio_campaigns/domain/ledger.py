"""What the ledger knows of a message, and how an observation changes it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from twilio_campaigns.domain.errors import error_entry
from twilio_campaigns.domain.message import Fact, Observation, facts_of
from twilio_campaigns.domain.status import Status, later_word

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from decimal import Decimal


class _Ordered(Protocol):
    def __lt__(self, other: Self, /) -> bool: ...


_T = TypeVar("_T", bound=_Ordered)


def least(left: _T | None, right: _T | None) -> _T | None:
    """Give the lesser of two values, either of which may be missing; as SQL's ``LEAST``."""
    if left is None or right is None:
        return left if right is None else right
    return right if right < left else left  # noqa: FURB136 - min() takes three times as long


def greatest(left: _T | None, right: _T | None) -> _T | None:
    """Give the greater of two values, either of which may be missing; as SQL's ``GREATEST``."""
    if left is None or right is None:
        return left if right is None else right
    return right if left < right else left  # noqa: FURB136 - the same


class Known(Struct, frozen=True, gc=False):
    """What the ledger holds of one accepted message; the columns of the same names."""

    provider_status: str | None = None
    status: Status | None = None
    status_code: int | None = None
    number_of_message_parts: int | None = None
    sent_at: datetime | None = None
    final_at: datetime | None = None
    price: Decimal | None = None
    price_unit: str | None = None
    from_number: str | None = None


class EventDraft(Struct, frozen=True, gc=False):
    """One event before the warehouse adds its id and what the ledger row says.

    :param message_key: the sixteen bytes of a UUID.
    """

    message_key: bytes
    status: Status
    occurred_at: datetime
    source: str
    status_code: int | None = None
    provider_status: str | None = None

    def merged(self, other: EventDraft) -> EventDraft:
        """Merge two drafts of the same event; the same rule as the warehouse's upsert."""
        return replace(
            self,
            occurred_at=min(self.occurred_at, other.occurred_at),
            status_code=least(self.status_code, other.status_code),
            provider_status=least(self.provider_status, other.provider_status),
        )


#: What Twilio would have said of a status that nobody saw: the event is the same as if somebody had.
_IMPLIED_WORDS: Final = {Status.SENT: "sent"}


def is_refused(code: int | None) -> bool:
    """Whether Twilio's error code says that the message was refused rather than lost on its way."""
    entry = error_entry(code)
    return entry is not None and entry.refused


def facts(observation: Observation) -> tuple[Fact, ...]:
    """Every status that this observation proves; empty for a provider status that we have never seen."""
    code = observation.error_code
    return facts_of(observation, refused=code is not None and is_refused(code))


def merge(known: Known, observation: Observation, proven: tuple[Fact, ...] | None = None) -> Known:
    """Give what is known after this observation. Commutative, associative and idempotent.

    An unseen provider status changes nothing.

    :param proven: its :func:`facts`, where the caller has them already.
    """
    proven = facts(observation) if proven is None else proven
    if not proven:
        return known
    sent = proven[1].occurred_at if len(proven) > 1 and proven[1].status is Status.SENT else None
    last, status, code, final_at = proven[-1], known.status, known.status_code, known.final_at
    if status is None or status.rank < last.status.rank:
        status, code, final_at = last.status, last.status_code, _final_at(last)
    elif status is last.status:
        code, final_at = least(code, last.status_code), least(final_at, _final_at(last))
    # By position: names take a third of the time, and there is one for each message that is read.
    return Known(
        later_word(known.provider_status, observation.provider_status),
        status,
        code,
        greatest(known.number_of_message_parts, observation.parts),
        least(known.sent_at, sent),
        final_at,
        greatest(known.price, observation.price),
        least(known.price_unit, observation.price_unit),
        least(known.from_number, observation.from_number),
    )


def _final_at(fact: Fact) -> datetime | None:
    return fact.occurred_at if fact.status.is_final else None


def tells_nothing_new(known: Known, observation: Observation) -> bool:
    """Whether this observation equals what the ledger holds, so that neither row nor event need be touched.

    Merely changing nothing in the ledger is not enough: an older observation that arrives late may still bring
    an event that nobody recorded.
    """
    if known.provider_status != observation.provider_status:
        return False
    if known.status_code != observation.error_code and known.status is not Status.DELIVERED:
        return False
    proven = facts(observation)
    return proven[-1].status is known.status and merge(known, observation, proven) == known


def event_drafts(
    key: bytes,
    observation: Observation,
    proven: tuple[Fact, ...] | None = None,
    known: Known | None = None,
    enqueued_at: datetime | None = None,
) -> list[EventDraft]:
    """Events that one observation proves.

    The provider's word stands at the status that it names itself; at `sent`, which has but one, in any case.
    The number of parts belongs to the message, not to one status: the warehouse gives every event the ledger's.

    :param key: of the message, the sixteen bytes of a UUID.
    :param proven: its :func:`facts`, where the caller has them already.
    :param known: what the ledger held before. Row and events are written together, so an event that the ledger dates as
        early, and of which the observation says nothing else, is there and would not change: it is left out.
    :param enqueued_at: when Twilio accepted the message, as the ledger has it.
    """
    proven = facts(observation) if proven is None else proven
    if not proven:
        return []
    last, reached = proven[-1], reached_rank(known)
    return [
        EventDraft(
            key,
            fact.status,
            fact.occurred_at,
            observation.source,
            fact.status_code,
            observation.provider_status if fact is last else _IMPLIED_WORDS.get(fact.status),
        )
        for fact in proven
        if known is None
        or fact.status.rank > reached
        or not _is_there(fact, known, enqueued_at)
        or (fact is last and not _is_in_the_same_words(fact, known, observation))
    ]


def merged_drafts(drafts: Iterable[EventDraft]) -> list[EventDraft]:
    """Give one draft for each status, by rank, of several of the same message."""
    merged: dict[Status, EventDraft] = {}
    for draft in drafts:
        other = merged.get(draft.status)
        merged[draft.status] = draft if other is None else other.merged(draft)
    return sorted(merged.values(), key=lambda draft: draft.status.rank)


def reached_rank(known: Known | None) -> int:
    """Rank of the status that the ledger holds; of all higher ones that can be observed no event was ever written."""
    return -1 if known is None or known.status is None else known.status.rank


def _is_there(fact: Fact, known: Known, enqueued_at: datetime | None) -> bool:
    """Whether the event of a status that is no higher than the ledger's was written, and not with a later date."""
    if fact.status is Status.ENQUEUED:
        since = enqueued_at
    elif fact.status is Status.SENT:
        since = known.sent_at
    else:
        since = known.final_at if known.status is fact.status else None
    return since is not None and since <= fact.occurred_at


def _is_in_the_same_words(fact: Fact, known: Known, observation: Observation) -> bool:
    """Whether the ledger knows the status that the observation names from the same word and code."""
    return (known.status, known.provider_status, known.status_code) == (
        fact.status,
        observation.provider_status,
        fact.status_code,
    )


def known_from_events(events: Iterable[EventDraft]) -> Known:
    """Give what the recorded events prove of a message, to repair a row of the ledger that says something else.

    Price, parts and sender stand in no event for certain: see :func:`filled_from`.
    """
    known = Known()
    for event in sorted(events, key=lambda event: event.status.rank):
        known = replace(
            known,
            provider_status=event.provider_status or known.provider_status,
            status=event.status,
            status_code=event.status_code,
            sent_at=event.occurred_at if event.status is Status.SENT else known.sent_at,
            final_at=event.occurred_at if event.status.is_final else None,
        )
    return known


def filled_from(known: Known, row: Known) -> Known:
    """Take over what only the row knows of price, parts and sender."""
    return replace(
        known,
        number_of_message_parts=_first(known.number_of_message_parts, row.number_of_message_parts),
        price=_first(known.price, row.price),
        price_unit=_first(known.price_unit, row.price_unit),
        from_number=_first(known.from_number, row.from_number),
    )


def _first(value: _T | None, otherwise: _T | None) -> _T | None:
    return otherwise if value is None else value
