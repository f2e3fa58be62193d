"""Requests that wait for the database are gathered: while one batch is being written, the next one comes together.

A single request is written at once. Under load one transaction carries hundreds, and the database has little to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from traceback import extract_tb
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from twilio_campaigns.domain.exceptions import TwilioCampaignsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

log = logging.getLogger(__name__)

Item = TypeVar("Item")

#: Items per transaction, so that no lock is held for long.
BATCH: Final = 500
#: Items that may wait; whoever comes then is told to come again.
WAITING: Final = 5000


class OverloadedError(Exception):
    """Too much is waiting already, or the process is about to end."""


class Gatherer(Generic[Item]):
    """Hands items to a function in batches; each caller goes on once its item is written, or cannot be.

    Use it within one event loop.

    :param write: writes a batch in one go, in a thread of `executor`; may be given the same item again.
    :param executor: its threads.
    :param writers: batches that are written at a time.
    """

    def __init__(self, write: Callable[[Sequence[Item]], None], executor: Executor, *, writers: int = 1) -> None:
        self._write = write
        self._executor = executor
        self._writers = writers
        self._waiting: deque[tuple[Item, asyncio.Future[None]]] = deque()
        self._tasks: set[asyncio.Future[list[Exception | None]]] = set()
        self._woken = self._closed = False

    async def put(self, item: Item) -> None:
        """Have an item written; returns after its commit.

        :raises OverloadedError: when too much is waiting.
        :raises Exception: as `write` does, for this item.
        """
        if self._closed or len(self._waiting) >= WAITING:
            raise OverloadedError
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        self._waiting.append((item, written))
        if not self._woken and len(self._tasks) < self._writers:
            # Whatever else comes in this very turn of the loop goes along.
            self._woken = True
            loop.call_soon(self._start)
        await written

    async def close(self, patience: float) -> None:
        """Take nothing more, and wait for what is under way.

        :param patience: seconds.
        """
        self._closed = True
        deadline = asyncio.get_running_loop().time() + patience
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
            await asyncio.sleep(0)  # whoever waits for it learns of it first
        for _, written in self._waiting:
            if not written.done():
                written.set_exception(OverloadedError())
        self._waiting.clear()

    def _start(self) -> None:
        self._woken = False
        while self._waiting and len(self._tasks) < self._writers:
            batch = self._next_batch()
            if not batch:
                return
            items = [item for item, _ in batch]
            task = asyncio.get_running_loop().run_in_executor(self._executor, write_each, self._write, items)
            self._tasks.add(task)
            task.add_done_callback(lambda task, batch=batch: self._end(task, batch))  # type: ignore[misc]

    def _next_batch(self) -> list[tuple[Item, asyncio.Future[None]]]:
        """Take the first that wait, without those whose callers gave up."""
        batch: list[tuple[Item, asyncio.Future[None]]] = []
        while self._waiting and len(batch) < BATCH:
            entry = self._waiting.popleft()
            if not entry[1].done():
                batch.append(entry)
        return batch

    def _end(
        self, task: asyncio.Future[list[Exception | None]], batch: list[tuple[Item, asyncio.Future[None]]]
    ) -> None:
        self._tasks.discard(task)
        failed = task.exception() if not task.cancelled() else OverloadedError()
        errors: Sequence[BaseException | None] = [failed] * len(batch) if failed is not None else task.result()
        for (_, written), error in zip(batch, errors, strict=True):
            if written.done():
                continue
            if error is None:
                written.set_result(None)
            else:
                written.set_exception(error)
        self._start()


def write_each(write: Callable[[Sequence[Item]], None], items: Sequence[Item]) -> list[Exception | None]:
    """Write items so that one that cannot be written takes no other one with it.

    Where a batch fails, each half is tried by itself, down to the item that is to blame. A database that is away is
    nobody's fault in the batch, so nothing is tried then.

    :return: what went wrong, by item.
    """
    try:
        write(items)
    except TwilioCampaignsError as error:
        return [error] * len(items)
    except Exception as error:  # noqa: BLE001 - whatever it was, the others must not suffer
        if len(items) == 1:
            # Not its text: PostgreSQL quotes the row, with numbers and bodies.
            log.error("A webhook cannot be written: %s at %s.", type(error).__name__, _place(error))  # noqa: TRY400
            return [error]
        middle = len(items) // 2
        return [*write_each(write, items[:middle]), *write_each(write, items[middle:])]
    return [None] * len(items)


def _place(error: Exception) -> str:
    """Give the line of ours in which an error came up."""
    frames = [frame for frame in extract_tb(error.__traceback__) if "twilio_campaigns" in frame.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
