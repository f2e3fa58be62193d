"""Beside the sending of a batch: whether its run may still be sent, and how far it has come."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.exceptions import TransientError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from twilio_campaigns.engine.chunk import Tally
    from twilio_campaigns.warehouse.ledger import Ledger
    from twilio_campaigns.warehouse.runs import RunStore

log = logging.getLogger(__name__)

#: Seconds between two looks whether the run may still be sent.
WATCH_EVERY: Final = 1.0
#: Seconds between two lines of progress in the log.
PROGRESS_EVERY: Final = 10.0


@asynccontextmanager
async def watched(runs: RunStore, run_key: str, halt: Callable[[], None]) -> AsyncIterator[None]:
    """Call for a halt, within the block, as soon as somebody pauses or stops the run.

    A claim looks, too; but tasks that share a sender hold chunks for longer than people want to wait.
    """
    watch = asyncio.create_task(_watch(runs, run_key, halt))
    try:
        yield
    finally:
        watch.cancel()


async def _watch(runs: RunStore, run_key: str, halt: Callable[[], None]) -> None:
    may_send = True
    while may_send:
        await asyncio.sleep(WATCH_EVERY)
        with suppress(TransientError):
            may_send = await asyncio.to_thread(runs.may_send, run_key)
    log.info("Run %s may not be sent any more: what was claimed and not posted stays planned.", run_key)
    halt()


class BatchProgress:
    """Says now and then how far a batch has come.

    :param ledger: where it is counted what is left.
    :param tally: what this try has done.
    :param clock: seconds.
    """

    def __init__(self, ledger: Ledger, tally: Tally, clock: Callable[[], float]) -> None:
        self._ledger = ledger
        self._tally = tally
        self._clock = clock
        self._told_at, self._told_done = clock(), self._done

    @property
    def _done(self) -> int:
        return self._tally.accepted + self._tally.refused

    async def tell(self, run_key: str, batch_no: int) -> bool:
        """Write a line if the last one was a while ago; say whether it was."""
        elapsed = self._clock() - self._told_at
        if elapsed < PROGRESS_EVERY:
            return False
        rate = (self._done - self._told_done) / elapsed
        left = (await asyncio.to_thread(self._ledger.progress, run_key, batch_no)).left
        log.info(
            "Batch %d: %d accepted, %d refused, %d unknown, %d left; %.1f messages/s, %s to go.",
            batch_no,
            self._tally.accepted,
            self._tally.refused,
            self._tally.unknown,
            left,
            rate,
            timedelta(seconds=round(left / rate)) if rate else "unknown time",
        )
        self._told_at, self._told_done = self._clock(), self._done
        return True
