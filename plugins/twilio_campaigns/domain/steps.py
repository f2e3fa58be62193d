"""The steps of the protocols by name, so that a test can break off exactly there (PROTOCOLS.md §1).

Nothing listens in production. A test that wants to know what a process leaves behind that dies at a step calls
:func:`listen` in that process and kills it from within the listener::

    listen(lambda step: os.kill(os.getpid(), signal.SIGKILL) if step is Step.ANSWERED else None)
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Step(StrEnum):
    """Moments at which a death must cost nothing. The name says what has just happened."""

    STAGED = "staged"  # S0: a chunk of the segment lies in the staging table
    FREEZING = "freezing"  # S0: the ledger's rows are written, not committed
    FROZEN = "frozen"  # S0: committed
    CLAIMED = "claimed"  # S1: a chunk is claimed, committed
    RESERVED = "reserved"  # S2: capacity is reserved
    POSTING = "posting"  # S3: the last look is done, the request leaves next
    ANSWERED = "answered"  # S3: an answer is in memory and nowhere else
    RECORDING = "recording"  # S4: outcomes and events are written, not committed
    RECORDED = "recorded"  # S4: committed
    AGED = "aged"  # S5: claims that outlived their lease are unknown
    LOOKED_UP = "looked_up"  # S6: Twilio's list is in memory, nothing decided
    RESOLVING = "resolving"  # S6: adoption is written, not committed
    RESOLVED = "resolved"  # S6: committed
    FREED = "freed"  # S6: what Twilio never took is planned again


_listeners: list[Callable[[Step], None]] = []


def listen(listener: Callable[[Step], None]) -> None:
    """Call `listener` at every step from now on, in the thread that takes the step."""
    _listeners.append(listener)


def reached(step: Step) -> None:
    """Say that a step is done."""
    for listener in _listeners:
        listener(step)
