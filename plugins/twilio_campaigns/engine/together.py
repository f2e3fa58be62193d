"""Calls that are made at the same time and fail together."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable

Found = TypeVar("Found")


async def all_of(calls: Iterable[Awaitable[Found]]) -> list[Found]:
    """Await all; after the first failure cancel the others, so that none goes on behind a reading that has failed."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


class Together:
    """Work that was started beside other work; made by :func:`together`."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin, without waiting for the end; the failure of what was begun before is raised here."""
        ended = [task for task in self.tasks if task.done()]
        self.tasks = [*(task for task in self.tasks if not task.done()), asyncio.create_task(work)]
        for task in ended:
            task.result()


@asynccontextmanager
async def together() -> AsyncIterator[Together]:
    """Await at the block's end all that was started in it, also where the block itself fails.

    An :class:`asyncio.TaskGroup` would give up what is under way, and wrap the failure, which callers tell by class.
    """
    started = Together()
    try:
        yield started
    except BaseException:
        await asyncio.gather(*started.tasks, return_exceptions=True)
        raise
    await all_of(started.tasks)
