"""When webhooks were received, by the database's clock: the receiver's own only measures how long ago."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Receipts:
    """Turns readings of the receiver's clock into dates.

    :param now: the database's time.
    :param clock: the receiver's clock in the same moment, in seconds.
    """

    now: datetime
    clock: float

    def moment(self, received: float) -> datetime:
        """Give the date of a receipt.

        :param received: the receiver's clock at that time.
        """
        return self.now - timedelta(seconds=max(0.0, self.clock - received))
