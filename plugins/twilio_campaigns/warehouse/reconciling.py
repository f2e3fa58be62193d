"""What reconciling keeps beside messages and events: days, their leases and states, and the passes over them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import UUID, uuid4

from twilio_campaigns.domain.reconciling import DayState
from twilio_campaigns.warehouse.connection import scalar

if TYPE_CHECKING:
    from datetime import date, datetime, timedelta

    from twilio_campaigns.domain.reconciling import Schedule
    from twilio_campaigns.warehouse.connection import Warehouse

_LEASE: Final = """
insert into reconcile_days as d (day, leased_until, lease_id)
values (%(day)s, now() + %(takes)s, %(lease_id)s)
on conflict (day) do update
set leased_until = excluded.leased_until, lease_id = excluded.lease_id
where d.leased_until is null or d.leased_until < now() or d.lease_id = excluded.lease_id
returning now() as now
"""

# From one account to the next in the index, instead of through all messages of the day.
_CONNECTIONS: Final = """
with recursive named as (
    (select connection from messages
     where tracked_on = %(day)s and send_state = 'accepted' order by connection limit 1)
    union all
    select (select m.connection from messages as m
            where m.tracked_on = %(day)s and m.send_state = 'accepted' and m.connection > n.connection
            order by m.connection limit 1)
    from named as n
    where n.connection is not null
)
select connection from named where connection is not null
union
select distinct connection from messages
where send_state in ('claimed', 'unknown') and claimed_at < %(day)s::date + interval '1 day'
"""

_STATE: Final = """
with open as materialized (
    select date_trunc('second', accepted_at) as second,
           final_at is not null as for_price,
           count(*) as rows,
           max(accepted_at) as last_at,
           min(accepted_at) as first_at,
           min(tracking_closes_at) as closes_at,
           min(final_at) + %(unpriced_after)s::interval as prices_close_at
    from messages
    where tracked_on = %(day)s and send_state = 'accepted' and settled_at is null
    group by 1, 2
)
select now() as now,
       (select coalesce(sum(rows), 0)::bigint from open) as open_rows,
       (select count(*) from messages
        where send_state in ('claimed', 'unknown')
          and claimed_at >= (%(day)s::date)::timestamp at time zone 'UTC'
          and claimed_at < (%(day)s::date + 1)::timestamp at time zone 'UTC') as unresolved,
       case when d.last_pass_at is null
            then (select now() from open limit 1)
            else (select min(greatest(o.first_at, d.last_pass_at - p.point) + p.point + p.slack)
                  from open as o
                  join unnest(%(points)s::interval[], %(slack)s::interval[], %(for_price)s::boolean[])
                       as p(point, slack, for_price) on p.for_price = o.for_price
                  where o.last_at + p.point > d.last_pass_at) end as next_point_at,
       (select least(min(closes_at), min(prices_close_at)) + %(closing_slack)s::interval from open) as closes_at,
       d.full_read_at,
       d.last_pass_at
from (select) as one
left join reconcile_days as d on d.day = %(day)s
"""

_OPEN_DAYS: Final = """
select m.tracked_on as day, d.last_pass_at
from (select distinct tracked_on from messages
      where tracked_on < %(day)s and send_state = 'accepted' and settled_at is null) as m
left join reconcile_days as d on d.day = m.tracked_on
order by m.tracked_on
"""

_NOTE_READ: Final = """
update reconcile_days
set last_pass_at = greatest(last_pass_at, %(started_at)s),
    full_read_at = case when %(full_read)s then greatest(full_read_at, %(started_at)s) else full_read_at end
where day = %(day)s
"""

_KEEP_READ: Final = """
insert into reconcile_passes (pass_id, day, full_read, started_at, finished_at, complete, api_calls, list_pages,
                              fetches, observed, changed, events_written, settled, open_left, error)
values (%(pass_id)s, %(day)s, %(full_read)s, %(started_at)s, now(), %(complete)s, %(api_calls)s, %(list_pages)s,
        %(fetches)s, %(observed)s, %(changed)s, %(events_written)s, %(settled)s,
        (select count(*) from messages
         where tracked_on = %(day)s and send_state = 'accepted' and settled_at is null), %(error)s)
"""


@dataclass(slots=True)
class Pass:
    """One reconcile pass over one day: what it read, what it cost, what it changed.

    :param news: how many messages are known by it to have reached which status.
    """

    day: date
    full_read: bool
    started_at: datetime
    lease_id: UUID
    pass_id: UUID = field(default_factory=uuid4)
    repair: bool = False
    complete: bool = False
    api_calls: int = 0
    list_pages: int = 0
    listed: int = 0
    fetches: int = 0
    observed: int = 0
    changed: int = 0
    events_written: int = 0
    settled: int = 0
    news: Counter[str] = field(default_factory=Counter)
    error: str | None = None

    @property
    def kind(self) -> str:
        """What it reads, in a word or two."""
        return "Repair" if self.repair else "Full pass" if self.full_read else "Pass"


class ReconcileStore:
    """Days, leases and passes.

    :param warehouse: where they are.
    :param schedule: when open messages are looked at.
    """

    def __init__(self, warehouse: Warehouse, schedule: Schedule) -> None:
        self._warehouse = warehouse
        self._schedule = schedule

    def begin(self, day: date, takes: timedelta, *, full_read: bool, repair: bool = False) -> Pass | None:
        """Take the day's lease; `None` when another reader has it. The lease only saves calls."""
        lease_id = uuid4()
        with self._warehouse.transaction() as connection:
            row = connection.execute(_LEASE, {"day": day, "takes": takes, "lease_id": lease_id}).fetchone()
        return Pass(day, full_read, row["now"], lease_id, repair=repair) if row else None

    def renew(self, reading: Pass, takes: timedelta) -> None:
        """Keep the lease while pages come in."""
        with self._warehouse.transaction() as connection:
            connection.execute(
                "update reconcile_days set leased_until = now() + %s where day = %s and lease_id = %s",
                (takes, reading.day, reading.lease_id),
            )

    def end(self, reading: Pass) -> None:
        """Give the lease back and write the pass down; only a complete one counts as the day's last."""
        values: dict[str, Any] = {name: getattr(reading, name) for name in reading.__slots__}
        with self._warehouse.transaction() as connection:
            if reading.complete:
                connection.execute(_NOTE_READ, values)
            connection.execute(
                "update reconcile_days set leased_until = null, lease_id = null where day = %s and lease_id = %s",
                (reading.day, reading.lease_id),
            )
            connection.execute(_KEEP_READ, values)

    def state(self, day: date) -> DayState:
        """Tell where a day stands."""
        with self._warehouse.transaction() as connection:
            row = connection.execute(_STATE, {"day": day, **self._points()}).fetchone() or {}
        moments = [moment for moment in (row["next_point_at"], row["closes_at"]) if moment is not None]
        return DayState(
            day=day,
            now=row["now"],
            open_rows=row["open_rows"],
            unresolved=row["unresolved"],
            next_due_at=min(moments, default=None),
            full_read_at=row["full_read_at"],
            last_pass_at=row["last_pass_at"],
        )

    def last_pass_at(self, day: date) -> datetime | None:
        """Give the start of the day's last complete pass."""
        with self._warehouse.transaction() as connection:
            found = scalar(connection, "select last_pass_at from reconcile_days where day = %s", day)
        return cast("datetime | None", found)

    def close(self, day: date) -> None:
        """Note that the day's run found nothing left to do."""
        with self._warehouse.transaction() as connection:
            connection.execute("update reconcile_days set closed_at = now() where day = %s", (day,))

    def connections(self, day: date) -> list[str]:
        """Airflow connections of the accounts that have messages of the day, or claims left over from it."""
        with self._warehouse.transaction() as connection:
            return sorted(row["connection"] for row in connection.execute(_CONNECTIONS, {"day": day}))

    def open_days_before(self, day: date) -> list[tuple[date, datetime | None]]:
        """Earlier days that have open rows, each with its last complete pass."""
        with self._warehouse.transaction() as connection:
            rows = connection.execute(_OPEN_DAYS, {"day": day})
            return [(row["day"], row["last_pass_at"]) for row in rows]

    def _points(self) -> dict[str, Any]:
        schedule = self._schedule
        points = [*((point, False) for point in schedule.ladder), *((point, True) for point in schedule.price_ladder)]
        return {
            "unpriced_after": schedule.unpriced_after,
            "closing_slack": schedule.closing_slack,
            "points": [point for point, _ in points],
            "slack": [schedule.slack_of(point) for point, _ in points],
            "for_price": [for_price for _, for_price in points],
        }
