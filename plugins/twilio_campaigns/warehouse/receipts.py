"""When webhooks were received, by the database's clock: the receiver's own only measures how long ago."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

    from twilio_campaigns.warehouse.connection import Warehouse

_NOTE: Final = """
insert into webhook_receipts as w (kind, last_at) values (%s, now())
on conflict (kind) do update set last_at = greatest(w.last_at, excluded.last_at)
"""


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


class ReceiptStore:
    """The table `webhook_receipts`.

    :param warehouse: where it is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def note(self, kind: str) -> None:
        """Note that webhooks of a kind come; all processes share its row, so not with every one.

        :param kind: `status`, `inbound` or `click`.
        """
        with self._warehouse.transaction() as connection:
            connection.execute(_NOTE, (kind,))
