"""Reading replies without any webhook: Twilio lists what people wrote to us beside what we wrote (PROTOCOLS.md §2)."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.opt_out import OptOutWords
from twilio_campaigns.domain.planning import PAGE_ROWS, Listed, Period, Volumes, pages_left, second_of
from twilio_campaigns.warehouse.due import DueStore
from twilio_campaigns.warehouse.inbound import InboundStore, TakenIn
from twilio_campaigns.warehouse.reply_addresses import ReplyAddresses

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.gateway.client import TwilioGateway
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.reply_addresses import ReplyNumber

log = logging.getLogger(__name__)

#: Each read begins this long before the last one did: lists show messages late, and clocks differ.
OVERLAP: Final = timedelta(minutes=30)
#: A number that was not known before is read back to its first use, but no further than this.
FIRST_READ: Final = timedelta(days=1)
#: Up to so many numbers of our own each is asked for; a list of the whole account shows also what we sent.
MAX_NUMBERS: Final = 20


@dataclass(slots=True)
class InboundSummary:
    """What one sweep came to.

    :param was_due: false when the last sweep was a moment ago, so that this one read nothing.
    :param pages: of Twilio's lists; each is one API call.
    """

    was_due: bool = False
    pages: int = 0
    taken: TakenIn = field(default_factory=TakenIn)


class InboundSweep:
    """Reads what people wrote to our senders.

    :param warehouse: where replies, events and suppressions are.
    :param settings: how often, and the words of the account.
    """

    def __init__(self, warehouse: Warehouse, settings: Settings) -> None:
        self._warehouse = warehouse
        words = OptOutWords(settings.opt_out_words, settings.opt_in_words, settings.help_words)
        self._store = InboundStore(warehouse, words)
        self._addresses = ReplyAddresses(warehouse)
        self._every = settings.inbound_every

    def connections(self) -> list[str]:
        """Airflow connections whose replies are read: those that a campaign used within the last 30 days."""
        return self._addresses.connections()

    def is_due(self, connection_id: str) -> bool:
        """Whether a sweep would read anything now, so that nobody opens a gateway for nothing."""
        return self._addresses.is_due(connection_id, self._every)

    async def sweep(self, connection_id: str, twilio: TwilioGateway) -> InboundSummary:
        """Read an account's replies since shortly before the last sweep, unless that was a moment ago.

        :param twilio: an open gateway of the account.
        :raises TwilioUnavailableError: when Twilio could not be read; the next sweep begins where this one did.
        :raises TwilioRejectedError: when Twilio refuses the connection's credentials.
        """
        summary = InboundSummary()
        if not await asyncio.to_thread(self.is_due, connection_id):
            return summary
        summary.was_due = True
        reading = await asyncio.to_thread(self._addresses.begin, connection_id, overlap=OVERLAP, first_read=FIRST_READ)
        by_number = list(reading.numbers)
        known = [number for number in reading.numbers if reading.is_first or not number.is_new]
        if known and await self._read_account(connection_id, twilio, known, summary):
            by_number = [number for number in by_number if number not in known]
        for number in by_number:
            async for page in twilio.list(to=number.number, sent_after=number.since):
                await self._take_page(connection_id, page.messages, summary)
        await asyncio.to_thread(self._addresses.end, reading)
        return summary

    async def _read_account(
        self, connection_id: str, twilio: TwilioGateway, numbers: Sequence[ReplyNumber], summary: InboundSummary
    ) -> bool:
        """Read what the whole account has had meanwhile; `False` where it turns out that each number takes fewer calls.

        What the list showed is remembered: the next sweep, and the passes, know how busy the account is.
        """
        store = DueStore(self._warehouse, connection_id, timedelta(0))
        after, before = (int(moment.timestamp()) for moment in (min(n.since for n in numbers), self._warehouse.now()))
        must = len(numbers) > MAX_NUMBERS
        volumes = Volumes(await asyncio.to_thread(store.volumes))
        if not must and volumes.lately(after, before) / PAGE_ROWS > len(numbers):
            return False
        listed, sent = Listed(), list[int]()
        async for page in twilio.list(sent_after=datetime.fromtimestamp(after, UTC)):
            await self._take_page(connection_id, page.messages, summary)
            sent += [second_of(observation.sent_at) for observation in page.messages if observation.sent_at]
            left = 0.0 if page.is_last else pages_left(Period(after, before, 0), sent, Volumes())
            if not must and left > len(numbers):
                listed.add(min(sent), max(sent), sent, is_sample=True)
                await asyncio.to_thread(store.keep_volumes, listed.volumes())
                return False
        listed.add(after, before, sent)
        await asyncio.to_thread(store.keep_volumes, listed.volumes())
        return True

    async def _take_page(self, connection_id: str, page: list[Observation], summary: InboundSummary) -> None:
        summary.pages += 1
        summary.taken.add(await asyncio.to_thread(self.take_in, connection_id, page))

    def take_in(self, connection_id: str, observations: Iterable[Observation]) -> TakenIn:
        """Write down the replies among what a list happens to show; costs nothing where there are none."""
        inbound = [observation for observation in observations if observation.is_inbound]
        if not inbound:
            return TakenIn()
        taken = self._store.take_in(connection_id, inbound)
        if taken.received:
            log.info(
                "%d new replies through %s: %d answer a campaign message, %d say stop, %d start, %d help.",
                taken.received,
                connection_id,
                taken.answers,
                taken.opted_out,
                taken.opted_in,
                taken.asked_for_help,
            )
        return taken
