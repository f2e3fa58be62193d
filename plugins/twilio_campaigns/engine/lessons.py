"""What single answers say about the whole batch: go on, slow down, or stop, and why (PROTOCOLS S3)."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.campaign import CircuitBreaker
from twilio_campaigns.domain.exceptions import (
    RunPausedError,
    TransientError,
    TwilioRejectedError,
    TwilioUnavailableError,
)
from twilio_campaigns.engine.breaker import Breaker, RefusalBreaker, too_many_refused
from twilio_campaigns.gateway.outcome import OutcomeKind
from twilio_campaigns.warehouse.runs import RunStore

if TYPE_CHECKING:
    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.domain.exceptions import TwilioCampaignsError
    from twilio_campaigns.gateway.outcome import Outcome
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.throughput import Throughput

log = logging.getLogger(__name__)

#: Who it is that pauses a run by itself.
CIRCUIT_BREAKER: Final = "circuit_breaker"
#: How long (seconds) the sender rests after Twilio said that it is too much, unless Twilio says how long.
THROTTLE_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
#: Longest rest that an answer may ask for: beyond it the campaign's own deadline decides.
LONGEST_ASKED: Final = 300.0
#: So many refusals for rate in a row double the rest.
DOUBLES_AFTER: Final = 50


class Lessons:
    """Draws from each answer what concerns the messages after it.

    :param throughput: where other tasks learn that the sender has to rest.
    :param campaign: whose sender and circuit breaker.
    """

    def __init__(self, throughput: Throughput, campaign: Campaign) -> None:
        self._throughput = throughput
        self._sender = campaign.sender.name
        self._breaker = Breaker()
        self._refusals = RefusalBreaker(campaign.circuit_breaker)
        self._throttled_in_a_row = 0
        self._is_telling = False

    def learn(self, outcome: Outcome) -> TwilioCampaignsError | None:
        """Give the error with which to stop, if there is reason to."""
        self._breaker.see(outcome.kind)
        self._refusals.see(outcome)
        self._throttled_in_a_row = self._throttled_in_a_row + 1 if outcome.kind is OutcomeKind.THROTTLED else 0
        if outcome.kind is OutcomeKind.STOPPED:
            return _rejected(outcome)
        if reason := self._breaker.reason:
            return _unavailable(reason, outcome)
        if reason := self._refusals.reason:
            return RunPausedError(
                f"The run paused itself: {reason} The rest stays planned. See view delivery_errors for "
                "what each code means; then `twilio-campaigns resume RUN_KEY`, and task `resolve_unknown` of the run "
                "goes on with it, or `twilio-campaigns stop RUN_KEY`."
            )
        return None

    async def slow_down(self, outcome: Outcome) -> None:
        """Let the sender rest after an answer that says that it is too much, in all tasks."""
        if outcome.kind is not OutcomeKind.THROTTLED or self._is_telling:
            return
        doubled = THROTTLE_PAUSE * 2.0 ** min(10, self._throttled_in_a_row // DOUBLES_AFTER)
        pause = timedelta(seconds=min(outcome.retry_after or min(LONGEST_PAUSE, doubled), LONGEST_ASKED))
        # Of many such answers at a time one is told: they all say the same.
        self._is_telling = True
        try:
            await asyncio.to_thread(self._throughput.slow_down, self._sender, pause)
        except TransientError as error:
            log.warning("Other tasks could not be told to slow down: %s", error)
        finally:
            self._is_telling = False

    def tell_run(self, runs: RunStore, run_key: str, failure: TwilioCampaignsError) -> None:
        """Pause the run where that is the lesson; its other tasks then claim nothing more."""
        if not isinstance(failure, RunPausedError):
            return
        try:
            runs.pause(run_key, CIRCUIT_BREAKER, self._refusals.reason)
        except TransientError as error:
            log.warning("Other tasks could not be told to pause; they will find out for themselves: %s", error)


def pause_refused_runs(warehouse: Warehouse) -> None:
    """Pause every run of whose latest messages carriers or filters refused too many: that shows only afterwards."""
    runs = RunStore(warehouse)
    for fates in runs.fates():
        limits = CircuitBreaker.model_validate(fates.limits)
        reason = too_many_refused(limits, fates.refused, fates.messages)
        if reason and runs.pause(fates.run_key, CIRCUIT_BREAKER, reason):
            log.error("Run %s paused itself: %s", fates.run_key, reason)


def _rejected(outcome: Outcome) -> TwilioRejectedError:
    return TwilioRejectedError(
        f"Twilio refuses every message of this sender or account: {outcome.detail} Nothing more was sent; the rest "
        "stays planned. Mend it, then clear this task.",
        outcome.code,
        outcome.http_status,
        outcome.request_id,
    )


def _unavailable(reason: str, outcome: Outcome) -> TwilioUnavailableError:
    return TwilioUnavailableError(
        f"{reason} Nothing is sent twice: rows that were certainly not taken stay planned, the others are unknown "
        f"until they are looked up. Last answer: {outcome.detail}",
        outcome.code,
        outcome.http_status,
        outcome.request_id,
        outcome.retry_after,
    )
