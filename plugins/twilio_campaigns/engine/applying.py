"""What a pass reads is applied: pages by rank and several together, single messages before all, a few at a time."""

from __future__ import annotations

import asyncio
import time
from itertools import chain
from typing import TYPE_CHECKING, Final

from twilio_campaigns.engine.inbound import InboundSweep
from twilio_campaigns.engine.turns import Backlog, Turns
from twilio_campaigns.warehouse.applying import Applied, EventStore
from twilio_campaigns.warehouse.reconciling import ReconcileStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.reconciling import Pass

#: Transactions at the same time: some are encoded while others are written. Where two processors do both, three left
#: them idle a fifth of the time. Each takes one of the warehouse's connections; so do questions about single messages.
WRITERS: Final = 4
#: Pages of a transaction, where many wait: together they take a tenth less than one by one. The warehouse's `CHUNK` has
#: room for as many.
PAGES_AT_ONCE: Final = 2
#: Before all pages: single messages are few.
_AT_ONCE: Final = -1


class PassWriter:
    """Applies what one pass reads of one account, and counts what that changes.

    :param warehouse: ledger and events.
    :param settings: waits and leases.
    :param reading: the pass, whose figures this adds to.
    :param connection_id: Airflow connection of the account.
    """

    def __init__(self, warehouse: Warehouse, settings: Settings, reading: Pass, connection_id: str) -> None:
        self._settings = settings
        self._pass = reading
        self._connection_id = connection_id
        self._events = EventStore(warehouse)
        self._inbound = InboundSweep(warehouse, settings)
        self._days = ReconcileStore(warehouse, settings.schedule)
        self._writers = Turns(WRITERS)
        self._pages = Backlog(self._writers, self._apply_pages, PAGES_AT_ONCE)
        self._renewed_at = time.monotonic()

    async def take_in(self, page: list[Observation], rank: int) -> None:
        """Apply a page of a list, perhaps together with others; replies among it too.

        :param rank: pages with less go first.
        """
        await self._pages.put(page, rank)
        if time.monotonic() - self._renewed_at > self._settings.day_lease.total_seconds() / 4:
            self._renewed_at = time.monotonic()
            await asyncio.to_thread(self._days.renew, self._pass, self._settings.day_lease)

    async def apply(self, observations: Sequence[Observation]) -> Applied:
        """Apply messages that were asked for one by one, before all pages that wait."""
        async with self._writers.turn(_AT_ONCE):
            return await self._apply(observations)

    async def settle_unseen(self, sids: Sequence[str]) -> None:
        """Settle messages that were asked for, that Twilio does not know, and whose time is over."""
        self._pass.settled += await asyncio.to_thread(
            self._events.settle_unseen, sids, self._settings.settle_unpriced_after
        )

    async def _apply_pages(self, pages: list[list[Observation]]) -> None:
        observations = list(chain.from_iterable(pages))
        await self._apply(observations)
        if any(observation.is_inbound for observation in observations):
            await asyncio.to_thread(self._inbound.take_in, self._connection_id, observations)

    async def _apply(self, observations: Sequence[Observation]) -> Applied:
        applied = await asyncio.to_thread(
            self._events.apply,
            observations,
            repair=self._pass.repair,
            settle_unpriced_after=self._settings.settle_unpriced_after,
        )
        self._pass.observed += len(applied.ours)
        self._pass.changed += applied.changed
        self._pass.events_written += applied.events
        self._pass.settled += applied.settled
        self._pass.news += applied.news
        return applied
