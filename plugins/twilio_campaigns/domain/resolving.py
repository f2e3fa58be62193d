"""What became of messages whose answer got lost: taken by Twilio, not taken, or not to be told (PROTOCOLS S6). Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.same_text import may_be_same_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from twilio_campaigns.domain.message import Observation

#: Clocks differ a little: ours that dates claims, Twilio's that dates messages.
SKEW: Final = timedelta(minutes=5)
#: Look-ups that must find nothing before a message counts as never taken.
LOOKUPS: Final = 2


@dataclass(frozen=True, slots=True)
class Doubt:
    """One row of the ledger of which nobody knows whether Twilio has it.

    :param body: as it was posted; `None` with a Content template.
    :param claimed_at: earliest moment at which it may have been posted.
    :param posted_by: latest moment at which it may have been claimed: `claimed_at`, unless a restored database has
        forgotten when that was.
    :param resolve_after: from here on absence from Twilio's list is evidence.
    :param lookups: how many look-ups after that moment found nothing.
    :param is_closed: given up already: nothing becomes of it any more, but a message that may be its own is nobody
        else's for certain.
    """

    key: UUID
    body: str | None
    messaging_service_sid: str | None
    from_number: str | None
    claimed_at: datetime
    posted_by: datetime
    resolve_after: datetime | None
    lookups: int = 0
    looked_up_at: datetime | None = None
    is_closed: bool = False


@dataclass(slots=True)
class Verdict:
    """What one look-up of one number came to.

    :param adopted: rows that Twilio has taken, with what it says of them.
    :param absent: rows that count one more look-up without a trace.
    :param undecided: rows that might be one of several messages, or none: a person has to look.
    """

    adopted: dict[UUID, Observation] = field(default_factory=dict)
    absent: list[UUID] = field(default_factory=list)
    undecided: list[UUID] = field(default_factory=list)


def decide(
    doubts: Sequence[Doubt],
    candidates: Sequence[Observation],
    *,
    seen_at: datetime,
    lease: timedelta,
    gap: timedelta,
    absence_counts: bool,
) -> Verdict:
    """Decide about all doubtful rows of one number.

    A row is adopted where exactly one message fits it and that message fits no other row: two campaigns may have
    said the same to one person, and a guess would put one's fate into the other's books.

    :param candidates: messages to the number that no row of the ledger owns.
    :param seen_at: when the candidates were asked for, not when they are decided about.
    :param lease: a claim's; its post can have reached Twilio no later than this after the claim.
    :param gap: two look-ups closer together than this count as one.
    :param absence_counts: false when the list was not read whole, or proved to be late.
    """
    near = {doubt.key: [c for c in candidates if _may_be(doubt, c, lease)] for doubt in doubts}
    fits = {doubt.key: [c for c in near[doubt.key] if may_be_same_text(doubt.body, c.body)] for doubt in doubts}
    claims = Counter(candidate.sid for found in fits.values() for candidate in found)
    verdict = Verdict()
    for doubt in (doubt for doubt in doubts if not doubt.is_closed):
        found = fits[doubt.key]
        if len(found) == 1 and claims[found[0].sid] == 1:
            verdict.adopted[doubt.key] = found[0]
        elif near[doubt.key]:
            verdict.undecided.append(doubt.key)
        elif absence_counts and _counts(doubt, seen_at, gap):
            verdict.absent.append(doubt.key)
    return verdict


def _may_be(doubt: Doubt, candidate: Observation, lease: timedelta) -> bool:
    """Whether a message comes from this row's sender and the time of its claim."""
    if candidate.is_inbound:
        return False
    if doubt.messaging_service_sid:
        same_sender = candidate.messaging_service_sid == doubt.messaging_service_sid
    else:
        same_sender = candidate.from_number == doubt.from_number
    return same_sender and doubt.claimed_at - SKEW <= candidate.created_at <= doubt.posted_by + lease + SKEW


def _counts(doubt: Doubt, seen_at: datetime, gap: timedelta) -> bool:
    """Whether finding nothing then is a look-up of its own."""
    if doubt.resolve_after is None or seen_at < doubt.resolve_after:
        return False
    return doubt.lookups == 0 or doubt.looked_up_at is None or seen_at - doubt.looked_up_at >= gap
