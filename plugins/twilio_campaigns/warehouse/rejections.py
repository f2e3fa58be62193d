"""How many requests the webhooks turned away, by day and reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twilio_campaigns.warehouse.parameters import recordset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twilio_campaigns.warehouse.connection import Warehouse

_ADD: Final = """
insert into webhook_rejections as w (day, reason, requests, last_at)
select (now() at time zone 'UTC')::date, o.reason, o.requests, now()
from json_to_recordset(%s) as o(reason text, requests bigint)
order by o.reason
on conflict (day, reason) do update
set requests = w.requests + excluded.requests, last_at = greatest(w.last_at, excluded.last_at)
"""


class RejectionStore:
    """The table `webhook_rejections`.

    :param warehouse: where it is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to today's figures; not safe to repeat.

        :param counts: requests turned away, by reason.
        """
        rows = [{"reason": reason, "requests": requests} for reason, requests in counts.items()]
        with self._warehouse.transaction() as connection:
            connection.execute(_ADD, (recordset(rows),))
