"""Reconcile days that have messages which are not settled, and whether somebody reads them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from twilio_campaigns.warehouse.insight.answers import filled
from twilio_campaigns.warehouse.insight.scoped import rows_of

if TYPE_CHECKING:
    from datetime import date, datetime

    from twilio_campaigns.warehouse.connection import Warehouse

#: Passes over open messages are six hours apart at most, and take their time: after that a person should look.
OVERDUE: Final = timedelta(hours=8)

# A day waits from when it began, or its first message was claimed: before there was nothing to read. Messages that
# are to be sent on a later day wait for nothing yet.
_OPEN_DAYS: Final = """
select o.day, o.open, d.last_pass_at, p.error, w.waits_since, w.waits_since < now() - %(overdue)s as is_overdue
from (
    select s.tracked_on as day, sum(s.open)::bigint as open, min(c.first_claimed_at) as first_claimed_at
    from summary_days as s
    join summary_runs as r using (run_key)
    left join lateral (
        select min(first_claimed_at) as first_claimed_at from summary_batches where run_key = s.run_key
    ) as c on true
    where s.open > 0 and (%(campaign_id)s::text is null or r.campaign_id = %(campaign_id)s)
    group by s.tracked_on
) as o
left join reconcile_days as d on d.day = o.day
left join lateral (
    select error from reconcile_passes where day = o.day order by started_at desc limit 1
) as p on true
cross join lateral (
    select greatest(o.day::timestamp at time zone 'UTC', o.first_claimed_at, d.last_pass_at) as waits_since
) as w
order by o.day desc
"""


@dataclass(frozen=True, slots=True)
class OpenDay:
    """A reconcile day that has messages which are not settled.

    :param open: how many are not settled: their status may change, or their price is still to come.
    :param last_pass_at: start of its last complete pass.
    :param error: what the last pass met.
    :param waits_since: its last complete pass, or when there first was something to read.
    :param is_overdue: whether that is longer ago than :data:`OVERDUE`.
    """

    day: date
    open: int
    last_pass_at: datetime | None
    error: str | None
    waits_since: datetime
    is_overdue: bool


def open_days(warehouse: Warehouse, campaign_id: str | None = None) -> list[OpenDay]:
    """Tell which days have messages that are not settled, the newest first.

    :param campaign_id: count only this campaign's messages.
    """
    rows = rows_of(warehouse, _OPEN_DAYS, {"campaign_id": campaign_id, "overdue": OVERDUE})
    return [filled(OpenDay, row) for row in rows]
