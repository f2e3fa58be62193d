"""Sending one batch: claim, reserve, post, record (PROTOCOLS S1 to S4).

The chunks of a batch overlap: while one is being posted, the next is claimed and waits for its turn, and the
one before is recorded. Each chunk is a lease: its posts start within the post window or not at all.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from twilio_campaigns.domain.campaign import Campaign
from twilio_campaigns.domain.exceptions import ConfigurationError, TransientError, TwilioCampaignsError
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.steps import Step, reached
from twilio_campaigns.domain.webhooks import StatusCallbackUrls
from twilio_campaigns.engine.chunk import Chunk, Tally
from twilio_campaigns.engine.lessons import Lessons
from twilio_campaigns.engine.pace import Pace
from twilio_campaigns.engine.permits import Permits
from twilio_campaigns.engine.spacing import Spacing
from twilio_campaigns.engine.watch import BatchProgress, watched
from twilio_campaigns.warehouse.insight.keeping import SummaryKeeper
from twilio_campaigns.warehouse.ledger import Claim, ClaimedMessage, Ledger, Progress
from twilio_campaigns.warehouse.runs import RunStore
from twilio_campaigns.warehouse.throughput import Throughput

if TYPE_CHECKING:
    from collections.abc import Callable

    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.engine.pace import Places
    from twilio_campaigns.gateway.client import TwilioGateway
    from twilio_campaigns.warehouse.connection import Warehouse

log = logging.getLogger(__name__)

#: Rows per transaction at most.
MAX_CHUNK: Final = 1000
#: A chunk is about this many seconds of the sender's throughput.
CHUNK_SECONDS: Final = 2.0
#: Chunks that are claimed and not yet recorded.
CHUNKS_AT_ONCE: Final = 3
#: Seconds for which answers are awaited after SIGTERM; Airflow kills the task after 5.
KILL_PATIENCE: Final = 3.5
KILL_GRAIN: Final = 0.25
#: Longest pause (seconds) between two tries to record what is known.
LONGEST_PAUSE: Final = 30.0


def lease_clock() -> float:
    """Seconds that go on while the machine sleeps: a worker that was frozen must notice it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class BatchSender:
    """Sends the planned rows of one batch, each at most once.

    :param warehouse: where rows are claimed and outcomes recorded.
    :param twilio: an open gateway.
    :param campaign: the campaign as it was frozen.
    :param settings: windows and leases.
    :param width: requests under way at a time.
    :param clock: seconds, for durations only; dates come from the database.
    :param tally: what is counted on; an empty one if left out.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        twilio: TwilioGateway,
        campaign: Campaign,
        settings: Settings,
        *,
        width: int = 100,
        clock: Callable[[], float] = lease_clock,
        tally: Tally | None = None,
    ) -> None:
        self._ledger = Ledger(warehouse)
        self._runs = RunStore(warehouse)
        self._throughput = Throughput(warehouse)
        self._summaries = SummaryKeeper(warehouse)
        self._twilio = twilio
        self._settings = settings
        self._clock = clock
        self._campaign = campaign
        self._template = OutgoingMessage(
            to_number="",
            from_number=campaign.sender.from_number,
            messaging_service_sid=campaign.sender.messaging_service_sid,
            validity_period=campaign.validity_period,
            shorten_urls=campaign.shorten_urls,
        )
        self._callbacks: StatusCallbackUrls | None = None
        self._width = Permits(width)
        self._spacing = Spacing(width, clock)
        self._ranks = count()
        self._stopping, self._is_told = asyncio.Event(), False
        self._killed_at: float | None = None
        self._failure: TwilioCampaignsError | None = None
        self._lessons = Lessons(self._throughput, campaign)
        self.tally = tally or Tally()
        self._progress = BatchProgress(self._ledger, self.tally, clock)

    def stop(self) -> None:
        """Claim and post nothing more; what is under way is still recorded. Call it within the loop's thread."""
        self._is_told = True
        self._halt()

    def _halt(self) -> None:
        self._stopping.set()
        # Whoever waits for one of the requests under way to end looks up and finds that it is over.
        for _ in range(CHUNKS_AT_ONCE):
            self._width.release()

    def kill(self) -> None:
        """As :meth:`stop`, and wait for answers only as long as Airflow lets a terminated task live."""
        self._killed_at = self._clock()
        self.stop()

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called before the batch was through; not whether the run was paused or stopped."""
        return self._is_told

    async def send(self, run_key: str, batch_no: int) -> Progress:
        """Send until nothing of the batch is left to claim; give the batch's state then.

        :raises TwilioRejectedError: when every further message would be refused; the rest stays planned.
        :raises RunPausedError: when too many were refused: the run is paused, the rest stays planned.
        :raises TwilioUnavailableError: when too many outcomes are unknown or no connection can be made.
        """
        pace = Pace(
            self._throughput,
            self._campaign.sender,
            run_key,
            self._settings.reserve_depth,
            clock=self._clock,
            pause=self._pause,
            is_stopping=self._stopping.is_set,
        )
        public_url = self._twilio.settings.public_url
        self._callbacks = StatusCallbackUrls(public_url) if public_url else None
        async with watched(self._runs, run_key, self._halt):
            await self._send_chunks(run_key, batch_no, pace)
        if self._failure is not None:
            await asyncio.to_thread(self._lessons.tell_run, self._runs, run_key, self._failure)
            raise self._failure
        if not self.stopped:
            await asyncio.to_thread(self._summaries.keep)
        return await asyncio.to_thread(self._ledger.progress, run_key, batch_no)

    async def _send_chunks(self, run_key: str, batch_no: int, pace: Pace) -> None:
        in_flight: set[asyncio.Task[None]] = set()
        try:
            while not self._stopping.is_set():
                in_flight = await self._make_room(in_flight)
                await self._tell_progress(run_key, batch_no)
                claimed_at = self._clock()
                claim = await self._claim(run_key, batch_no)
                if not claim.moved:
                    if not in_flight:
                        break
                    # What is under way may release rows; look again when it is recorded.
                    in_flight = await self._wait_for_one(in_flight)
                    continue
                self.tally.moved_aside += claim.moved - len(claim.rows)
                if claim.rows:
                    # One chunk at a time waits for capacity: what is claimed grows old.
                    is_reserved = asyncio.Event()
                    task = asyncio.create_task(self._process(claim, claimed_at, pace, is_reserved))
                    in_flight.add(task)
                    await is_reserved.wait()
        finally:
            await self._drain(in_flight)

    async def _tell_progress(self, run_key: str, batch_no: int) -> None:
        if await self._progress.tell(run_key, batch_no):
            self._summaries.nudge()

    async def _make_room(self, in_flight: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        while len(in_flight) >= CHUNKS_AT_ONCE:
            in_flight = await self._wait_for_one(in_flight)
        return in_flight

    @staticmethod
    async def _wait_for_one(in_flight: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        done, left = await asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return left

    @staticmethod
    async def _drain(in_flight: set[asyncio.Task[None]]) -> None:
        results = await asyncio.gather(*in_flight, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _claim(self, run_key: str, batch_no: int) -> Claim:
        size = max(1, min(MAX_CHUNK, math.floor(CHUNK_SECONDS * self._campaign.sender.parts_per_second)))
        return await asyncio.to_thread(self._ledger.claim, run_key, batch_no, size, uuid4(), self._template)

    async def _process(self, claim: Claim, claimed_at: float, pace: Pace, is_reserved: asyncio.Event) -> None:
        """Take one chunk from its reservation to its record."""
        chunk = Chunk(claim)
        try:
            until = claimed_at + self._settings.post_window.total_seconds()
            places = await pace.reserve(claim.rows, until)
            is_reserved.set()
            if places is not None:
                reached(Step.RESERVED)
                await self._post_all(chunk, until, places)
        finally:
            is_reserved.set()
            outcomes = chunk.close()
            self.tally.add(outcomes)
            await self._record(chunk)

    async def _post_all(self, chunk: Chunk, until: float, places: Places) -> None:
        """Post the rows of a chunk, each at its place in the sender's throughput."""
        posts: list[asyncio.Task[None]] = []
        rank = next(self._ranks)
        try:
            for row in chunk.rows:
                if not await self._may_leave(places, rank):
                    break
                posts.append(asyncio.create_task(self._post(row, until, chunk)))
        finally:
            await self._finish(posts)

    async def _may_leave(self, places: Places, rank: int) -> bool:
        """Wait until a request is free, and then for the message's place; `False` if none is to be posted any more.

        In this order: messages that wait with their places behind them would leave all at once later.
        """
        await self._width.acquire(rank)
        may_leave = False
        try:
            await self._spacing.wait()
            may_leave = not self._stopping.is_set() and await places.take()
        finally:
            if not may_leave:
                self._width.release()
        return may_leave

    async def _finish(self, posts: list[asyncio.Task[None]]) -> None:
        """Wait for every answer; after :meth:`kill` only for as long as there is, the rest stays unknown.

        Also where one post fails in a way that nobody foresaw: what the others brought must not be lost.
        """
        pending = set(posts)
        while pending:
            _, pending = await asyncio.wait(pending, timeout=KILL_GRAIN)
            if self._killed_at is not None and self._clock() >= self._killed_at + KILL_PATIENCE:
                for post in pending:
                    post.cancel()
                await asyncio.gather(*pending, return_exceptions=True)
                break
        for post in posts:
            if not post.cancelled():
                post.result()

    async def _post(self, row: ClaimedMessage, until: float, chunk: Chunk) -> None:
        try:
            # The last look before the call: a worker that was frozen meanwhile must not post.
            if self._stopping.is_set() or self._clock() >= until or not chunk.begin(row.key):
                return
            reached(Step.POSTING)
            left_at = self._clock()
            callback = self._callbacks.url(row.key, chunk.claim_id) if self._callbacks else None
            outcome = await self._twilio.create(row.message, status_callback=callback)
            self._spacing.learn(self._clock() - left_at)
            reached(Step.ANSWERED)
        finally:
            self._width.release()
        chunk.put(row.key, outcome)
        failure = self._lessons.learn(outcome)
        if failure is not None:
            self._failure = self._failure or failure
            self._halt()
        await self._lessons.slow_down(outcome)

    async def _record(self, chunk: Chunk) -> None:
        """Write what is known; while the warehouse is away, keep it in memory and claim nothing."""
        pause = 0.5
        outcomes = chunk.close()
        while True:
            try:
                stray = await asyncio.to_thread(
                    self._ledger.record,
                    chunk.claim_id,
                    outcomes,
                    window=self._settings.tracking_window,
                    list_lag=timedelta(seconds=self._twilio.settings.list_lag_seconds),
                )
            except TransientError as error:
                log.warning("Outcomes of %d messages wait for the warehouse: %s", len(outcomes.keys()), error)
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
                continue
            if stray:
                log.error(
                    "%d accepted messages fit no row of the ledger: see table stray_messages. A person has to "
                    "decide what they are.",
                    stray,
                )
            return

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than somebody wants us to go on."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def campaign_of(spec: object) -> Campaign:
    """Read the campaign back from the spec that the ledger keeps.

    :raises ConfigurationError: for a run that has no spec, that is, no frozen audience.
    """
    if not spec:
        raise ConfigurationError("This run has no frozen audience. Clear its task `prepare_audience`.")
    return Campaign.model_validate(spec)
