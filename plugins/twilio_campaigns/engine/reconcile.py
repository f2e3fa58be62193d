"""Reconciling one UTC day: read what is open, apply it, say when to look again (PROTOCOLS.md §2)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from twilio_campaigns.domain.exceptions import TwilioCampaignsError
from twilio_campaigns.domain.reconciling import is_neglected
from twilio_campaigns.engine.inbound import InboundSweep
from twilio_campaigns.engine.lessons import pause_refused_runs
from twilio_campaigns.engine.reading import AccountReading
from twilio_campaigns.warehouse.expiry import Expiry
from twilio_campaigns.warehouse.insight.keeping import SummaryKeeper
from twilio_campaigns.warehouse.reconciling import ReconcileStore
from twilio_campaigns.warehouse.repairing import RepairStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import date

    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.gateway.client import TwilioGateway
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.reconciling import Pass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a day came to.

    :param was_read: false when another reader was at it, so that this look saw nothing itself.
    :param finished: nothing of the day is left to find out.
    :param wake_at: when to look again, if not finished.
    :param summary: one line for the log, without any number or body.
    """

    was_read: bool
    finished: bool
    wake_at: datetime
    summary: str


class Reconciler:
    """Reads days and writes what became of their messages.

    :param warehouse: ledger and events.
    :param gateway_of: makes an unopened gateway for an Airflow connection id.
    :param settings: ladder, windows, waits.
    """

    def __init__(
        self, warehouse: Warehouse, gateway_of: Callable[[str], Awaitable[TwilioGateway]], settings: Settings
    ) -> None:
        self._gateway_of = gateway_of
        self._settings = settings
        self._warehouse = warehouse
        self._expiry = Expiry(warehouse)
        self._inbound = InboundSweep(warehouse, settings)
        self._repairs = RepairStore(warehouse)
        self._store = ReconcileStore(warehouse, settings.schedule)
        self._summaries = SummaryKeeper(warehouse)

    async def look(self, day: date, *, full_read: bool) -> Look:
        """Read a day once and decide what comes next; today's reader also minds older, neglected days.

        :param full_read: read the whole day and repair its events, not only what is due.
        :raises TwilioUnavailableError: when Twilio could not be read; the next look carries on.
        :raises TwilioRejectedError: when Twilio refuses the connection's credentials.
        """
        try:
            return await self._look(day, full_read=full_read)
        finally:
            # Also what was read before something went wrong is news.
            await asyncio.to_thread(self._summaries.catch_up)

    async def _look(self, day: date, *, full_read: bool) -> Look:
        reading = await self.read(day, full_read=full_read, repair=full_read)
        state = self._store.state(day)
        if state.now.astimezone(UTC).date() == day:
            await self._read_replies()
            await self._read_neglected(day, state.now)
        list_lag = await self._list_lag(day)
        if state.wants_full_read(list_lag):
            reading = await self.read(day, full_read=True)
            state = self._store.state(day)
        # Whoever asked for a full read gets one, even if the day looks finished while somebody else is at it.
        finished = state.is_finished(list_lag) and not (full_read and reading is None)
        if finished:
            self._store.close(day)
            log.info("Day %s is settled.", day)
        elif reading is not None and state.is_given_up(self._settings.tracking_window):
            finished = True
            log.warning(
                "Day %s is over: %d messages were not settled and %d never found.",
                day,
                state.open_rows,
                state.unresolved,
            )
        wake_at = state.wake_at(list_lag, self._settings.min_wait, self._settings.max_wait)
        if reading is None:
            wake_at = min(wake_at, state.now + self._settings.min_wait)
        left = f"{state.open_rows} open, {state.unresolved} unresolved"
        return Look(reading is not None, finished, wake_at, f"{_describe(reading)} {left}.")

    async def read(self, day: date, *, full_read: bool, repair: bool = False) -> Pass | None:
        """Make one pass over a day; `None` when another reader is at it.

        Every account is read, also when another one cannot be.

        :param full_read: read the whole day, not only what is due; nobody is asked for a settled message alone.
        :param repair: read the whole day, settled messages too, and trust neither ledger nor events.
        :raises TwilioCampaignsError: the first account's failure; what the others said is in the tables.
        """
        full_read = full_read or repair
        reading = self._store.begin(day, self._settings.day_lease, full_read=full_read, repair=repair)
        if reading is None:
            log.info("Day %s is being read by somebody else.", day)
            return None
        try:
            late = self._expiry.close_late()
            if late:
                log.warning("%d planned messages were not sent in time and are not sent any more.", late)
            results = [await self._read_account(reading, name) for name in self._store.connections(day)]
            failures = [failure for failure in results if failure is not None]
            for failure in failures[1:]:
                log.warning("Another account could not be read either: %s", failure)
            for failure in failures[:1]:
                raise failure
            pause_refused_runs(self._warehouse)
            if repair:
                reading.events_written += self._repairs.repair_refused(day)
            reading.complete = True
        except TwilioCampaignsError as error:
            reading.error = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._store.end(reading)
        return reading

    async def _read_account(self, reading: Pass, connection_id: str) -> TwilioCampaignsError | None:
        try:
            twilio = await self._gateway_of(connection_id)
            await AccountReading(self._warehouse, self._settings, reading, connection_id, twilio).run()
        except TwilioCampaignsError as error:
            return error
        return None

    async def _read_replies(self) -> None:
        """Read what people wrote to us; an account that cannot be read keeps the others from nothing."""
        for name in await asyncio.to_thread(self._inbound.connections):
            try:
                if not await asyncio.to_thread(self._inbound.is_due, name):
                    continue
                async with await self._gateway_of(name) as twilio:
                    summary = await self._inbound.sweep(name, twilio)
            except TwilioCampaignsError as error:
                log.warning("Replies of connection %s could not be read: %s", name, error)
                continue
            log.info("Replies of connection %s: %d API calls.", name, summary.pages)

    async def _read_neglected(self, today: date, now: datetime) -> None:
        """Read earlier days whose own run was lost, paused or removed: nothing may depend on it."""
        for day, last_pass_at in self._store.open_days_before(today):
            if is_neglected(day, last_pass_at, now, self._settings.ladder):
                log.info("Day %s has open messages and no recent pass: reading it too.", day)
                try:
                    log.info("Day %s: %s", day, _describe(await self.read(day, full_read=False)))
                except TwilioCampaignsError as error:
                    # Its own run says so in red; neither today nor the other days may wait for it.
                    log.warning("Day %s could not be read whole: %s", day, error)

    async def _list_lag(self, day: date) -> timedelta:
        gateways = [await self._gateway_of(name) for name in self._store.connections(day)]
        return timedelta(seconds=max((twilio.settings.list_lag_seconds for twilio in gateways), default=0))


def _describe(reading: Pass | None) -> str:
    if reading is None:
        return "Somebody else is reading it;"
    kind = "Repair" if reading.repair else "Full pass" if reading.full_read else "Pass"
    return (
        f"{kind}: {reading.api_calls} API calls ({reading.list_pages} pages, {reading.fetches} fetches), "
        f"{reading.observed} observed, {reading.changed} changed, {reading.events_written} events written, "
        f"{reading.settled} settled;"
    )
