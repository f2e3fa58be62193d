"""Requests that leave evenly: never more at once than answers would come evenly."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between the first requests, before any answer says how long one takes: a batch does not begin with all its
#: handshakes at the same moment.
FIRST_GAP: Final = 0.0006
#: Share of the even distance that is kept. Less than all of it, or spacing itself would become the limit.
KEPT: Final = 0.95
#: An answer's weight in the average. The average is robust: one answer counts as twice the usual at most.
WEIGHT: Final = 1 / 64
LONGEST_SAMPLE: Final = 2
#: Distances below this (seconds) are not kept: a timer is not that exact, and costs more than it evens out.
GRAIN: Final = 0.0005
#: How far (seconds) a request that is late may shorten the distances behind it.
CREDIT: Final = 0.002


class Spacing:
    """Keeps the requests of a task apart by what a request takes, divided by how many are under way.

    Requests that leave at once are answered at once, and their successors leave at once: a convoy which nothing
    dissolves, in which all wait for each other on both sides. It cost a twentieth of the throughput at 100 ms.

    :param width: requests under way at a time.
    :param clock: seconds.
    """

    def __init__(self, width: int, clock: Callable[[], float]) -> None:
        self._width = width
        self._clock = clock
        self._taken: float | None = None
        self._gap = FIRST_GAP
        self._next_at = 0.0

    async def wait(self) -> None:
        """Wait until the next request may leave."""
        if self._gap < GRAIN:
            return
        now = self._clock()
        at = max(now - CREDIT, self._next_at)
        self._next_at = at + self._gap
        if at - now > GRAIN:
            await asyncio.sleep(at - now)

    def learn(self, seconds: float) -> None:
        """Take note of how long a request took from its departure to its answer."""
        if self._taken is None:
            self._taken = seconds
        else:
            self._taken += WEIGHT * (min(seconds, LONGEST_SAMPLE * self._taken) - self._taken)
        self._gap = KEPT * self._taken / self._width
