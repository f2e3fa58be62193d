"""What reconciling reads and writes beside messages and events: days, leases, passes, what is due."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from twilio_campaigns.domain.chunks import chunks
from twilio_campaigns.domain.errors import OUTCOME_UNKNOWN
from twilio_campaigns.domain.ledger import EventDraft
from twilio_campaigns.domain.message import event_id
from twilio_campaigns.domain.reconciling import DayState
from twilio_campaigns.domain.status import Source, Status
from twilio_campaigns.warehouse.events import CHUNK, write_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date, datetime, timedelta

    from twilio_campaigns.warehouse.connection import Warehouse

_LEASE: Final = """
insert into reconcile_days as d (day, leased_until, lease_id)
values (%(day)s, now() + %(takes)s, %(lease_id)s)
on conflict (day) do update
set leased_until = excluded.leased_until, lease_id = excluded.lease_id
where d.leased_until is null or d.leased_until < now() or d.lease_id = excluded.lease_id
returning now() as now
"""

_CONNECTIONS: Final = """
select distinct connection from messages where tracked_on = %(day)s
union
select distinct connection from messages
where send_state in ('claimed', 'unknown') and claimed_at < %(day)s::date + interval '1 day'
"""

# A row is due when a point of the ladder lies between the last pass and now, or when its window closes.
_DUE: Final = """
select message_sid, accepted_at, tracking_closes_at <= now() as closing
from messages as m
where tracked_on = %(day)s and connection = %(connection)s and send_state = 'accepted' and settled_at is null
  and (%(last_pass_at)s::timestamptz is null
       or tracking_closes_at <= now()
       or exists (select from unnest(%(ladder)s::interval[]) as point
                  where m.accepted_at + point between %(last_pass_at)s and now()))
"""

_WHOLE_DAY: Final = """
select message_sid, accepted_at, settled_at is null and tracking_closes_at <= now() as closing
from messages
where tracked_on = %(day)s and connection = %(connection)s and send_state = 'accepted'
"""

_STATE: Final = """
select now() as now,
       (select count(*) from messages
        where tracked_on = %(day)s and send_state = 'accepted' and settled_at is null) as open_rows,
       (select count(*) from messages
        where send_state in ('claimed', 'unknown')
          and claimed_at >= (%(day)s::date)::timestamp at time zone 'UTC'
          and claimed_at < (%(day)s::date + 1)::timestamp at time zone 'UTC') as unresolved,
       (select min(m.accepted_at + point)
        from messages as m, unnest(%(ladder)s::interval[]) as point
        where m.tracked_on = %(day)s and m.send_state = 'accepted' and m.settled_at is null
          and m.accepted_at + point > now()) as next_point_at,
       (select min(tracking_closes_at) from messages
        where tracked_on = %(day)s and send_state = 'accepted' and settled_at is null) as closes_at,
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

_REFUSED: Final = """
select message_key, status, status_code, final_at
from messages as m
where send_state = 'enqueue_failed'
  and claimed_at >= (%(day)s::date)::timestamp at time zone 'UTC'
  and claimed_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
  and not exists (select from campaign_events as e
                  where e.message_key = m.message_key and e.status = 'enqueue_failed')
"""

_REMEMBERED: Final = """
select message_key, status, status_code, accepted_at, sent_at, final_at
from messages where message_sid = any(%s) order by message_key
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


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A message to be looked at.

    :param closing: its window is over and this is its last look.
    """

    sid: str
    accepted_at: datetime
    closing: bool


@dataclass(slots=True)
class Pass:
    """One reconcile pass over one day: what it read, what it cost, what it changed."""

    day: date
    full_read: bool
    started_at: datetime
    lease_id: UUID
    pass_id: UUID = field(default_factory=uuid4)
    complete: bool = False
    api_calls: int = 0
    list_pages: int = 0
    listed: int = 0
    fetches: int = 0
    observed: int = 0
    changed: int = 0
    events_written: int = 0
    settled: int = 0
    error: str | None = None


class ReconcileStore:
    """Days, leases and passes.

    :param warehouse: where they are.
    :param ladder: ages at which an open message is looked at.
    """

    def __init__(self, warehouse: Warehouse, ladder: Sequence[timedelta]) -> None:
        self._warehouse = warehouse
        self._ladder = list(ladder)

    def begin(self, day: date, takes: timedelta, *, full_read: bool) -> Pass | None:
        """Take the day's lease; `None` when another reader has it. The lease only saves calls."""
        lease_id = uuid4()
        with self._warehouse.transaction() as connection:
            row = connection.execute(_LEASE, {"day": day, "takes": takes, "lease_id": lease_id}).fetchone()
        return Pass(day, full_read, row["now"], lease_id) if row else None

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
            row = connection.execute(_STATE, {"day": day, "ladder": self._ladder}).fetchone() or {}
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

    def due(self, day: date, connection_id: str, last_pass_at: datetime | None) -> list[DueMessage]:
        """Open messages of a day that are to be looked at now."""
        return self._messages(
            _DUE,
            {"day": day, "connection": connection_id, "last_pass_at": last_pass_at, "ladder": self._ladder},
        )

    def whole_day(self, day: date, connection_id: str) -> list[DueMessage]:
        """Every accepted message of a day, the settled ones too."""
        return self._messages(_WHOLE_DAY, {"day": day, "connection": connection_id})

    def _messages(self, query: Any, values: Mapping[str, Any]) -> list[DueMessage]:  # noqa: ANN401 - a literal
        with self._warehouse.transaction() as connection:
            return [
                DueMessage(row["message_sid"], row["accepted_at"], row["closing"])
                for row in connection.execute(query, values)
            ]

    def listed_before(self, day: date) -> int | None:
        """Pages of the day's last complete list, in messages; `None` before the first."""
        with self._warehouse.transaction() as connection:
            row = connection.execute(
                """
                select list_pages * 1000 as listed from reconcile_passes
                where day = %s and complete and list_pages > 0 order by started_at desc limit 1
                """,
                (day,),
            ).fetchone()
        return row["listed"] if row else None

    def repair_refused(self, day: date) -> int:
        """Write missing events of messages that never got a SID: the ledger is their only source."""
        with self._warehouse.transaction() as connection:
            rows = connection.execute(_REFUSED, {"day": day}).fetchall()
        return self._write(
            EventDraft(
                event_id(row["message_key"], Status.ENQUEUE_FAILED),
                row["message_key"],
                Status.ENQUEUE_FAILED,
                row["final_at"],
                Source.SEND,
                row["status_code"],
            )
            for row in rows
        )

    def repair_from_ledger(self, sids: Sequence[str]) -> int:
        """Write missing events of messages that Twilio does not know any more, from what the ledger remembers."""
        written = 0
        for chunk in chunks(sids, CHUNK):
            with self._warehouse.transaction() as connection:
                rows = connection.execute(_REMEMBERED, (chunk,)).fetchall()
            written += self._write(draft for row in rows for draft in _remembered(row))
        return written

    def _write(self, drafts: Iterable[EventDraft]) -> int:
        written = 0
        for chunk in chunks(drafts, CHUNK):
            with self._warehouse.transaction() as connection:
                written += write_events(connection, chunk, OUTCOME_UNKNOWN)
        return written


def _remembered(row: Mapping[str, Any]) -> list[EventDraft]:
    moments = [(Status.ENQUEUED, row["accepted_at"], None), (Status.SENT, row["sent_at"], None)]
    if row["final_at"] is not None:
        moments.append((Status(row["status"]), row["final_at"], row["status_code"]))
    return [
        EventDraft(
            event_id(row["message_key"], status),
            row["message_key"],
            status,
            at,
            Source.FETCH,
            code,
        )
        for status, at, code in moments
        if at is not None
    ]
