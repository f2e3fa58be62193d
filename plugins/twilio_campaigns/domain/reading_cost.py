"""What it costs to follow a campaign's messages to their ends: the schedule played through with the real planner. Pure.

How messages live is assumed, in :class:`Lives`; everything else is what a pass would do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.planning import BUCKET, Volumes, calls_of_list, due_ages, plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twilio_campaigns.domain.reconciling import Schedule

MINUTE: Final = timedelta(minutes=1)
_START: Final = datetime(2026, 1, 1, 10, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Lives:
    """How messages are assumed to live.

    :param open_after: share whose final status is not known at an age, by rising age; in between the last one holds.
    :param silent: share that no carrier ever reports on.
    :param never_sent: share that fails before it leaves: no list by `DateSent` shows it.
    :param unpriced_after: share that has no price at an age.
    """

    open_after: Sequence[tuple[timedelta, float]] = (
        (timedelta(0), 1.0),
        (timedelta(seconds=30), 0.08),
        (timedelta(minutes=5), 0.035),
        (timedelta(hours=1), 0.03),
        (timedelta(hours=12), 0.02),
        (timedelta(hours=24), 0.012),
        (timedelta(hours=30), 0.006),
    )
    silent: float = 0.006
    never_sent: float = 0.01
    unpriced_after: Sequence[tuple[timedelta, float]] = (
        (timedelta(0), 1.0),
        (timedelta(hours=6), 0.1),
        (timedelta(hours=24), 0.0),
    )

    def open_at(self, age: timedelta) -> float:
        """Give the share whose fate is not known at an age."""
        return max(self.silent, _at(self.open_after, age))

    def unpriced_at(self, age: timedelta) -> float:
        """Give the share that is final at an age and has no price."""
        return max(0.0, min(_at(self.unpriced_after, age), 1 - self.open_at(age)))


def _at(curve: Sequence[tuple[timedelta, float]], age: timedelta) -> float:
    return [share for since, share in curve if since <= age][-1]


@dataclass(slots=True)
class Cost:
    """API calls of looks.

    :param looks: passes that made a call.
    :param pages: of lists.
    :param fetches: of single messages.
    """

    looks: int = 0
    pages: int = 0
    fetches: int = 0

    @property
    def calls(self) -> int:
        """API calls in all."""
        return self.pages + self.fetches

    def add(self, pages: int, fetches: int) -> None:
        """Count one look."""
        self.looks += 1
        self.pages += pages
        self.fetches += fetches


@dataclass(slots=True)
class Plan:
    """What following a campaign takes.

    :param messages: how many.
    :param by_age: cost of the looks, by the age up to which the youngest messages are that they look at.
    :param one_by_one: calls if every open message were asked for alone at every point of the ladder.
    """

    messages: int
    by_age: dict[timedelta, Cost] = field(default_factory=lambda: defaultdict(Cost))
    one_by_one: int = 0

    @property
    def total(self) -> Cost:
        """Cost of all looks."""
        total = Cost()
        for cost in self.by_age.values():
            total.looks += cost.looks
            total.pages += cost.pages
            total.fetches += cost.fetches
        return total

    @property
    def calls_per_thousand(self) -> float:
        """API calls per 1,000 messages."""
        return 1000 * self.total.calls / self.messages


def cost_of_reading(
    messages: int,
    over: timedelta,
    schedule: Schedule,
    *,
    min_wait: timedelta,
    others_per_hour: int = 0,
    lives: Lives | None = None,
) -> Plan:
    """Play the looks at one campaign through, from its first message to its last one's last look.

    :param messages: accepted messages, evenly spread.
    :param over: the time that sending takes.
    :param min_wait: shortest pause between two looks.
    :param others_per_hour: messages of others on the same account.
    """
    lives = lives or Lives()
    accepted = _accepted(messages, over)
    volumes = _volumes(accepted, others_per_hour)
    made = Plan(messages)
    now, last = _START + min_wait, None
    ends = _START + over + schedule.ladder[-1] + 2 * schedule.closing_slack
    while now <= ends:
        seen = {minute: rows for minute, rows in accepted.items() if minute <= now}
        due = _due(seen, schedule, lives, last, now)
        if due:
            # What fails before it leaves is asked for once when it is new, and once more for its price.
            alone = sum(_never_sent(seen, schedule, lives, last, now).values())
            pages, fetches = _calls(due, volumes, now)
            youngest = now - max(due)
            made.by_age[next((p for p in schedule.ladder if p >= youngest - MINUTE), schedule.ladder[-1])].add(
                pages, fetches + round(alone)
            )
        last, following = now, _next_look(accepted, schedule, now)
        if following is None:
            break
        now = max(following, now + min_wait)
    made.one_by_one = round(sum(messages * lives.open_at(point) for point in schedule.ladder))
    return made


def _accepted(messages: int, over: timedelta) -> dict[datetime, float]:
    minutes = max(1, round(over / MINUTE))
    return {_START + n * MINUTE: messages / minutes for n in range(minutes)}


def _volumes(accepted: Mapping[datetime, float], others_per_hour: int) -> Volumes:
    known: Counter[int] = Counter()
    for minute, rows in accepted.items():
        second = int(minute.timestamp())
        known[second - second % BUCKET] += round(rows)
    others = others_per_hour * BUCKET / 3600
    around = range(min(known) - BUCKET, max(known) + 2 * BUCKET, BUCKET)
    return Volumes({start: round(known[start] + others) for start in around})


def _due(
    accepted: Mapping[datetime, float], schedule: Schedule, lives: Lives, last: datetime | None, now: datetime
) -> dict[datetime, float]:
    """Give the messages that a look has to see, by minute of acceptance."""
    due: defaultdict[datetime, float] = defaultdict(float)
    for ladder, share in ((schedule.ladder, lives.open_at), (schedule.price_ladder, lives.unpriced_at)):
        for after, before in due_ages(ladder, last, now):
            for minute, rows in accepted.items():
                if (after is None or minute > after) and minute <= before:
                    due[minute] += rows * share(now - minute)
    return {minute: rows for minute, rows in due.items() if rows > 0}


def _never_sent(
    accepted: Mapping[datetime, float], schedule: Schedule, lives: Lives, last: datetime | None, now: datetime
) -> dict[datetime, float]:
    """Give the messages that never left and are asked for now: at their first look, and for their price."""
    ages = (schedule.ladder[0], *schedule.price_ladder[:1])
    return {
        minute: rows * lives.never_sent
        for minute, rows in accepted.items()
        if any((last is None or minute + age > last) and minute + age <= now for age in ages)
    }


def _calls(due: Mapping[datetime, float], volumes: Volumes, now: datetime) -> tuple[int, int]:
    rows = {int(minute.timestamp()): max(1, round(count)) for minute, count in due.items()}
    periods = plan(rows, volumes, int(now.timestamp()))
    listed = sum(period.due for period in periods)
    pages = sum(calls_of_list(period.after, period.before, period.due, volumes) for period in periods)
    return pages, sum(rows.values()) - listed


def _next_look(accepted: Mapping[datetime, float], schedule: Schedule, now: datetime) -> datetime | None:
    """Give the moment at which the sensor wakes, as :meth:`ReconcileStore.state` works it out."""
    ends = [
        max(minute, now - point) + point + schedule.slack_of(point)
        for minute in accepted
        for point in schedule.ladder
        if minute + point > now
    ]
    return min(ends, default=None)
