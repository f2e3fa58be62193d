"""Looking up messages whose answer got lost: nothing is sent again before Twilio has shown no trace of it (S6)."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.resolving import SKEW
from twilio_campaigns.domain.steps import Step, reached
from twilio_campaigns.engine.send import campaign_of
from twilio_campaigns.warehouse.expiry import Expiry
from twilio_campaigns.warehouse.insight.keeping import SummaryKeeper
from twilio_campaigns.warehouse.resolving import Resolved, ResolveStore
from twilio_campaigns.warehouse.runs import RunStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.gateway.client import TwilioGateway
    from twilio_campaigns.warehouse.connection import Warehouse

log = logging.getLogger(__name__)

#: Pages of one number's messages that are read; whoever has had more is decided by a person.
MAX_PAGES: Final = 5
#: From so many numbers on, the account's list is read first: a page of it shows what a thousand look-ups would.
MANY: Final = 100
#: Pages of the account's list per number: more would cost more than looking each one up.
PAGES_PER_NUMBER: Final = 0.5


class Resolver:
    """Looks up the doubtful rows of one account.

    :param warehouse: the ledger.
    :param twilio: an open gateway of the account.
    :param connection_id: the account's connection, as the ledger names it.
    :param settings: lease, gap between look-ups, tracking window.
    """

    def __init__(self, warehouse: Warehouse, twilio: TwilioGateway, connection_id: str, settings: Settings) -> None:
        self._warehouse = warehouse
        self._store = ResolveStore(warehouse)
        self._twilio = twilio
        self._connection_id = connection_id
        self._settings = settings
        # Whoever waited for a connection would wait against the clock.
        self._limit = asyncio.Semaphore(min(settings.fetch_concurrency, twilio.max_connections))

    async def resolve(self, run_key: str | None = None) -> Resolved:
        """Look up every number that is due, and adopt what Twilio took. Nothing is sent again by this alone.

        :param run_key: only this run's; `None`: every campaign's, as reconciling does it.
        :raises TwilioUnavailableError: when Twilio could not be read; the next look carries on.
        """
        total = Resolved()
        due = await asyncio.to_thread(self._due_numbers, run_key)
        if not due:
            return total
        # What is read from here on shows at least this moment, however long it takes until it is decided about.
        seen_at = await asyncio.to_thread(self._warehouse.now)
        numbers = list(due)
        if len(numbers) >= MANY:
            total.add(await self._adopt_many(due, seen_at))
            numbers = list(await asyncio.to_thread(self._due_numbers, run_key))
        lists_are_current = await self._lists_are_current()
        for resolved in await asyncio.gather(
            *(self._resolve_number(number, seen_at, lists_are_current=lists_are_current) for number in numbers)
        ):
            total.add(resolved)
        log.info(
            "%d numbers with lost answers looked up: %d messages were taken by Twilio, %d show no trace.",
            len(due),
            total.adopted,
            total.absent,
        )
        if total.undecided:
            log.error(
                "%d messages may be one of several at Twilio, and are neither adopted nor sent again: see the rows of "
                "table messages with undecided_at. A person has to compare them with Twilio's message log.",
                total.undecided,
            )
        return total

    async def _adopt_many(self, due: Mapping[str, datetime], seen_at: datetime) -> Resolved:
        """Adopt from the account's list what it shows; whom it does not show is looked up by number afterwards.

        Nothing is adopted unless the list was read back to before the oldest claim, messages that were never sent
        included: a second message that fits as well must not be missed.
        """
        total = Resolved()
        by_number = await self._messages_since(min(due.values()) - SKEW, round(len(due) * PAGES_PER_NUMBER))
        for number in due.keys() & by_number.keys():
            found = await self._decide(number, by_number[number], seen_at, absence_counts=False, is_look_up=False)
            total.adopted += found.adopted
        return total

    async def _messages_since(self, moment: datetime, max_pages: int) -> Mapping[str, list[Observation]]:
        """Read the account's newest messages by number; nothing if that takes too many pages."""
        by_number: defaultdict[str, list[Observation]] = defaultdict(list)
        pages = 0
        async for page in self._twilio.list():
            pages += 1
            for seen in page.messages:
                by_number[seen.to_number or ""].append(seen)
            # Sorted by the moment of sending: what follows was sent, and so created, before that.
            last = page.messages[-1] if page.messages else None
            if last is not None and last.sent_at is not None and last.sent_at < moment:
                return by_number
            if pages >= max_pages:
                return {}
        return by_number

    def has_work(self) -> bool:
        """Whether any number is to be looked up now."""
        return bool(self._due_numbers(None))

    def _due_numbers(self, run_key: str | None) -> dict[str, datetime]:
        return self._store.due_numbers(self._connection_id, run_key, self._settings.lookup_gap)

    async def _resolve_number(self, number: str, seen_at: datetime, *, lists_are_current: bool) -> Resolved:
        seen, is_whole = await self._messages_to(number)
        return await self._decide(number, seen, seen_at, absence_counts=lists_are_current and is_whole)

    async def _decide(
        self,
        number: str,
        seen: Sequence[Observation],
        seen_at: datetime,
        *,
        absence_counts: bool,
        is_look_up: bool = True,
    ) -> Resolved:
        reached(Step.LOOKED_UP)
        return await asyncio.to_thread(
            self._store.resolve,
            self._connection_id,
            number,
            seen,
            seen_at=seen_at,
            absence_counts=absence_counts,
            is_look_up=is_look_up,
            list_lag=timedelta(seconds=self._twilio.settings.list_lag_seconds),
            lease=self._settings.lease,
            gap=self._settings.lookup_gap,
            window=self._settings.tracking_window,
        )

    async def _messages_to(self, number: str) -> tuple[list[Observation], bool]:
        """List every message to a number, never-sent ones too; tell whether that could be done."""
        seen: list[Observation] = []
        pages = 0
        async with self._limit:
            async for page in self._twilio.list(to=number):
                seen.extend(page.messages)
                pages += 1
                if pages > MAX_PAGES:
                    # What else there is might fit as well: then nothing that was read proves anything.
                    return [], False
        return seen, True

    async def _lists_are_current(self) -> bool:
        """Whether Twilio lists a message that it accepted so long ago that it must (the control of S6)."""
        list_lag = timedelta(seconds=self._twilio.settings.list_lag_seconds)
        control = await asyncio.to_thread(self._store.control, self._connection_id, list_lag, self._settings.lease)
        if control is None:
            return False
        sid, number = control
        seen, _ = await self._messages_to(number)
        is_current = any(observation.sid == sid for observation in seen)
        if not is_current:
            log.warning(
                "Twilio's list does not show message %s, older than list_lag_seconds: no absence counts now.", sid
            )
        return is_current


class RunResolver:
    """The doubtful rows of one campaign run, for the run's own DAG: only that sends again.

    :param warehouse: the ledger.
    :param run_key: the run.
    :param settings: lease, gap between look-ups, how often a paused run is looked at.
    :ivar found: what the look-ups of this object came to.
    :ivar freed: how many messages they let be sent again.
    """

    def __init__(self, warehouse: Warehouse, run_key: str, settings: Settings) -> None:
        self._warehouse = warehouse
        self._expiry = Expiry(warehouse)
        self._runs = RunStore(warehouse)
        self._store = ResolveStore(warehouse)
        self._summaries = SummaryKeeper(warehouse)
        self.run_key = run_key
        self._settings = settings
        self.found = Resolved()
        self.freed = 0

    async def campaign(self) -> Campaign | None:
        """Give the campaign as it was frozen, if anything of the run is in doubt or waits to be sent again."""
        run = await asyncio.to_thread(self._runs.run, self.run_key)
        if run is None or not run.spec:
            return None
        has_work = await self.wake_at() is not None or await self._to_send_again()
        return campaign_of(run.spec) if has_work else None

    async def look(self, twilio: TwilioGateway) -> list[int]:
        """Look up what is due; give the batches that have rows to be sent, again or after a pause."""
        campaign = await self.campaign()
        if campaign is None:
            return []
        list_lag = timedelta(seconds=twilio.settings.list_lag_seconds)
        await asyncio.to_thread(self._expiry.age_claims, campaign.connection, self._settings.lease, list_lag)
        resolver = Resolver(self._warehouse, twilio, campaign.connection, self._settings)
        self.found.add(await resolver.resolve(self.run_key))
        freed = await asyncio.to_thread(self._store.free, self.run_key)
        self.freed += freed
        if freed:
            log.info("%d messages that Twilio shows no trace of are planned again.", freed)
        batches = await self._to_send_again()
        await asyncio.to_thread(self._summaries.catch_up, [self.run_key])
        return batches

    async def _to_send_again(self) -> list[int]:
        return await asyncio.to_thread(self._store.batches_to_send_again, self.run_key)

    async def wake_at(self) -> datetime | None:
        """Say when the next look is due; `None` when nothing is in doubt or waits that could still be sent."""
        return await asyncio.to_thread(
            self._store.next_look_at,
            self.run_key,
            lease=self._settings.lease,
            gap=self._settings.lookup_gap,
            paused_wait=self._settings.paused_wait,
        )
