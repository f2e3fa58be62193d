"""Taking turns by rank: whoever comes first in the order goes first, however late he came."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

Piece = TypeVar("Piece")


class Turns:
    """Lets so many in at a time, of those who wait the one with the least rank.

    :param at_once: how many are in at a time.
    """

    def __init__(self, at_once: int) -> None:
        self.at_once = at_once
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


class _Entry(Generic[Piece]):
    """A piece that waits, and who is told when it is done."""

    def __init__(self, piece: Piece) -> None:
        self.piece = piece
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.is_taken = False


class Backlog(Generic[Piece]):
    """Pieces of work that wait for a turn; whoever has one takes several where many wait, since that costs less.

    :param turns: at which pieces are worked on, so many at a time.
    :param work: is given pieces, those with the least rank first.
    :param at_once: how many it is given at most.
    """

    def __init__(self, turns: Turns, work: Callable[[list[Piece]], Awaitable[None]], at_once: int) -> None:
        self._turns = turns
        self._work = work
        self._at_once = at_once
        self._waiting: list[tuple[int, int, _Entry[Piece]]] = []
        self._numbers = count()

    async def put(self, piece: Piece, rank: int) -> None:
        """Add a piece, and wait until somebody has worked on it; what went wrong then is raised here.

        :param rank: the lesser is worked on first; equals in the order in which they came.
        """
        entry = _Entry(piece)
        heappush(self._waiting, (rank, next(self._numbers), entry))
        try:
            while not entry.is_taken:
                async with self._turns.turn(rank):
                    if not entry.is_taken:
                        await self._take_some()
            await entry.done
        except asyncio.CancelledError:
            entry.done.cancel()
            raise

    async def _take_some(self) -> None:
        # Something is left for those whose turn comes next: at the end nobody is idle while one has it all.
        share = min(self._at_once, -(-len(self._waiting) // self._turns.at_once))
        taken: list[_Entry[Piece]] = []
        while self._waiting and len(taken) < share:
            *_, entry = heappop(self._waiting)
            if not entry.done.cancelled():
                entry.is_taken = True
                taken.append(entry)
        failure: Exception | None = None
        try:
            await self._work([entry.piece for entry in taken])
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for one of these
            failure = error
        except asyncio.CancelledError:
            for entry in taken:
                entry.done.cancel()
            raise
        for entry in taken:
            if entry.done.done():
                continue
            if failure is None:
                entry.done.set_result(None)
            else:
                entry.done.set_exception(failure)
