"""Calls that are made at the same time and fail together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

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
