"""What the webhooks write, on threads and connections of their own.

The app shares its process with the heartbeats of Airflow's tasks: nothing here runs on the event loop, and no more
than :data:`CONNECTIONS` connections are ever open.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.exceptions import TransientError, TwilioCampaignsError
from twilio_campaigns.domain.message import Observation
from twilio_campaigns.domain.opt_out import OptOutWords
from twilio_campaigns.domain.status import Source
from twilio_campaigns.domain.webhooks import ToldByTwilio
from twilio_campaigns.warehouse.callbacks import CallbackStore
from twilio_campaigns.warehouse.clicks import ClickStore
from twilio_campaigns.warehouse.inbound import InboundStore
from twilio_campaigns.warehouse.insight.keeping import SummaryKeeper
from twilio_campaigns.warehouse.receipts import Receipts, ReceiptStore
from twilio_campaigns.warehouse.rejections import RejectionStore
from twilio_campaigns.warehouse.reply_addresses import ReplyAddresses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.domain.webhooks import Click, InboundMessage, StatusCallback
    from twilio_campaigns.warehouse.connection import Warehouse

log = logging.getLogger(__name__)

#: Connections of one process: two for status callbacks, one for replies, clicks and summaries each.
CONNECTIONS: Final = 5
#: Seconds for which a connection to the warehouse is awaited.
PATIENCE: Final = 3.0
#: Seconds between two tries to open a warehouse that could not be opened.
PAUSE: Final = 1.0
#: Seconds between two notes that webhooks of a kind come, and two looks at the summaries.
NOTE_EVERY: Final = 10.0
#: Seconds between two complaints about the same.
QUIET: Final = 60.0


class Records:
    """The tables that webhooks write. Opens the warehouse when it is first needed; every method blocks.

    :param open_warehouse: makes it; raises one of our errors while it is away, or not of this version.
    :param settings: words, windows and leases.
    :param clock: seconds; dates receipts.
    """

    def __init__(
        self,
        open_warehouse: Callable[[], Warehouse],
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_warehouse = open_warehouse
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()
        self._warehouse: Warehouse | None = None
        # One for all batches: it learns whether most of what is told is news.
        self._callbacks: CallbackStore | None = None
        self._summaries: SummaryKeeper | None = None
        self._noted: dict[str, float] = {}
        self._failure: tuple[TwilioCampaignsError, float] | None = None
        self._complained_at: float | None = None
        self._closed = False

    def apply(self, callbacks: Sequence[StatusCallback]) -> None:
        """Write status callbacks; errors as for :class:`CallbackStore`."""
        self._opened()
        if self._callbacks is not None:
            self._callbacks.apply(callbacks)
        self._note("status")

    def receive(self, messages: Sequence[InboundMessage]) -> None:
        """Write what people wrote; errors as for :class:`InboundStore`."""
        warehouse = self._opened()
        words = OptOutWords(self._settings.opt_out_words, self._settings.opt_in_words, self._settings.help_words)
        store = InboundStore(warehouse, words)
        receipts = Receipts(warehouse.now(), self._clock())
        told = {message.sid: ToldByTwilio(message.keyword, message.media_urls) for message in messages}
        for connection_id in sorted({name for message in messages for name in message.connections}):
            of_account = [message for message in messages if connection_id in message.connections]
            seen = [_observation(message, receipts.moment(message.received)) for message in of_account]
            store.take_in(connection_id, seen, told)
        self._note("inbound")

    def click(self, clicks: Sequence[Click]) -> None:
        """Write clicks; errors as for :class:`ClickStore`."""
        ClickStore(self._opened(), self._clock).take_in(clicks)
        self._note("click")

    def reject(self, counts: Mapping[str, int]) -> None:
        """Count what was turned away."""
        RejectionStore(self._opened()).add(counts)

    def connections(self) -> set[str]:
        """Airflow connections whose webhooks are taken: the configured ones, and those that campaigns use."""
        return {*self._settings.webhook_connections, *ReplyAddresses(self._opened()).connections()}

    def is_there(self) -> bool:
        """Whether the warehouse answers."""
        try:
            self._opened().now()
        except TwilioCampaignsError:
            return False
        return True

    def close(self) -> None:
        """Close every connection, and open none any more."""
        with self._lock:
            self._closed = True
            warehouse, self._warehouse = self._warehouse, None
        if warehouse is not None:
            warehouse.close()

    def _note(self, kind: str) -> None:
        """Now and then, note that webhooks come, and have the summaries made anew; what was written stays so anyway."""
        now = self._clock()
        if now - self._noted.get(kind, -math.inf) < NOTE_EVERY:
            return
        self._noted[kind] = now
        try:
            ReceiptStore(self._opened()).note(kind)
        except TwilioCampaignsError as error:
            log.warning("That webhooks come could not be noted: %s", error)
        if self._summaries is not None:
            self._summaries.nudge()

    def _opened(self) -> Warehouse:
        """Give the warehouse; one thread at a time tries to open it, and not all the time."""
        with self._lock:
            if self._closed:
                raise TransientError("The webhooks are being shut down.")
            if self._warehouse is None:
                if self._failure is not None and self._clock() - self._failure[1] < PAUSE:
                    raise self._failure[0]
                try:
                    self._warehouse = self._open_warehouse()
                except TwilioCampaignsError as error:
                    self._failure = error, self._clock()
                    self._complain(error)
                    raise
                window, lease = self._settings.tracking_window, self._settings.lease
                self._summaries = SummaryKeeper(self._warehouse)
                self._callbacks = CallbackStore(self._warehouse, window=window, lease=lease, clock=self._clock)
            return self._warehouse

    def _complain(self, error: TwilioCampaignsError) -> None:
        now = self._clock()
        if self._complained_at is None or now - self._complained_at >= QUIET:
            self._complained_at = now
            log.error("Webhooks are answered 503, and Twilio tries again: %s", error)


def _observation(message: InboundMessage, received_at: datetime) -> Observation:
    return Observation(
        sid=message.sid,
        provider_status=message.provider_status,
        direction="inbound",
        created_at=received_at,
        updated_at=received_at,
        source=Source.WEBHOOK,
        parts=message.parts,
        from_number=message.from_number,
        to_number=message.to_number,
        messaging_service_sid=message.messaging_service_sid,
        body=message.body,
    )
