"""When the messages of a chunk may leave: the sender's throughput, never exceeded and hardly missed (PROTOCOLS S2)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from twilio_campaigns.warehouse.throughput import Demand

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from twilio_campaigns.domain.sender import SenderProfile
    from twilio_campaigns.warehouse.ledger import ClaimedMessage
    from twilio_campaigns.warehouse.throughput import Throughput

#: Share of the limit at which messages leave: over ten seconds, requests may bunch up by a tenth of a second.
HEADROOM: Final = 0.99
#: A message this late (seconds) has lost its place: making up for it would exceed the limit a moment later.
PLACE_KEPT: Final = 0.05
#: Messages closer together than this (seconds) leave at once: a timer for each would cost more than it evens out.
GRAIN: Final = 0.005
#: How long capacity is asked for before the messages are given back.
PATIENCE: Final = timedelta(seconds=10)
#: Longest pause (seconds) between two questions.
ASK_EVERY: Final = 0.2
#: Fewest messages for which capacity is reserved anew.
SMALLEST_BITE: Final = 16
#: So many seconds' worth of messages may leave late together: too few to exceed the limit, and not worth a question.
BURST: Final = 0.02


class Pace:
    """One task's share of its sender's throughput.

    :param throughput: reservations, shared with all other tasks.
    :param sender: whose capacity.
    :param run_key: the run for which it is.
    :param depth: how far ahead capacity may be reserved.
    :param clock: seconds.
    :param pause: waits so many seconds, or until somebody wants us to stop.
    :param is_stopping: whether somebody does.
    """

    def __init__(
        self,
        throughput: Throughput,
        sender: SenderProfile,
        run_key: str,
        depth: timedelta,
        *,
        clock: Callable[[], float],
        pause: Callable[[float], Awaitable[None]],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._throughput = throughput
        self._sender = sender.name
        self._seconds_per_part = 1 / (sender.parts_per_second * HEADROOM)
        self.burst = int(BURST * sender.parts_per_second)
        self._run_key = run_key
        self._depth = depth
        self._pause = pause
        self._is_stopping = is_stopping
        self.clock = clock

    async def reserve(self, rows: Sequence[ClaimedMessage], until: float) -> Places | None:
        """Reserve places for these messages, all of which have to leave before a moment.

        :param until: the end of their post window. Places behind it would be lost to everybody.
        :return: `None` when none were to be had within some patience, or when somebody wants us to stop: the messages
            are to be given back.
        """
        takes = sum(map(self.takes, rows))
        demand = Demand(self._sender, self._run_key, timedelta(seconds=takes))
        give_up = min(self.clock() + PATIENCE.total_seconds(), until - self._depth.total_seconds() - takes)
        is_first = True
        while not self._is_stopping() and (is_first or self.clock() < give_up):
            is_first = False
            wait = await asyncio.to_thread(self._throughput.reserve, demand, self._depth)
            if wait is not None:
                return Places(self, rows, until, self.clock() + wait.total_seconds())
            await self._pause(min(ASK_EVERY, takes))
        return None

    def takes(self, row: ClaimedMessage) -> float:
        """Seconds for which a message keeps the sender busy."""
        return row.message.estimated_parts * self._seconds_per_part

    async def pause_until(self, moment: float) -> None:
        """Wait, unless it is hardly worth it."""
        delay = moment - self.clock()
        if delay > GRAIN:
            await self._pause(delay)


class Places:
    """Reserved places of a chunk's messages, in their order.

    A message that misses its place gets a new one, with those behind it. Where that happens because the limit is
    higher than what can be done here, ever fewer places are reserved at a time: those that nobody takes are lost to
    others.
    """

    def __init__(self, pace: Pace, rows: Sequence[ClaimedMessage], until: float, starts_at: float) -> None:
        self._pace = pace
        self._rows = rows
        self._until = until
        self._next = 0  # row whose place is next
        self._next_at = starts_at
        self._bite_began, self._bite_ends = 0, len(rows)

    async def take(self) -> bool:
        """Wait for the next message's place; `False` when there is none and the rest is to be given back."""
        is_late = self._bite_began < self._next and self._pace.clock() - self._next_at > PLACE_KEPT
        lost_place = is_late and self._bite_ends - self._bite_began > self._pace.burst
        if (lost_place or self._next == self._bite_ends) and not await self._bite_again(is_late=is_late):
            return False
        await self._pace.pause_until(self._next_at)
        self._next_at += self._pace.takes(self._rows[self._next])
        self._next += 1
        return True

    async def _bite_again(self, *, is_late: bool) -> bool:
        taken = self._next - self._bite_began
        size = max(SMALLEST_BITE, self._pace.burst, taken if is_late else 2 * taken)
        rows = self._rows[self._next : self._next + size]
        places = await self._pace.reserve(rows, self._until)
        if places is None:
            return False
        self._bite_began, self._bite_ends = self._next, self._next + len(rows)
        self._next_at = places._next_at  # noqa: SLF001 - another of this class
        return True
