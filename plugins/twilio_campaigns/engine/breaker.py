"""When to stop: answers that say nothing, a network that is not there, too many refusals (PROTOCOLS S3)."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.errors import error_entry
from twilio_campaigns.gateway.outcome import OutcomeKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twilio_campaigns.domain.campaign import CircuitBreaker
    from twilio_campaigns.gateway.outcome import Outcome

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
        self._unknown = 0
        self._unknown_in_a_row = 0
        self._unconnected_in_a_row = 0

    def see(self, kind: OutcomeKind) -> None:
        """Take note of one outcome."""
        is_unknown = kind is OutcomeKind.UNKNOWN
        if len(self._recent) == WINDOW:
            self._unknown -= self._recent[0]
        self._recent.append(is_unknown)
        self._unknown += is_unknown
        self._unknown_in_a_row = self._unknown_in_a_row + 1 if is_unknown else 0
        self._unconnected_in_a_row = self._unconnected_in_a_row + 1 if kind is OutcomeKind.RELEASED else 0

    @property
    def reason(self) -> str:
        """Why to stop; empty while there is no reason."""
        if self._unknown_in_a_row >= IN_A_ROW:
            return f"{self._unknown_in_a_row} answers in a row did not say whether the message was taken."
        if len(self._recent) == WINDOW and self._unknown > SHARE * WINDOW:
            return f"{self._unknown} of the last {WINDOW} answers did not say whether the message was taken."
        if self._unconnected_in_a_row >= UNCONNECTED_IN_A_ROW:
            return f"Twilio cannot be reached: {self._unconnected_in_a_row} connections in a row failed."
        return ""


class RefusalBreaker:
    """Counts refused messages: past a share of the latest ones, somebody should look before the rest meets the same.

    :param limits: share and number of messages; `None` never breaks.
    """

    def __init__(self, limits: CircuitBreaker | None) -> None:
        self._limits = limits
        self._recent: deque[int | None] = deque(maxlen=limits.messages if limits else 0)
        self._codes: Counter[int] = Counter()

    def see(self, outcome: Outcome) -> None:
        """Take note of one outcome; those that say nothing about the message do not count."""
        if self._limits is None or outcome.kind not in {OutcomeKind.ACCEPTED, OutcomeKind.REFUSED}:
            return
        code = (outcome.code or 0) if outcome.kind is OutcomeKind.REFUSED else None
        leaving = self._recent[0] if len(self._recent) == self._limits.messages else None
        if leaving is not None:
            self._codes[leaving] -= 1
        self._recent.append(code)
        if code is not None:
            self._codes[code] += 1

    @property
    def reason(self) -> str:
        """Why to stop; empty while there is no reason."""
        if self._limits is None:
            return ""
        return too_many_refused(self._limits, self._codes.total(), len(self._recent), self._codes)


def too_many_refused(
    limits: CircuitBreaker, refused: int, messages: int, codes: Mapping[int, int] | None = None
) -> str:
    """Say why a run has to pause; empty where it has not.

    :param codes: how often Twilio gave which error code, where that is known.
    """
    if messages < limits.messages or refused <= limits.refused_share * messages:
        return ""
    most = max(codes, key=lambda code: codes[code]) if codes else None
    entry = error_entry(most or None)
    mostly = f" (mostly {entry.code} {entry.name})" if entry else ""
    return f"{refused} of the last {messages} messages were refused{mostly}, more than {limits.refused_share:.0%}."
