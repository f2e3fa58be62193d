"""One pass over one account's messages of one day: what is due is read with the fewest calls, and applied."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import aclosing
from datetime import timedelta
from itertools import islice, pairwise, starmap
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.chunks import chunks
from twilio_campaigns.domain.planning import (
    Listed,
    Volumes,
    due_ages,
    later,
    messages_of_list,
    pages_left,
    plan,
    second_of,
    split,
)
from twilio_campaigns.engine.applying import PassWriter
from twilio_campaigns.engine.resolve import Resolver
from twilio_campaigns.engine.together import Together, all_of, together
from twilio_campaigns.engine.turns import Turns
from twilio_campaigns.warehouse.due import Ages, DueStore
from twilio_campaigns.warehouse.expiry import Expiry
from twilio_campaigns.warehouse.reconciling import ReconcileStore
from twilio_campaigns.warehouse.repairing import RepairStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.domain.planning import Period
    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.gateway.client import TwilioGateway
    from twilio_campaigns.gateway.resource import MessagePage
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.due import DueMessage
    from twilio_campaigns.warehouse.reconciling import Pass

log = logging.getLogger(__name__)

#: Messages that are asked for one by one and applied together.
FETCH_CHUNK: Final = 200
#: Of messages that lists should have shown, so many are asked for at first, to see whether that brings news.
PROBE: Final = 20
#: Messages that no list showed of which the ledger is asked at a time.
UNSEEN_AT_ONCE: Final = 20_000
#: Pages that are on their way from Twilio or wait to be applied: these hold a thousand messages each.
PAGES_HELD: Final = 20
#: Lists in a row of which together what they did not show is asked for.
ASKED_TOGETHER: Final = 4
#: Whose turn it is to call: a page tells of a thousand messages.
_PAGE, _SINGLE = range(2)
#: So many messages that were asked for, none of which Twilio knows, are a question to a person, be they young.
SUSPICIOUS: Final = 20
#: Share of a list's messages that is taken to have failed before it left, rather than to wait for its turn.
FEW: Final = 0.05
#: Asking for messages that a list should show goes on while at least one in so many has news.
NEWS_IN: Final = 10


class AccountReading:
    """Reads what is due of one account on one day.

    :param warehouse: ledger and events.
    :param settings: ladder, waits, limits.
    :param reading: the pass, whose figures this adds to.
    :param connection_id: Airflow connection of the account.
    :param twilio: an unopened gateway to it.
    """

    def __init__(
        self, warehouse: Warehouse, settings: Settings, reading: Pass, connection_id: str, twilio: TwilioGateway
    ) -> None:
        self._settings = settings
        self._pass = reading
        self._connection_id = connection_id
        self._twilio = twilio
        self._writer = PassWriter(warehouse, settings, reading, connection_id)
        self._expiry = Expiry(warehouse)
        self._repairs = RepairStore(warehouse)
        self._days = ReconcileStore(warehouse, settings.schedule)
        self._store = DueStore(warehouse, connection_id, settings.settle_unpriced_after)
        self._resolver = Resolver(warehouse, twilio, connection_id, settings)
        self._calls = Turns(settings.fetch_concurrency)
        self._pages_held = Turns(PAGES_HELD)
        self._unseen: dict[str, int] = {}
        self._seconds: Counter[int] = Counter()
        self._volumes = Volumes()
        self._listed = Listed()
        self._covered: list[Period] = []
        self._budget = settings.missing_per_pass

    async def run(self) -> None:
        """Make the pass.

        :raises TwilioUnavailableError: when Twilio could not be read; what was read until then is in the tables.
        :raises TwilioRejectedError: when Twilio refuses the connection's credentials.
        """
        self._age_claims()
        observed, asked = self._pass.observed, self._pass.fetches
        await asyncio.to_thread(self._collect_due)
        if self._unseen or self._resolver.has_work():
            async with self._twilio:
                try:
                    await self._resolver.resolve()
                    await self._list()
                    await self._ask_for_the_rest()
                finally:
                    self._pass.api_calls += self._twilio.calls
        asked = self._pass.fetches - asked
        if self._pass.observed == observed and asked >= SUSPICIOUS:
            log.warning(
                "Twilio knows none of the %d messages of %s that were asked for: is this the account that sent them?",
                asked,
                self._connection_id,
            )
        self._give_up()

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

    def _collect_due(self) -> None:
        """Keep little of each message: there may be a million."""
        day = self._pass.day
        if self._pass.full_read:
            rows = self._store.whole_day(day)
        else:
            schedule, last = self._settings.schedule, self._days.last_pass_at(day)
            now = self._pass.started_at
            rows = self._store.due(
                day, Ages(due_ages(schedule.ladder, last, now), due_ages(schedule.price_ladder, last, now))
            )
        for some in rows:
            self._unseen.update(some)
            self._seconds.update(second for _, second in some)

    async def _list(self) -> None:
        """Read lists of the periods in which they take fewer calls than asking for each message."""
        if not self._unseen:
            return
        self._volumes = Volumes(await asyncio.to_thread(self._store.volumes))
        now = int(self._pass.started_at.timestamp())
        try:
            await self._list_periods(plan(self._seconds, self._volumes, now))
            late = Counter(second for second in self._unseen.values() if self._is_covered(second))
            await self._list_periods(later(late, self._covered, self._volumes, now))
        finally:
            await asyncio.to_thread(self._store.keep_volumes, self._listed.volumes())

    async def _list_periods(self, periods: Iterable[Period]) -> None:
        parts: list[Period] = []
        for period in periods:
            messages = messages_of_list(period.after, period.before, period.due, self._volumes)
            parts += split(period, self._seconds, messages, self._settings.fetch_concurrency)
        is_read = [asyncio.Event() for _ in parts]

        async def read(number: int) -> None:
            # Earlier ones first: what they do not show is asked for while the later ones are read. But before all the
            # last one, which is the longest: it also shows what left late.
            async with together() as applying:
                await self._list_period(parts[number], (number + 1) % len(parts), applying)
                is_read[number].set()

        async def ask(begin: int, end: int) -> None:
            # What left a moment later than it was accepted is shown by the list that follows.
            for event in is_read[begin : end + 1]:
                await event.wait()
            await self._ask_for_few(parts[begin:end])

        numbers = range(len(parts))
        # Counted from the end: nothing small is left for when all else is done.
        edges = [0, *range(len(parts) % ASKED_TOGETHER or ASKED_TOGETHER, len(parts) + 1, ASKED_TOGETHER)]
        await all_of([*map(read, (*numbers[-1:], *numbers[:-1])), *starmap(ask, pairwise(edges))])

    async def _list_period(self, period: Period, rank: int, applying: Together) -> None:
        """Read one list, unless it turns out that asking for each message of it takes fewer calls.

        :param rank: lists with less are read and written down first.
        :param applying: where pages are applied, while the next ones are read.
        """
        left, sent = period.due, list[int]()
        async with aclosing(self._pages(period, rank)) as read:
            async for page, release in read:
                sent += [second_of(o.sent_at) for o in page.messages if o.sent_at is not None]
                left -= self._tick_off(page.messages, period)
                applying.start(self._take_in(page.messages, rank, release))
                if not page.is_last and pages_left(period, sent, self._volumes) > max(0, left):
                    # Only other people's messages are left, or too few of ours among them.
                    self._listed.add(min(sent), max(sent), sent, is_sample=True)
                    return
        self._listed.add(period.after, period.before, sent)
        self._covered.append(period)

    async def _pages(self, period: Period, rank: int) -> AsyncGenerator[tuple[MessagePage, Callable[[], None]], None]:
        """Give the pages of a list, and what is to be called when one is done with; each call waits for its turn."""
        pages = aiter(self._twilio.list(sent_after=period.sent_after, sent_before=period.sent_before))
        is_last = False
        while not is_last:
            release = await self._pages_held.enter(rank)
            try:
                async with self._calls.turn(_PAGE):
                    page = await anext(pages)
            except BaseException:
                release()
                raise
            self._pass.list_pages += 1
            self._pass.listed += len(page.messages)
            yield page, release
            is_last = page.is_last

    def _tick_off(self, page: list[Observation], period: Period) -> int:
        """Note what a page shows; give how many of the messages that are expected in the period are among it."""
        seconds = [self._unseen.pop(observation.sid, None) for observation in page]
        return sum(second is not None and period.after <= second <= period.before for second in seconds)

    async def _take_in(self, page: list[Observation], rank: int, release: Callable[[], None]) -> None:
        try:
            await self._writer.take_in(page, rank)
        finally:
            release()

    async def _ask_for_the_rest(self) -> None:
        """Ask for what no list showed.

        What no list was to show is asked for in any case. What a list should have shown is most likely still queued at
        Twilio, or never left: that is asked for as long as it brings news, those first whose last look it is.
        """
        missing = [sid for sid, second in self._unseen.items() if self._is_covered(second)]
        others = [sid for sid, second in self._unseen.items() if not self._is_covered(second)]
        for sids in chunks(others, UNSEEN_AT_ONCE):
            for chunk in chunks(self._wanted(await asyncio.to_thread(self._store.unseen, sids)), FETCH_CHUNK):
                await self._ask(chunk)
        for sids in chunks(missing, UNSEEN_AT_ONCE):
            await self._ask_while_it_pays(sids, PROBE)

    async def _ask_for_few(self, periods: Sequence[Period]) -> None:
        """Ask for the few that some lists did not show, while others are still being read: most never left.

        Where many are missing, they wait in Twilio's queue, and other lists may show them.
        """
        wanted: list[str] = []
        first, last = min(period.after for period in periods), max(period.before for period in periods)
        unseen = [(sid, second) for sid, second in self._unseen.items() if first <= second <= last]
        for period in periods:
            sids = [sid for sid, second in unseen if period.after <= second <= period.before]
            if period in self._covered and len(sids) <= FEW * period.due:
                wanted += sids
        await self._ask_while_it_pays(wanted)

    async def _ask_while_it_pays(self, sids: Sequence[str], first: int = FETCH_CHUNK) -> None:
        """Ask for messages in their order, as long as that brings news.

        :param first: how many are asked for at first; then as many as that were, until it is a chunk.
        """
        wanted = iter(self._wanted(await asyncio.to_thread(self._store.unseen, sids)))
        asked = 0
        while chunk := list(islice(wanted, min(max(first, asked), FETCH_CHUNK))):
            if self._budget <= 0 and not chunk[0].closing:
                return
            asked += len(chunk)
            self._budget -= len(chunk)
            if await self._ask(chunk) * NEWS_IN < len(chunk):
                self._budget = 0

    def _is_covered(self, second: int) -> bool:
        return any(period.after <= second <= period.before for period in self._covered)

    def _wanted(self, messages: Iterable[DueMessage]) -> Iterable[DueMessage]:
        """Leave out what is settled: nobody asks for that alone, except to repair it."""
        return (message for message in messages if self._pass.repair or not message.settled)

    async def _ask(self, messages: Sequence[DueMessage]) -> int:
        """Ask for messages one by one; give how many had news."""

        async def fetch(message: DueMessage) -> Observation | None:
            async with self._calls.turn(_SINGLE):
                return await self._twilio.fetch(message.sid)

        for message in messages:
            self._unseen.pop(message.sid, None)
        found = await all_of(fetch(message) for message in messages)
        self._pass.fetches += len(messages)
        applied = await self._writer.apply([observation for observation in found if observation is not None])
        await self._mind_missing([m for m, o in zip(messages, found, strict=True) if o is None])
        await asyncio.to_thread(self._store.note_asked, [message.sid for message in messages])
        # A queued one whose sender is told now is none; a price that comes is: it settles the message.
        return applied.news.total() + applied.settled

    async def _mind_missing(self, messages: list[DueMessage]) -> None:
        """Twilio does not know these: young ones may still appear, old ones are closed when their time comes."""
        now = self._pass.started_at
        old = [m.sid for m in messages if now - m.accepted_at >= self._settings.young or m.closing]
        if not old:
            return
        log.warning("Twilio does not know %d messages that it accepted, the first is %s.", len(old), old[0])
        await self._writer.settle_unseen(old)
        if self._pass.repair:
            self._pass.events_written += await asyncio.to_thread(self._repairs.repair_from_ledger, old)
