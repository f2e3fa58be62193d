"""When a day is read again, how, and when it is done (PROTOCOLS.md §2). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

#: A day is never finished earlier than this after its end.
FINISH_AFTER: Final = timedelta(hours=1)
#: A fresh day is looked at densely until this long after its end, then at most this rarely.
FRESH_UNTIL: Final = timedelta(hours=4)
OLD_WAIT: Final = timedelta(hours=6)
#: The run of a day ends this long after the windows of its last messages, whatever is left; a window that a site has
#: made shorter than usual is no reason to leave early.
GIVE_UP_AFTER: Final = timedelta(hours=1)
USUAL_WINDOW: Final = timedelta(days=4)
#: Share of the last age by which the last look may come late: an hour in four days.
CLOSING_SLACK: Final = 0.01


@dataclass(frozen=True, slots=True)
class Schedule:
    """At which ages messages are looked at.

    :param ladder: ages of a message whose fate is not known.
    :param unpriced_after: how long after its final status a message waits for its price.
    :param slack: share of an age by which a look may come late, so that more falls due together.
    """

    ladder: Sequence[timedelta]
    unpriced_after: timedelta
    slack: float = 0.0

    @property
    def price_ladder(self) -> list[timedelta]:
        """Ages of a message that only lacks its price: it comes up to a day later, and is no reason to look often."""
        return [point for point in self.ladder if point >= self.unpriced_after / 2]

    @property
    def closing_slack(self) -> timedelta:
        """How late the last look may come, so that those whose windows close one after the other share it."""
        return CLOSING_SLACK * self.ladder[-1] if self.ladder else timedelta(0)

    def slack_of(self, point: timedelta) -> timedelta:
        """How late a look at this age may come."""
        return self.slack * point


@dataclass(frozen=True, slots=True)
class DayState:
    """Where a reconcile day stands.

    :param now: the database's clock.
    :param open_rows: accepted rows of the day that are not settled.
    :param unresolved: rows claimed that day of which nobody knows whether Twilio has them.
    :param next_due_at: the earliest moment at which an open row is to be looked at again.
    :param full_read_at: start of the last pass that read the whole day.
    :param last_pass_at: start of the last complete pass.
    """

    day: date
    now: datetime
    open_rows: int
    unresolved: int
    next_due_at: datetime | None
    full_read_at: datetime | None
    last_pass_at: datetime | None

    @property
    def starts_at(self) -> datetime:
        """Midnight UTC at which the day begins."""
        return datetime.combine(self.day, time.min, UTC)

    @property
    def ends_at(self) -> datetime:
        """Midnight UTC at which the next day begins."""
        return self.starts_at + timedelta(days=1)

    def may_finish_at(self, list_lag: timedelta) -> datetime:
        """Give the moment from which a full read is a last word: later than that lists miss nothing of the day."""
        return self.ends_at + max(FINISH_AFTER, list_lag)

    def is_given_up(self, window: timedelta) -> bool:
        """Whether every window of the day is over for so long that nobody looks any more."""
        return self.now >= self.ends_at + max(window, USUAL_WINDOW) + GIVE_UP_AFTER

    def is_finished(self, list_lag: timedelta) -> bool:
        """Whether everything of the day is known, seen by a full read that could see everything."""
        moment = self.may_finish_at(list_lag)
        read = self.full_read_at is not None and self.full_read_at >= moment
        return read and not self.open_rows and not self.unresolved

    def wants_full_read(self, list_lag: timedelta) -> bool:
        """Whether only the last full read is missing."""
        moment = self.may_finish_at(list_lag)
        return (
            self.now >= moment
            and not self.open_rows
            and not self.unresolved
            and (self.full_read_at is None or self.full_read_at < moment)
        )

    def wake_at(self, list_lag: timedelta, min_wait: timedelta, max_wait: timedelta) -> datetime:
        """Give the moment of the next look: what is due first, bunched by `min_wait`, at most `max_wait` away."""
        longest = max_wait if self.now < self.ends_at + FRESH_UNTIL else max(max_wait, OLD_WAIT)
        candidates = [self.now + longest]
        if self.next_due_at is not None:
            candidates.append(max(self.next_due_at, self.now + min_wait))
        moment = self.may_finish_at(list_lag)
        if self.now < moment:
            candidates.append(moment)
        return min(candidates)


def step_at(age: timedelta, ladder: Sequence[timedelta]) -> timedelta:
    """Give the distance of the ladder's two points around an age: how often such a message is looked at."""
    before = [point for point in ladder if point <= age] or [timedelta(0)]
    after = [point for point in ladder if point > age] or [ladder[-1]]
    return max(min(after) - max(before), timedelta(0))


def is_neglected(day: date, last_pass_at: datetime | None, now: datetime, ladder: Sequence[timedelta]) -> bool:
    """Whether a day with open rows has not been read for so long that its own run must have been lost."""
    if last_pass_at is None:
        return True
    age = now - datetime.combine(day, time.min, UTC)
    return now - last_pass_at > max(timedelta(hours=1), 2 * step_at(age, ladder))
