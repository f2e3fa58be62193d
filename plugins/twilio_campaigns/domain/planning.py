"""How the messages that are due are read with the fewest API calls: lists of a period, or one by one. Pure.

A list shows up to a thousand messages a call, anybody's; asking for one message costs a call for that message. Which is
cheaper depends on how many of the account's messages are ours at that time, five minutes by five minutes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from math import ceil
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: Most messages per page of a list.
PAGE_ROWS: Final = 1000
#: Seconds of `date_sent` that are planned as one; a day has 288.
BUCKET: Final = 300
#: Seconds after its acceptance within which a message usually leaves.
LEAVES_WITHIN: Final = 30
#: Clocks differ a little (seconds).
SKEW: Final = 5
#: The latest buckets, a day's, stand in for those of which nothing is known.
USUAL_BUCKETS: Final = 288
#: Seconds for which an account is taken to be as busy as it was.
LATELY: Final = 1800
#: Seconds of a bucket that must have been read to say how much is in it.
LEAST_READ: Final = 30
#: Fewest pages of a list that is worth being split: below, nothing is gained that would be noticed.
WORTH_SPLITTING: Final = 4
#: Share of a page that the last page of a part is meant to fill: what leaves a little later moves to the next part.
FULL: Final = 0.94
#: Share of a part by which the last one is smaller, for the same reason.
LAST_IS_LESS: Final = 0.2
#: Fewest pages of a part that holds mostly other people's messages: how they are spread is not known.
PAGES_AMONG_OTHERS: Final = 3


@lru_cache(maxsize=32_768)
def second_of(moment: datetime) -> int:
    """Give a moment as periods have it. Cached: the messages of a campaign share some hours."""
    return int(moment.timestamp())


@dataclass(frozen=True, slots=True)
class Period:
    """A period of `date_sent`, to be read as a list; seconds since 1970, both ends included.

    :param due: messages to be looked at that are expected in it.
    """

    after: int
    before: int
    due: int

    @property
    def sent_after(self) -> datetime:
        """The beginning, as a list's filter takes it."""
        return datetime.fromtimestamp(self.after, UTC)

    @property
    def sent_before(self) -> datetime:
        """The end, as a list's filter takes it."""
        return datetime.fromtimestamp(self.before, UTC)


@dataclass
class Volumes:
    """How many messages lists of an account give.

    :param known: messages, by the second at which the :data:`BUCKET` of `date_sent` begins in which they were sent.
    """

    known: dict[int, int] = field(default_factory=dict)

    @cached_property
    def usual(self) -> float:
        """Messages of a bucket that nobody has read yet: the mean of the latest that somebody has."""
        latest = sorted(self.known)[-USUAL_BUCKETS:]
        return sum(self.known[start] for start in latest) / len(latest) if latest else 0.0

    def knows(self, after: int, before: int) -> bool:
        """Whether all of a period has been read before; what is short of a bucket at its edges does not matter."""
        return all(start in self.known for start, covered in _buckets_of(after, before) if covered > LEAST_READ)

    def lately(self, after: int, before: int) -> float:
        """Messages of a period that has just passed, were it as busy as the latest bucket of the last half hour.

        0 where nothing of that half hour has been read: then a first page tells more than what once was usual.
        """
        latest = max((start for start in self.known if start > before - LATELY), default=None)
        return 0.0 if latest is None else self.known[latest] * (before - after) / BUCKET

    def expected(self, after: int, before: int) -> float:
        """Messages that a list of this period would give."""
        return sum(
            self.known.get(start, self.usual) * covered / BUCKET for start, covered in _buckets_of(after, before)
        )


class Listed:
    """What lists have shown of an account's traffic: where :class:`Volumes` come from."""

    def __init__(self) -> None:
        self._messages: Counter[int] = Counter()
        self._seconds: Counter[int] = Counter()
        self._sampled: set[int] = set()

    def add(self, after: int, before: int, sent: Iterable[int], *, is_sample: bool = False) -> None:
        """Take note of a period that was read, and of the seconds at which its messages were sent.

        :param is_sample: only its latest part was read: what lies before is taken to be as busy.
        """
        buckets = dict(_buckets_of(after, before))
        self._seconds.update(buckets)
        self._messages.update(second - second % BUCKET for second in sent)
        if is_sample:
            self._sampled.update(buckets)

    def volumes(self) -> dict[int, int]:
        """Give the messages of each bucket of which enough was read."""
        return {
            start: round(self._messages[start] * (BUCKET / min(seconds, BUCKET) if start in self._sampled else 1))
            for start, seconds in self._seconds.items()
            if start in self._sampled or seconds > LEAST_READ
        }


def _buckets_of(after: int, before: int) -> Iterator[tuple[int, int]]:
    """Give the buckets of a period, each with how many of its seconds lie in it."""
    for start in range(after - after % BUCKET, before + 1, BUCKET):
        yield start, min(before + 1, start + BUCKET) - max(after, start)


def messages_of_list(after: int, before: int, due: int, volumes: Volumes) -> float:
    """Estimate how many messages a list of a period gives: those that are due, at least."""
    return max(due, volumes.expected(after, before))


def calls_of_list(after: int, before: int, due: int, volumes: Volumes) -> int:
    """Count the API calls that a list of a period takes: its pages. A page that is full always has a successor."""
    return _calls(messages_of_list(after, before, due, volumes))


def _calls(messages: float) -> int:
    return int(messages // PAGE_ROWS) + 1


def plan(due: Mapping[int, int], volumes: Volumes, now: int) -> list[Period]:
    """Choose the periods to be listed, so that API calls are least; what lies in none is asked for one by one.

    :param due: messages to be looked at, by the second at which they were sent or, where that is not known, accepted.
    :param volumes: what lists cost.
    :param now: seconds since 1970; no list reaches beyond.
    :return: disjoint periods, earliest first.
    """
    buckets = _bucketed(due)
    cheapest: list[tuple[int, int | None]] = [(0, None)]  # calls for the buckets so far; where their last list begins
    for end, last in enumerate(buckets, start=1):
        best: tuple[int, int | None] = (cheapest[end - 1][0] + last.rows, None)
        listed, expected, before = 0, 0.0, last.last
        for begin in range(end, 0, -1):
            first = buckets[begin - 1].first
            listed += buckets[begin - 1].rows
            expected += volumes.expected(first, before)
            before = first - 1
            calls = _calls(max(listed, expected))
            if cheapest[begin - 1][0] + calls < best[0]:
                best = (cheapest[begin - 1][0] + calls, begin)
            if calls > best[0]:
                break  # longer lists cost still more
        cheapest.append(best)
    return _periods(buckets, cheapest, now)


@dataclass(slots=True)
class _Bucket:
    """Due messages of five minutes: the first and the last second at which there is one, and how many there are."""

    first: int
    last: int
    rows: int


def _bucketed(due: Mapping[int, int]) -> list[_Bucket]:
    buckets: dict[int, _Bucket] = {}
    for second in sorted(due):
        bucket = buckets.setdefault(second - second % BUCKET, _Bucket(second, second, 0))
        bucket.last = second
        bucket.rows += due[second]
    return list(buckets.values())


def _periods(buckets: Sequence[_Bucket], cheapest: Sequence[tuple[int, int | None]], now: int) -> list[Period]:
    periods: list[Period] = []
    end = len(buckets)
    while end:
        begin = cheapest[end][1]
        if begin is None:
            end -= 1
            continue
        before = min(buckets[end - 1].last + LEAVES_WITHIN, now + SKEW)
        if periods:  # found from the end: do not read twice what the later one reads anyway
            before = min(before, periods[-1].after - 1)
        after = buckets[begin - 1].first - SKEW
        periods.append(Period(after, max(after, before), sum(bucket.rows for bucket in buckets[begin - 1 : end])))
        end = begin - 1
    return periods[::-1]


def later(missing: Mapping[int, int], covered: Sequence[Period], volumes: Volumes, now: int) -> list[Period]:
    """Choose the periods to be listed for messages that left later than usual, because they waited in Twilio's queue.

    :param missing: messages that the lists of their time did not show, by second.
    :param covered: what has been listed whole.
    :return: the rest of the time from the first of them until now, where that takes fewer calls than asking for each;
        empty otherwise.
    """
    rows = sum(missing.values())
    if not rows:
        return []
    gaps, begin = [], min(missing)
    for period in sorted(covered, key=lambda period: period.after):
        if period.after > begin:
            gaps.append(Period(begin, period.after - 1, 0))
        begin = max(begin, period.before + 1)
    if begin <= now:
        gaps.append(Period(begin, now + SKEW, 0))
    calls = sum(calls_of_list(gap.after, gap.before, 0, volumes) for gap in gaps)
    return [Period(gap.after, gap.before, rows) for gap in gaps] if calls < rows else []


def split(period: Period, due: Mapping[int, int], messages: float, at_once: int) -> list[Period]:
    """Split a period into lists that can be read at the same time, each with about as many of the due messages.

    A list is read page after page, so that its length is what it takes; seconds are as finely as Twilio can tell
    messages apart. Parts are of whole pages, so that they take hardly more calls than the period read at one go.

    :param due: as for :func:`plan`.
    :param messages: messages that the whole period is expected to have.
    :param at_once: calls that may be made at the same time; there are at most twice as many parts.
    """
    parts = _parts(period.due, messages, 2 * at_once)
    seconds = sorted(second for second in due if period.after <= second <= period.before)
    if parts < 2 or len(seconds) < 2:  # noqa: PLR2004 - nothing to split
        return [period]
    taken = list(accumulate(due[second] for second in seconds))
    # The last one also shows what left later than those before it.
    share = taken[-1] / (parts - LAST_IS_LESS)
    cuts: list[int] = []  # where in `seconds` all parts but the last one end
    for number in range(1, parts):
        cut = max(bisect_left(taken, share * number), cuts[-1] + 1 if cuts else 0)
        if cut >= len(seconds) - 1:
            break
        cuts.append(cut)
    edges = [(period.after - 1, 0), *((seconds[cut], taken[cut]) for cut in cuts), (period.before, taken[-1])]
    return [
        Period(left + 1, right, rows - rows_before)
        for (left, rows_before), (right, rows) in pairwise(edges)
        if left < right
    ]


def _parts(due: int, messages: float, most: int) -> int:
    """Give the number of parts of a list, so that the last page of each is as good as full."""
    pages = messages / PAGE_ROWS
    if pages < WORTH_SPLITTING:
        return 1
    each = ceil(pages / most + 1 - FULL)
    if due < FULL * messages:
        each = max(each, PAGES_AMONG_OTHERS)
    return ceil(pages / (each - 1 + FULL))


def pages_left(period: Period, sent: Sequence[int], volumes: Volumes) -> float:
    """Estimate how many pages of a list are still to come.

    From earlier passes where these know all of its rest; else the rest is taken to be as busy as what was read.

    :param sent: seconds of `date_sent` so far; a list begins with the latest.
    """
    if not sent:
        return 0.0
    reached = min(sent)
    if reached <= period.after:
        return 0.0
    if volumes.knows(period.after, reached - 1):
        return volumes.expected(period.after, reached - 1) / PAGE_ROWS
    a_second = len(sent) / (max(sent) - reached + 1)
    return a_second * (reached - period.after) / PAGE_ROWS


def due_ages(
    ladder: Sequence[timedelta], last_look: datetime | None, now: datetime
) -> list[tuple[datetime | None, datetime]]:
    """Give the times of acceptance (exclusive, inclusive) of messages that came to a point of the ladder meanwhile.

    :param ladder: ages at which a message is looked at, rising.
    :return: disjoint ranges, latest first; all of the past before the first look.
    """
    if last_look is None:
        return [(None, now)]
    ranges: list[tuple[datetime | None, datetime]] = []
    for point in ladder:
        after, before = last_look - point, now - point
        if ranges and (earliest := ranges[-1][0]) is not None and before >= earliest:
            ranges[-1] = (min(after, earliest), ranges[-1][1])
        else:
            ranges.append((after, before))
    return ranges
