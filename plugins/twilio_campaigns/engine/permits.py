"""How many requests are under way, and whose is next: those of the oldest chunk."""

from __future__ import annotations

import asyncio
from heapq import heappop, heappush
from itertools import count


class Permits:
    """A semaphore that serves the lowest rank first.

    Were it the longest wait, the chunks that overlap would be posted in turn, come to their end together, and be
    recorded together while nothing is posted.

    :param permits: requests that may be under way.
    """

    def __init__(self, permits: int) -> None:
        self._free = permits
        self._arrivals = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def acquire(self, rank: int) -> None:
        """Wait for a permit.

        :param rank: lower ones are served before higher ones.
        """
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        served = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (rank, next(self._arrivals), served))
        try:
            await served
        except asyncio.CancelledError:
            if served.done() and not served.cancelled():
                self.release()  # served in the very moment in which it was cancelled
            raise

    def release(self) -> None:
        """Give a permit back, or to whoever is next."""
        while self._waiting:
            _, _, served = heappop(self._waiting)
            if not served.done():
                served.set_result(None)
                return
        self._free += 1
