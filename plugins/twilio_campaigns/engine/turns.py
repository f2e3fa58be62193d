"""Taking turns by rank: whoever comes first in the order goes first, however late he came."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Turns:
    """Lets so many in at a time, of those who wait the one with the least rank.

    :param at_once: how many are in at a time.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = count()

    @asynccontextmanager
    async def turn(self, rank: int = 0) -> AsyncIterator[None]:
        """Wait for a turn, and be in until the block ends.

        :param rank: the lesser goes first; equals in the order in which they came.
        """
        leave = await self.enter(rank)
        try:
            yield
        finally:
            leave()

    async def enter(self, rank: int = 0) -> Callable[[], None]:
        """Wait for a turn, and be in until what this gives is called, once; as :meth:`turn`."""
        if self._free:
            self._free -= 1
        else:
            called = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (rank, next(self._numbers), called))
            try:
                await called
            except asyncio.CancelledError:
                if called.done() and not called.cancelled():
                    self._pass_on()
                raise
        return self._pass_on

    def _pass_on(self) -> None:
        while self._waiting:
            *_, called = heappop(self._waiting)
            if not called.done():
                called.set_result(None)
                return
        self._free += 1
