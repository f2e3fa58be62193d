"""How pages ask the warehouse: on threads and connections of their own, so that neither webhooks nor tasks wait.

Airflow's API server has one pool of threads for everybody, and our webhooks have theirs. A page that asks for too
much must slow down nobody but the next page.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

from twilio_campaigns.domain.exceptions import TransientError
from twilio_campaigns.warehouse.insight.keeping import STALE, SummaryKeeper

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from twilio_campaigns.warehouse.connection import Warehouse

#: Threads of one process, and connections: one for each, and one for making summaries anew.
THREADS: Final = 3
CONNECTIONS: Final = THREADS + 1
#: Seconds for which a connection to the warehouse is awaited.
PATIENCE: Final = 3.0
#: Seconds after which PostgreSQL gives up on a statement of a page.
STATEMENT_TIMEOUT: Final = 10.0
#: Seconds after which a page is given up, whatever it waits for.
PAGE_TIMEOUT: Final = 20.0

Answer = TypeVar("Answer")


class Reading:
    """Runs what blocks.

    :param open_warehouse: makes the warehouse, with the first page; raises one of our errors while it is away, or not
        of this version.
    """

    def __init__(self, open_warehouse: Callable[[], Warehouse]) -> None:
        self._open_warehouse = open_warehouse
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="twilio-pages")
        self._lock = threading.Lock()
        self._warehouse: Warehouse | None = None
        self._keeper: SummaryKeeper | None = None

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Do something that blocks.

        :raises TransientError: when it takes too long.
        """
        doing = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.wait_for(doing, PAGE_TIMEOUT)
        except TimeoutError:
            raise TransientError(
                f"The page was not ready within {PAGE_TIMEOUT:.0f} s. Many pages may be waiting; try again in a minute."
            ) from None

    def warehouse(self) -> Warehouse:
        """Give the warehouse; blocks while it is opened.

        :raises TwilioCampaignsError: while it is away, or not of this version.
        """
        with self._lock:
            if self._warehouse is None:
                self._warehouse = self._open_warehouse()
                self._keeper = SummaryKeeper(self._warehouse)
            return self._warehouse

    def nudge(self, older_than: timedelta = STALE) -> None:
        """Have figures made anew that nobody has brought up to date for so long; waits for nothing."""
        keeper = self._keeper
        if keeper is not None:
            keeper.nudge(older_than)

    def count_soon(self, run_key: str) -> None:
        """Have the figures of one run made anew, however old they are; waits for nothing."""
        keeper = self._keeper
        if keeper is not None:
            keeper.count_soon(run_key)

    def close(self) -> None:
        """Close every connection; blocks."""
        with self._lock:
            warehouse, self._warehouse, self._keeper = self._warehouse, None, None
        if warehouse is not None:
            warehouse.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
