"""A closed day's ledger against Twilio's list: which messages are compared, and how. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.ledger import is_refused
from twilio_campaigns.domain.reconciling import USUAL_WINDOW
from twilio_campaigns.domain.status import Status, provider_rank, status_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from twilio_campaigns.domain.message import Observation

#: Messages that one call of a list gives at most.
PAGE_ROWS: Final = 1000
#: Twilio queues a message for up to ten hours, so it may be sent this much later than it was accepted.
SENT_WITHIN: Final = timedelta(hours=12)
#: Clocks differ a little.
SKEW: Final = timedelta(minutes=5)
#: Direction of a message that was created over the API: replies, calls and what people write to us are no campaign's.
OUTBOUND: Final = "outbound-api"
#: How many more pages than our own messages fill a list of the whole account may have: for that price it shows
#: orphans of every sender.
WORTH: Final = 10
#: Pages that a list may always have, however few messages of the day are ours.
FREE_PAGES: Final = 100


@dataclass(frozen=True, slots=True)
class Senders:
    """Who sent campaigns of an account around the audited day, by the runs' frozen specs.

    :param services: SIDs of Messaging Services.
    :param numbers: From numbers, short codes and alphanumeric senders.
    """

    services: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()

    def include(self, seen: Observation) -> bool:
        """Whether one of them sent this message. What a service sent is the service's, whichever number it picked."""
        if seen.messaging_service_sid:
            return seen.messaging_service_sid in self.services
        return seen.from_number in self.numbers

    def without(self, others: Iterable[str]) -> Senders:
        """Leave out senders that are not campaigns' alone."""
        return Senders(self.services.difference(others), self.numbers.difference(others))


@dataclass(frozen=True, slots=True)
class AuditedRow:
    """What the ledger says of an accepted message.

    :param is_open: its window is not over, so that reconciling may still bring what is missing.
    """

    sid: str
    key: UUID
    provider_status: str | None
    status: Status | None
    is_open: bool = False


def looks_like_ours(seen: Observation, day: date, senders: Senders) -> bool:
    """Whether a message looks like a campaign's: created over the API, on this UTC day, from a campaign's sender.

    Twilio keeps nothing that would tell a campaign's message from another one of the same sender. So a text of
    `TwilioSendMessageOperator`, which writes no ledger, looks like ours too, unless it has a sender of its own.
    """
    return seen.direction == OUTBOUND and seen.created_at.astimezone(UTC).date() == day and senders.include(seen)


def is_ahead(seen: Observation, row: AuditedRow) -> bool:
    """Whether Twilio's list knows more than the ledger.

    The other way round is no gap: a webhook may have told that a message was delivered which the list calls `sent`
    for good. A word that we have never seen tells nothing.
    """
    status = status_of(seen.provider_status, refused=is_refused(seen.error_code))
    if status is None:
        return False
    if row.status is None or row.provider_status is None:
        return True
    return provider_rank(seen.provider_status) > provider_rank(row.provider_status) or status.rank > row.status.rank


def audited_day(logical_date: datetime, window: timedelta) -> date:
    """Give the latest UTC day that is closed at a moment: five days earlier, more where the tracking window is longer.

    Windows end up to a window after the day's end, and the day's reconcile run an hour later.

    :param window: the deployment's tracking window.
    """
    days = ceil(max(window, USUAL_WINDOW) / timedelta(days=1)) + 1
    return logical_date.astimezone(UTC).date() - timedelta(days=days)


def periods(day: date, hours: bool) -> list[tuple[datetime, datetime]]:
    """Give the periods of `date_sent`, both ends included, in which messages that were accepted on a day appear.

    :param hours: hour by hour, so that lists can be read beside each other and stay short; else all in one.
    """
    starts_at = datetime.combine(day, time.min, UTC)
    begin, end = starts_at - SKEW, starts_at + timedelta(days=1) + SENT_WITHIN
    step = timedelta(hours=1) if hours else end - begin
    second = timedelta(seconds=1)  # Twilio dates by the second
    return [(begin + n * step, min(begin + (n + 1) * step - second, end)) for n in range(ceil((end - begin) / step))]


def pages(messages: int) -> int:
    """Pages that so many messages fill, at least one."""
    return max(1, ceil(messages / PAGE_ROWS))


class SidSet:
    """A set of message SIDs at half the price of text: a million take some 90 MB.

    What is no SID as Twilio makes them is kept as it is.
    """

    def __init__(self, sids: Iterable[str] = ()) -> None:
        self._held: set[int | str] = {_compact(sid) for sid in sids}

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, sid: str) -> bool:
        return _compact(sid) in self._held

    def add(self, sid: str) -> bool:
        """Add a SID; tell whether it is new."""
        before = len(self._held)
        self._held.add(_compact(sid))
        return len(self._held) > before

    def remove(self, sid: str) -> bool:
        """Take a SID out; tell whether it was there."""
        before = len(self._held)
        self._held.discard(_compact(sid))
        return len(self._held) < before

    def take(self, count: int) -> list[str]:
        """Take out up to so many."""
        return [_spelled(self._held.pop()) for _ in range(min(count, len(self._held)))]


_SID_LENGTH: Final = 34


def _compact(sid: str) -> int | str:
    try:
        number = int.from_bytes(bytes.fromhex(sid[2:])) << 1 | sid.startswith("MM")
    except ValueError:
        return sid
    return number if _spelled(number) == sid else sid


def _spelled(held: int | str) -> str:
    return held if isinstance(held, str) else f"{'MM' if held & 1 else 'SM'}{held >> 1:032x}"
