"""The simulator's clock: it runs as fast as it is told, and never backwards."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


class Clock:
    """Seconds since 1970, UTC.

    :param speed: simulated seconds per real second.
    :param started_at: first moment; the real time when empty.
    :param real: a steady clock in seconds.
    """

    def __init__(
        self,
        speed: float = 1.0,
        started_at: datetime | None = None,
        real: Callable[[], float] = time.monotonic,
    ) -> None:
        self._real = real
        self._speed = speed
        self._base = started_at.timestamp() if started_at else time.time()
        self._since = real()

    def now(self) -> float:
        """Tell the simulated time."""
        return self._base + (self._real() - self._since) * self._speed

    def real_seconds_until(self, moment: float) -> float:
        """Tell how long it takes to reach a moment at the speed that it runs at; negative for the past."""
        return (moment - self.now()) / self._speed

    def change(self, *, advance_seconds: float = 0.0, speed: float | None = None) -> float:
        """Jump ahead, or run at another speed from now on; give the time after it.

        :raises ValueError: for a jump back or a speed that is not positive.
        """
        if advance_seconds < 0 or (speed is not None and speed <= 0):
            raise ValueError("the clock runs forward only")
        self._base, self._since = self.now() + advance_seconds, self._real()
        self._speed = speed or self._speed
        return self.now()
