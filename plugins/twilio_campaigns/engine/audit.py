"""The audit of a closed day: Twilio's list beside the ledger, page by page, in memory that does not grow with it.

Lists come first, because a call gives a thousand messages; what they do not show is asked for by SID, and only a 404
then means that Twilio does not know it. Where an account holds far more messages than ours, its whole list is not read:
lists of our own From numbers show nearly all that is ours, and orphans are looked for among those.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.audit_result import AccountAudit, AuditResult, Finding, Kind, Search
from twilio_campaigns.domain.auditing import (
    FREE_PAGES,
    WORTH,
    SidSet,
    is_ahead,
    looks_like_ours,
    pages,
    periods,
)
from twilio_campaigns.domain.exceptions import ConfigurationError, TwilioCampaignsError
from twilio_campaigns.engine.together import all_of
from twilio_campaigns.warehouse.auditing import AuditStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from datetime import date, datetime

    from twilio_campaigns.domain.auditing import AuditedRow, Senders
    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.gateway.client import TwilioGateway
    from twilio_campaigns.warehouse.connection import Warehouse

log = logging.getLogger(__name__)


#: Lists that are read at a time.
LISTS_AT_ONCE: Final = 4
#: Rows per sender from which its list is read hour by hour: a page token does not live for ever.
LONG_LIST: Final = 5000
#: Messages that are asked for before they are compared.
FETCH_CHUNK: Final = 200
#: When so many are missing and none was found, the rest is not asked for: that would take a call for every row.
HOPELESS: Final = 5000


class Auditor:
    """Compares days with what Twilio has. Changes nothing but the audits' own tables.

    :param warehouse: the ledger, and where findings are kept.
    :param gateway_of: makes an unopened gateway for an Airflow connection id.
    :param settings: how many messages are asked for at a time.
    :param other_senders: From numbers and Messaging Services that campaigns share with something that keeps no
        ledger; orphans of theirs cannot be told from its messages, and are not looked for.
    :param free_pages: pages that a list may always have.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        gateway_of: Callable[[str], Awaitable[TwilioGateway]],
        settings: Settings,
        *,
        other_senders: Sequence[str] = (),
        free_pages: int = FREE_PAGES,
    ) -> None:
        self._gateway_of = gateway_of
        self._store = AuditStore(warehouse)
        self._settings = settings
        self._other_senders = other_senders
        self._free_pages = free_pages

    async def audit(self, day: date) -> AuditResult:
        """Audit one UTC day of every account that sent campaigns on it, and write down what was found.

        An account that cannot be read hides none of the others: its failure is in the result.

        :param day: UTC day of acceptance.
        :raises TwilioCampaignsError: when the warehouse cannot be read or written.
        """
        names = await asyncio.to_thread(self._store.connections, day)
        return AuditResult(day, tuple([await self._audit_account(day, name) for name in names]))

    async def _audit_account(self, day: date, connection_id: str) -> AccountAudit:
        audit = await asyncio.to_thread(self._store.begin, day, connection_id)
        try:
            unseen = await asyncio.to_thread(self._store.accepted, audit)
            audit.accepted = len(unseen)
            async with await self._gateway_of(connection_id) as twilio:
                try:
                    await self._compare(audit, unseen, twilio)
                finally:
                    audit.api_calls = twilio.calls
            audit.complete = True
        except TwilioCampaignsError as error:
            audit.failure = error
        await asyncio.to_thread(self._store.end, audit)
        return audit

    async def _compare(self, audit: AccountAudit, unseen: SidSet, twilio: TwilioGateway) -> None:
        senders = await asyncio.to_thread(self._store.senders, audit)
        comparison = _Comparison(self._store, audit, unseen, senders.without(self._other_senders))
        await _Lists(self._store, audit, comparison, twilio, self._free_pages).read(senders)
        await self._fetch(audit, unseen, comparison, twilio)

    async def _fetch(self, audit: AccountAudit, unseen: SidSet, comparison: _Comparison, twilio: TwilioGateway) -> None:
        """Ask for what no list showed: messages that were never sent have no date to be listed by."""
        limit = asyncio.Semaphore(self._settings.fetch_concurrency)

        async def fetch(sid: str) -> Observation | None:
            async with limit:
                return await twilio.fetch(sid)

        while sids := unseen.take(FETCH_CHUNK):
            found = await all_of(fetch(sid) for sid in sids)
            audit.fetched += len(sids)
            await comparison.judge(sids, [seen for seen in found if seen is not None])
            if audit.missing >= HOPELESS and not audit.matched and not audit.different:
                raise ConfigurationError(
                    f"Twilio knows none of {audit.missing:,} messages of the day. Connection {audit.connection} seems "
                    "to mean another account than the one that sent them; put its Account SID and credentials right."
                )


class _Comparison:
    """Judges what Twilio shows, message by message.

    :param unseen: the day's rows that nobody has shown yet; what was judged is taken out.
    :param senders: whose messages may be orphans.
    """

    def __init__(self, store: AuditStore, audit: AccountAudit, unseen: SidSet, senders: Senders) -> None:
        self._store = store
        self._audit = audit
        self._unseen = unseen
        self._senders = senders
        self._without_row = SidSet()

    async def see(self, page: Sequence[Observation]) -> None:
        """Compare one page of a list. A message may come twice, in two lists or because one began again."""
        outbound = {seen.sid: seen for seen in page if not seen.is_inbound}
        self._audit.listed += len(page)
        known = await asyncio.to_thread(self._store.known, list(outbound))
        for sid, row in known.rows.items():
            if self._unseen.remove(sid):
                self._judge(row, outbound[sid])
        strange = [
            seen
            for sid, seen in outbound.items()
            if sid not in known.rows
            and looks_like_ours(seen, self._audit.day, self._senders)
            and self._without_row.add(sid)
        ]
        await self._judge_strange(strange, known.strays)

    async def judge(self, sids: Sequence[str], found: Iterable[Observation]) -> None:
        """Compare rows of the day that were asked for by SID.

        :param found: what Twilio knows of them.
        """
        seen = {observation.sid: observation for observation in found}
        known = await asyncio.to_thread(self._store.known, sids)
        for sid, row in known.rows.items():
            self._judge(row, seen.get(sid))

    def _judge(self, row: AuditedRow, seen: Observation | None) -> None:
        """Count one row; while its window is open a gap may still close by itself."""
        if seen is not None and not is_ahead(seen, row):
            self._audit.matched += 1
        elif row.is_open:
            self._audit.still_open += 1
        else:
            kind, word = (Kind.DIFFERENT, seen.provider_status) if seen else (Kind.MISSING, None)
            self._audit.find(Finding(kind, row.sid, row.key, row.provider_status, word))

    async def _judge_strange(self, strange: Sequence[Observation], strays: frozenset[str]) -> None:
        """Count messages that look like ours and have no row, each once."""
        if not strange:
            return
        numbers = [seen.to_number for seen in strange if seen.to_number]
        doubtful = await asyncio.to_thread(self._store.doubtful, self._audit, numbers)
        for seen in strange:
            if seen.sid in strays:
                self._audit.set_aside += 1
            elif seen.to_number in doubtful:
                self._audit.doubtful += 1
            else:
                self._audit.find(Finding(Kind.ORPHAN, seen.sid, provider_status=seen.provider_status))


class _Lists:
    """Chooses the lists that are worth their calls, and reads them beside each other.

    :param free_pages: pages that a list may always have.
    """

    def __init__(
        self,
        store: AuditStore,
        audit: AccountAudit,
        comparison: _Comparison,
        twilio: TwilioGateway,
        free_pages: int,
    ) -> None:
        self._store = store
        self._audit = audit
        self._comparison = comparison
        self._twilio = twilio
        self._free_pages = free_pages
        self._pages = 0

    async def read(self, senders: Senders) -> None:
        """Read the account's list; where that is too long, the lists of our own From numbers.

        :param senders: all of them, those too whose orphans are not looked for: their lists show our rows.
        """
        ((after, before),) = periods(self._audit.day, hours=False)
        listed = await asyncio.to_thread(self._store.listed_before, self._audit, after, before)
        budget = self._budget(1)
        if pages(listed) <= budget and await self._read([None], budget):
            return
        numbers = sorted(senders.numbers | await asyncio.to_thread(self._store.numbers, self._audit))
        log.info(
            "%s: the account's list of %s has more than %d pages, too many for %d messages of ours. The lists of %d "
            "From numbers are read instead.",
            self._audit.connection,
            self._audit.day,
            budget,
            self._audit.accepted,
            len(numbers),
        )
        is_whole = await self._read(numbers, self._budget(len(numbers)))
        self._audit.search = Search.NUMBERS if is_whole else Search.PART

    def _budget(self, lists: int) -> int:
        return max(self._free_pages, WORTH * (pages(self._audit.accepted) + lists - 1))

    async def _read(self, numbers: Sequence[str | None], budget: int) -> bool:
        """Read the lists of these From numbers, `None` for everybody's; false if they are longer than the budget."""
        many = self._audit.accepted > LONG_LIST * len(numbers)
        limit = asyncio.Semaphore(LISTS_AT_ONCE)
        last = self._pages + budget

        async def read(number: str | None, after: datetime, before: datetime) -> bool:
            async with limit:
                if self._pages >= last:
                    return False
                async for page in self._twilio.list(from_=number, sent_after=after, sent_before=before):
                    self._pages += 1
                    await self._comparison.see(page.messages)
                    if self._pages > last:
                        return False
            return True

        # The latest first, as the list itself has them.
        spans = periods(self._audit.day, hours=many)[::-1]
        return all(await all_of(read(number, *span) for number in numbers for span in spans))
