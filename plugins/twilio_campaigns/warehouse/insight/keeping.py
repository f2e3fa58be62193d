"""Summaries kept on behalf of those whose work is another one: what goes wrong is logged, and left to the next.

No batch fails, no pass turns red and no webhook waits because figures for a page could not be made.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import psycopg

from twilio_campaigns.domain.exceptions import TwilioCampaignsError
from twilio_campaigns.warehouse.insight.refreshing import EVERY, Summaries

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from twilio_campaigns.warehouse.connection import Warehouse

log = logging.getLogger(__name__)

#: What waits longer than this was left behind by somebody who is gone.
STALE: Final = timedelta(minutes=1)


class SummaryKeeper:
    """Keeps the summaries; never raises because of the database. Safe to share between threads.

    :param warehouse: where they are.
    :param clock: seconds.
    """

    def __init__(self, warehouse: Warehouse, clock: Callable[[], float] = time.monotonic) -> None:
        self._warehouse = warehouse
        self._summaries = Summaries(warehouse)
        self._clock = clock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._nudged_at: float | None = None

    def catch_up(self, run_keys: Collection[str] | None = None) -> None:
        """Bring every summary up to date, or those of some runs; whoever is at one is waited for."""
        self._quietly(lambda: self._summaries.refresh_marked(run_keys))

    def count(self, run_key: str) -> None:
        """Make the summary of one run anew, marked or not."""
        self._quietly(lambda: self._summaries.refresh(run_key))

    def keep(self) -> None:
        """Make the summaries anew whose time has come."""
        self._quietly(self._summaries.refresh_due)

    def nudge(self, older_than: timedelta | None = None) -> None:
        """Do the same on a thread of its own, and wait for nothing; one at a time, and not all the time.

        The thread dies with its process: then the old summary stays, and with it the marks.

        :param older_than: only if something waits for longer.
        """
        self._start(lambda: self._refresh_old(older_than), spacing=EVERY)

    def count_soon(self, run_key: str) -> None:
        """Make the summary of one run anew on that thread, however lately it was made, and wait for nothing.

        Where the thread is at something already, that has to do: the figures may then be those of before.
        """
        self._start(lambda: self._summaries.refresh(run_key), spacing=0)

    def _start(self, act: Callable[[], object], *, spacing: float) -> None:
        with self._lock:
            now = self._clock()
            is_early = self._nudged_at is not None and now - self._nudged_at < spacing
            if is_early or (self._thread is not None and self._thread.is_alive()):
                return
            self._nudged_at = now
            self._thread = threading.Thread(target=self._quietly, args=(act,), name="twilio-summaries", daemon=True)
            self._thread.start()

    def _refresh_old(self, older_than: timedelta | None) -> None:
        if older_than is not None:
            oldest = self._summaries.oldest_mark_at()
            if oldest is None or self._warehouse.now() - oldest < older_than:
                return
        self._summaries.refresh_due()

    @staticmethod
    def _quietly(act: Callable[[], object]) -> None:
        try:
            act()
        except TwilioCampaignsError as error:
            log.warning("Summaries were not made anew: %s", error)
        except psycopg.Error as error:
            # Not its text: PostgreSQL quotes rows.
            log.error("Summaries were not made anew: %s.", type(error).__name__)  # noqa: TRY400
