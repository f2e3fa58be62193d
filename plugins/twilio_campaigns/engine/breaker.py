"""Stopping a batch whose answers say nothing (PROTOCOLS S3)."""

from __future__ import annotations

from collections import deque
from typing import Final

from twilio_campaigns.gateway.outcome import OutcomeKind

#: Ambiguous answers in a row, or among the last ones, after which going on only makes more unknowns.
IN_A_ROW: Final = 20
WINDOW: Final = 200
SHARE: Final = 0.2
#: Failed connections in a row after which waiting for the network is the retry's business, not ours.
UNCONNECTED_IN_A_ROW: Final = 100


class Breaker:
    """Counts what kind of outcomes come in.

    Ambiguous outcomes leave rows unknown, so they are worth stopping for early; failed connections leave them
    planned and are worth stopping for because nothing moves.
    """

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._unknown_in_a_row = 0
        self._unconnected_in_a_row = 0

    def see(self, kind: OutcomeKind) -> None:
        """Take note of one outcome."""
        is_unknown = kind is OutcomeKind.UNKNOWN
        self._recent.append(is_unknown)
        self._unknown_in_a_row = self._unknown_in_a_row + 1 if is_unknown else 0
        self._unconnected_in_a_row = self._unconnected_in_a_row + 1 if kind is OutcomeKind.RELEASED else 0

    @property
    def is_open(self) -> bool:
        """Whether to stop."""
        return bool(self.reason)

    @property
    def reason(self) -> str:
        """Why to stop; empty while there is no reason."""
        if self._unknown_in_a_row >= IN_A_ROW:
            return f"{self._unknown_in_a_row} answers in a row did not say whether the message was taken."
        if len(self._recent) == WINDOW and sum(self._recent) > SHARE * WINDOW:
            return f"{sum(self._recent)} of the last {WINDOW} answers did not say whether the message was taken."
        if self._unconnected_in_a_row >= UNCONNECTED_IN_A_ROW:
            return f"Twilio cannot be reached: {self._unconnected_in_a_row} connections in a row failed."
        return ""
