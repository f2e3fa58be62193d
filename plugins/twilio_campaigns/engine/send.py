"""Sending one batch: claim, reserve, post, record (PROTOCOLS S1 to S4).

The chunks of a batch overlap: while one is being posted, the next is claimed and waits for its turn, and the
one before is recorded. Each chunk is a lease: its posts start within the post window or not at all.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from twilio_campaigns.domain.campaign import Campaign
from twilio_campaigns.domain.exceptions import (
    ConfigurationError,
    TransientError,
    TwilioCampaignsError,
    TwilioRejectedError,
    TwilioUnavailableError,
)
from twilio_campaigns.domain.message import Observation, OutgoingMessage
from twilio_campaigns.engine.breaker import Breaker
from twilio_campaigns.gateway.outcome import Outcome, OutcomeKind
from twilio_campaigns.warehouse.ledger import Claim, ClaimedMessage, Ledger, Outcomes, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.gateway.client import TwilioGateway

log = logging.getLogger(__name__)

#: Rows per transaction at most.
MAX_CHUNK: Final = 1000
#: A chunk is about this many seconds of the sender's throughput.
CHUNK_SECONDS: Final = 2.0
#: Chunks that are claimed and not yet recorded.
CHUNKS_AT_ONCE: Final = 3
#: Posts closer together than this (seconds) leave at once: a timer for each would cost more than it evens out.
PACE_GRAIN: Final = 0.005
#: How long a claimed chunk waits for a place in the sender's throughput before it is given back.
RESERVE_PATIENCE: Final = timedelta(seconds=10)
#: Seconds between two lines of progress in the log.
PROGRESS_EVERY: Final = 10.0
#: Seconds for which answers are awaited after SIGTERM; Airflow kills the task after 5.
KILL_PATIENCE: Final = 3.5
KILL_GRAIN: Final = 0.25
#: How long the sender rests after Twilio said that it is too much, unless Twilio says how long.
THROTTLE_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0


@dataclass(slots=True)
class Tally:
    """What one attempt at a batch has done so far."""

    accepted: int = 0
    refused: int = 0
    released: int = 0
    unknown: int = 0
    moved_aside: int = 0

    def add(self, outcomes: Outcomes) -> None:
        """Count one chunk."""
        self.accepted += len(outcomes.accepted)
        self.refused += len(outcomes.refused)
        self.released += len(outcomes.released)
        self.unknown += len(outcomes.unknown)


@dataclass(slots=True)
class _Collected:
    """Outcomes of one chunk while it is being posted."""

    accepted: dict[UUID, Observation] = field(default_factory=dict)
    refused: dict[UUID, int | None] = field(default_factory=dict)
    released: list[UUID] = field(default_factory=list)
    #: Being posted; whatever is still in here when the chunk ends got no answer.
    unknown: set[UUID] = field(default_factory=set)
    #: The chunk's outcomes are taken: whatever has not been posted by now belongs to somebody else's claim.
    closed: bool = False

    def put(self, key: UUID, outcome: Outcome) -> None:
        if outcome.kind is OutcomeKind.UNKNOWN:
            return
        self.unknown.discard(key)
        if outcome.kind is OutcomeKind.ACCEPTED and outcome.observation is not None:
            self.accepted[key] = outcome.observation
        elif outcome.kind is OutcomeKind.REFUSED:
            self.refused[key] = outcome.code
        else:
            self.released.append(key)

    def outcomes(self, claimed: Iterable[UUID]) -> Outcomes:
        """Close the chunk and give what is known of every claimed row; what was never posted is released."""
        self.closed = True
        known = {*self.accepted, *self.refused, *self.released, *self.unknown}
        never_posted = [key for key in claimed if key not in known]
        return Outcomes(self.accepted, self.refused, [*self.released, *never_posted], list(self.unknown))


def lease_clock() -> float:
    """Seconds that go on while the machine sleeps: a worker that was frozen must notice it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class BatchSender:
    """Sends the planned rows of one batch, each at most once.

    :param ledger: where rows are claimed and outcomes recorded.
    :param twilio: an open gateway.
    :param campaign: the campaign as it was frozen.
    :param settings: windows and leases.
    :param width: requests under way at a time.
    :param clock: seconds, for durations only; dates come from the database.
    """

    def __init__(
        self,
        ledger: Ledger,
        twilio: TwilioGateway,
        campaign: Campaign,
        settings: Settings,
        *,
        width: int = 100,
        clock: Callable[[], float] = lease_clock,
    ) -> None:
        self._ledger = ledger
        self._twilio = twilio
        self._settings = settings
        self._clock = clock
        self._sender = campaign.sender
        self._template = OutgoingMessage(
            to_number="",
            from_number=campaign.sender.from_number,
            messaging_service_sid=campaign.sender.messaging_service_sid,
            validity_period=campaign.validity_period,
        )
        self._width = asyncio.Semaphore(width)
        self._stopping = asyncio.Event()
        self._killed_at: float | None = None
        self._failure: TwilioCampaignsError | None = None
        self._breaker = Breaker()
        self._throttled_in_a_row = 0
        self._told_at, self._told_done = clock(), 0
        self.tally = Tally()

    def stop(self) -> None:
        """Claim and post nothing more; what is under way is still recorded. Call it within the loop's thread."""
        self._stopping.set()

    def kill(self) -> None:
        """As :meth:`stop`, and wait for answers only as long as Airflow lets a terminated task live."""
        self._killed_at = self._clock()
        self.stop()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked to stop before the batch was through."""
        return self._stopping.is_set()

    async def send(self, run_key: str, batch_no: int) -> Progress:
        """Send until nothing of the batch is left to claim; give the batch's state then.

        :raises TwilioRejectedError: when every further message would be refused; the rest stays planned.
        :raises TwilioUnavailableError: when too many outcomes are unknown or no connection can be made.
        """
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
                    in_flight.add(asyncio.create_task(self._process(claim, claimed_at)))
        finally:
            await self._drain(in_flight)
        if self._failure is not None:
            raise self._failure
        return await asyncio.to_thread(self._ledger.progress, run_key, batch_no)

    async def _tell_progress(self, run_key: str, batch_no: int) -> None:
        elapsed = self._clock() - self._told_at
        if elapsed < PROGRESS_EVERY:
            return
        done = self.tally.accepted + self.tally.refused
        rate = (done - self._told_done) / elapsed
        left = (await asyncio.to_thread(self._ledger.progress, run_key, batch_no)).left
        log.info(
            "Batch %d: %d accepted, %d refused, %d unknown, %d left; %.1f messages/s, %s to go.",
            batch_no,
            self.tally.accepted,
            self.tally.refused,
            self.tally.unknown,
            left,
            rate,
            timedelta(seconds=round(left / rate)) if rate else "unknown time",
        )
        self._told_at, self._told_done = self._clock(), done

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
        return await asyncio.to_thread(
            self._ledger.claim, run_key, batch_no, self._chunk_size(), uuid4(), self._template
        )

    def _chunk_size(self) -> int:
        return max(1, min(MAX_CHUNK, math.floor(CHUNK_SECONDS * self._sender.parts_per_second)))

    async def _process(self, claim: Claim, claimed_at: float) -> None:
        """Take one chunk from its reservation to its record."""
        collected = _Collected()
        try:
            wait = await self._reserve(claim)
            if wait is not None:
                await self._post_all(claim, claimed_at, self._clock() + wait.total_seconds(), collected)
        finally:
            outcomes = collected.outcomes(row.key for row in claim.rows)
            self.tally.add(outcomes)
            await self._record(claim.claim_id, outcomes)

    async def _reserve(self, claim: Claim) -> timedelta | None:
        parts = sum(row.message.estimated_parts for row in claim.rows)
        takes = timedelta(seconds=parts / self._sender.parts_per_second)
        give_up = self._clock() + RESERVE_PATIENCE.total_seconds()
        while not self._stopping.is_set() and self._clock() < give_up:
            wait = await asyncio.to_thread(self._ledger.reserve, self._sender.name, takes, self._settings.reserve_depth)
            if wait is not None:
                return wait
            await self._pause(min(0.2, takes.total_seconds()))
        return None

    async def _post_all(self, claim: Claim, claimed_at: float, starts_at: float, collected: _Collected) -> None:
        """Post the rows of a chunk spread over the time that was reserved for them."""
        until = claimed_at + self._settings.post_window.total_seconds()
        posts: list[asyncio.Task[None]] = []
        parts_before = 0
        try:
            for row in claim.rows:
                await self._pause_until(starts_at + parts_before / self._sender.parts_per_second)
                parts_before += row.message.estimated_parts
                posts.append(asyncio.create_task(self._post(row, until, collected)))
        finally:
            await self._finish(posts)

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

    async def _post(self, row: ClaimedMessage, until: float, collected: _Collected) -> None:
        async with self._width:
            # The last look before the call: a worker that was frozen meanwhile must not post.
            if collected.closed:
                return
            if self._stopping.is_set() or self._clock() >= until:
                collected.released.append(row.key)
                return
            collected.unknown.add(row.key)  # until an answer says otherwise, also when we are cancelled
            outcome = await self._twilio.create(row.message)
        collected.put(row.key, outcome)
        await self._learn(outcome)

    async def _learn(self, outcome: Outcome) -> None:
        """Draw from one answer what concerns the whole batch."""
        self._breaker.see(outcome.kind)
        if outcome.kind is OutcomeKind.STOPPED:
            self._fail(_rejected(outcome))
        elif outcome.kind is OutcomeKind.THROTTLED:
            await self._slow_down(outcome)
        elif self._breaker.is_open:
            self._fail(
                TwilioUnavailableError(
                    f"{self._breaker.reason} Nothing is sent twice: rows that were certainly not taken stay "
                    f"planned, the others are unknown until they are looked up. Last answer: {outcome.detail}",
                    outcome.code,
                    outcome.http_status,
                    outcome.request_id,
                    outcome.retry_after,
                )
            )
        else:
            self._throttled_in_a_row = 0

    async def _slow_down(self, outcome: Outcome) -> None:
        self._throttled_in_a_row += 1
        pause = outcome.retry_after or min(LONGEST_PAUSE, THROTTLE_PAUSE * 2 ** min(10, self._throttled_in_a_row // 50))
        try:
            await asyncio.to_thread(
                self._ledger.slow_down, self._sender.name, timedelta(seconds=min(pause, 10 * LONGEST_PAUSE))
            )
        except TransientError as error:
            log.warning("Other tasks could not be told to slow down: %s", error)

    def _fail(self, error: TwilioCampaignsError) -> None:
        self._failure = self._failure or error
        self._stopping.set()

    async def _record(self, claim_id: UUID, outcomes: Outcomes) -> None:
        """Write what is known; while the warehouse is away, keep it in memory and claim nothing."""
        pause = 0.5
        while True:
            try:
                stray = await asyncio.to_thread(
                    self._ledger.record,
                    claim_id,
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

    async def _pause_until(self, moment: float) -> None:
        delay = moment - self._clock()
        if delay > PACE_GRAIN:
            await self._pause(delay)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than somebody wants us to go on."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


def _rejected(outcome: Outcome) -> TwilioRejectedError:
    return TwilioRejectedError(
        f"Twilio refuses every message of this sender or account: {outcome.detail} Nothing more was sent; the rest "
        "stays planned. Mend it, then clear this task.",
        outcome.code,
        outcome.http_status,
        outcome.request_id,
    )


def campaign_of(spec: object) -> Campaign:
    """Read the campaign back from the spec that the ledger keeps.

    :raises ConfigurationError: for a run that has no spec, that is, no frozen audience.
    """
    if not spec:
        raise ConfigurationError("This run has no frozen audience. Clear its task `prepare_audience`.")
    return Campaign.model_validate(spec)
