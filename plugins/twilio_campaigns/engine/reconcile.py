"""Reconciling one UTC day: read what is open, apply it, say when to look again (PROTOCOLS.md §2)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.chunks import chunks
from twilio_campaigns.domain.exceptions import TwilioCampaignsError
from twilio_campaigns.domain.reconciling import is_neglected, list_is_cheaper, window_of
from twilio_campaigns.engine.lessons import pause_refused_runs
from twilio_campaigns.engine.resolve import Resolver
from twilio_campaigns.warehouse.events import Applied, EventStore
from twilio_campaigns.warehouse.expiry import Expiry
from twilio_campaigns.warehouse.reconciling import ReconcileStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import date

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.gateway.client import TwilioGateway
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.reconciling import DueMessage, Pass

log = logging.getLogger(__name__)

#: Fetched messages that are applied together.
FETCH_CHUNK: Final = 200


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
        self._events = EventStore(warehouse)
        self._store = ReconcileStore(warehouse, settings.ladder)

    async def look(self, day: date, *, full_read: bool) -> Look:
        """Read a day once and decide what comes next; today's reader also minds older, neglected days.

        :param full_read: read the whole day and repair its events, not only what is due.
        :raises TwilioUnavailableError: when Twilio could not be read; the next look carries on.
        :raises TwilioRejectedError: when Twilio refuses the connection's credentials.
        """
        reading = await self.read(day, full_read=full_read)
        state = self._store.state(day)
        if state.now.astimezone(UTC).date() == day:
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

    async def read(self, day: date, *, full_read: bool) -> Pass | None:
        """Make one pass over a day; `None` when another reader is at it.

        Every account is read, also when another one cannot be.

        :raises TwilioCampaignsError: the first account's failure; what the others said is in the tables.
        """
        reading = self._store.begin(day, self._settings.day_lease, full_read=full_read)
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
            if full_read:
                reading.events_written += self._store.repair_refused(day)
            reading.complete = True
        except TwilioCampaignsError as error:
            reading.error = f"{type(error).__name__}: {error}"
            raise
        finally:
            self._store.end(reading)
        return reading

    async def _read_account(self, reading: Pass, connection_id: str) -> TwilioCampaignsError | None:
        try:
            await _Reading(self, reading, connection_id, await self._gateway_of(connection_id)).run()
        except TwilioCampaignsError as error:
            return error
        return None

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


class _Reading:
    """One pass over the messages that one account has on one day."""

    def __init__(self, reconciler: Reconciler, reading: Pass, connection_id: str, twilio: TwilioGateway) -> None:
        self._settings = reconciler._settings  # noqa: SLF001 - one story in two classes
        self._expiry = reconciler._expiry  # noqa: SLF001
        self._events = reconciler._events  # noqa: SLF001
        self._store = reconciler._store  # noqa: SLF001
        self._twilio = twilio
        self._connection_id = connection_id
        self._pass = reading
        self._resolver = Resolver(reconciler._warehouse, twilio, connection_id, self._settings)  # noqa: SLF001

    async def run(self) -> None:
        self._age_claims()
        due = self._due()
        if due or self._resolver.has_work():
            async with self._twilio:
                try:
                    await self._resolver.resolve()
                    await self._read(due)
                finally:
                    self._pass.api_calls += self._twilio.calls
        self._give_up()

    async def _read(self, due: list[DueMessage]) -> None:
        unseen = {message.sid: message for message in due}
        if due and list_is_cheaper(len(due), self._store.listed_before(self._pass.day)):
            await self._list(due, unseen)
        await self._fetch(list(unseen.values()))

    def _age_claims(self) -> None:
        """Nobody's claims are minded here for all campaigns, paused and removed ones too."""
        list_lag = timedelta(seconds=self._twilio.settings.list_lag_seconds)
        stale = self._expiry.age_claims(self._connection_id, self._settings.lease, list_lag)
        if stale:
            log.warning("%d claims outlived their lease; whether Twilio has them is looked up.", stale)

    def _give_up(self) -> None:
        """Close what is still unknown when its window ends, after a last look."""
        closed = self._expiry.close_unknown(self._connection_id, self._settings.tracking_window)
        if closed:
            log.warning("%d messages were given up: whether Twilio took them is not known.", closed)

    def _due(self) -> list[DueMessage]:
        day = self._pass.day
        if self._pass.full_read:
            return self._store.whole_day(day, self._connection_id)
        return self._store.due(day, self._connection_id, self._store.state(day).last_pass_at)

    async def _list(self, due: list[DueMessage], unseen: dict[str, DueMessage]) -> None:
        accepted = [message.accepted_at for message in due]
        window = window_of(min(accepted), max(accepted), self._pass.started_at)
        async for page in self._twilio.list(sent_after=window.after, sent_before=window.before):
            self._pass.list_pages += 1
            self._pass.listed += len(page)
            for sid in (await self._apply(page)).ours:
                unseen.pop(sid, None)
            await asyncio.to_thread(self._store.renew, self._pass, self._settings.day_lease)

    async def _fetch(self, messages: list[DueMessage]) -> None:
        limit = asyncio.Semaphore(self._settings.fetch_concurrency)

        async def fetch(message: DueMessage) -> Observation | None:
            async with limit:
                return await self._twilio.fetch(message.sid)

        for chunk in chunks(messages, FETCH_CHUNK):
            found = await _all(fetch(message) for message in chunk)
            self._pass.fetches += len(chunk)
            await self._apply([observation for observation in found if observation is not None])
            await self._mind_missing([m for m, o in zip(chunk, found, strict=True) if o is None])

    async def _mind_missing(self, messages: list[DueMessage]) -> None:
        """Twilio does not know these: young ones may still appear, old ones are closed when their time comes."""
        now = self._pass.started_at
        old = [m.sid for m in messages if now - m.accepted_at >= self._settings.young or m.closing]
        if not old:
            return
        log.warning("Twilio does not know %d messages that it accepted, the first is %s.", len(old), old[0])
        self._pass.settled += await asyncio.to_thread(
            self._events.settle_unseen, old, self._settings.settle_unpriced_after
        )
        if self._pass.full_read:
            self._pass.events_written += await asyncio.to_thread(self._store.repair_from_ledger, old)

    async def _apply(self, observations: list[Observation]) -> Applied:
        applied = await asyncio.to_thread(
            self._events.apply,
            observations,
            repair=self._pass.full_read,
            settle_unpriced_after=self._settings.settle_unpriced_after,
        )
        self._pass.observed += len(applied.ours)
        self._pass.changed += applied.changed
        self._pass.events_written += applied.events
        self._pass.settled += applied.settled
        return applied


async def _all(calls: Iterable[Awaitable[Observation | None]]) -> list[Observation | None]:
    """Run all; after the first failure cancel the others, so that none goes on behind a failed pass."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _describe(reading: Pass | None) -> str:
    if reading is None:
        return "Somebody else is reading it;"
    kind = "Full pass" if reading.full_read else "Pass"
    return (
        f"{kind}: {reading.api_calls} API calls ({reading.list_pages} pages, {reading.fetches} fetches), "
        f"{reading.observed} observed, {reading.changed} changed, {reading.events_written} events written, "
        f"{reading.settled} settled;"
    )
