"""Whether the integration itself is healthy: passes, open days, API calls, webhooks, strays, audits, summaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.warehouse.insight.answers import filled
from twilio_campaigns.warehouse.insight.rows import PassRow
from twilio_campaigns.warehouse.insight.scoped import rows_of

if TYPE_CHECKING:
    from datetime import date, datetime, timedelta
    from uuid import UUID

    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.scoped import Rows

_NOW: Final = "select now() as now"

# By the end of the index on their beginning, whatever their day.
_PASSES: Final = "select * from reconcile_passes order by started_at desc limit 20"

_LATEST_COMPLETE: Final = "select * from reconcile_passes where complete order by started_at desc limit 1"

_LATEST_ERROR: Final = """
select * from reconcile_passes
where started_at > now() - interval '7 days' and error is not null
order by started_at desc limit 1
"""

_OPEN_DAYS: Final = """
select s.tracked_on as day, sum(s.open)::bigint as open, d.last_pass_at, p.error
from summary_days as s
join summary_runs as r using (run_key)
left join reconcile_days as d on d.day = s.tracked_on
left join lateral (
    select error from reconcile_passes where day = s.tracked_on order by started_at desc limit 1
) as p on true
where s.open > 0 and (%(campaign_id)s::text is null or r.campaign_id = %(campaign_id)s)
group by s.tracked_on, d.last_pass_at, p.error
order by s.tracked_on desc
"""

_CALLS: Final = """
select count(*) as passes, count(*) filter (where not complete) as incomplete,
       coalesce(sum(api_calls), 0)::bigint as api_calls, coalesce(sum(list_pages), 0)::bigint as list_pages,
       coalesce(sum(fetches), 0)::bigint as fetches, coalesce(sum(observed), 0)::bigint as observed,
       coalesce(sum(changed), 0)::bigint as changed
from reconcile_passes where started_at > now() - interval '24 hours'
"""

_ERRORS: Final = """
select * from reconcile_passes
where started_at > now() - interval '24 hours' and error is not null
order by started_at desc limit 20
"""

_REJECTIONS: Final = """
select * from webhook_rejections where day > (now() at time zone 'UTC')::date - 7
order by day desc, requests desc, reason
"""

_LATEST_WEBHOOK: Final = "select max(last_at) as at from webhook_receipts"

_CONNECTIONS: Final = """
select distinct coalesce(s.connection, r.spec ->> 'connection') as connection
from campaign_runs as r
left join summary_runs as s on s.run_key = r.run_key
where r.created_at > now() - interval '30 days'
order by 1
"""

_STRAYS: Final = """
select message_sid, run_key, message_key, found_at, reason, count(*) over () as total
from stray_messages order by found_at desc, message_sid limit 20
"""

_AUDITS: Final = "select * from reconcile_audits order by day desc, started_at desc limit 10"

_SUMMARIES: Final = """
select (select count(*) from summary_runs) as runs,
       count(distinct m.run_key) as marked,
       min(m.marked_at) as oldest_mark_at,
       (select min(s.refreshed_at) from summary_runs as s join summary_marks using (run_key)) as oldest_refresh_at,
       (select make_interval(secs => max(took)) from summary_runs) as slowest
from summary_marks as m
"""


@dataclass(frozen=True, slots=True)
class OpenDay:
    """A reconcile day that has messages which are not settled.

    :param open: how many are not settled: their status may change, or their price is still to come.
    :param error: what the last pass met.
    """

    day: date
    open: int
    last_pass_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class CallFigures:
    """What the passes of the last 24 hours cost.

    :param errors: the latest twenty passes that met one.
    """

    passes: int
    incomplete: int
    api_calls: int
    list_pages: int
    fetches: int
    observed: int
    changed: int
    errors: list[PassRow]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Requests to the webhooks that were turned away on one day for one reason."""

    day: date
    reason: str
    requests: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Stray:
    """A message at Twilio that belongs to no row for certain: a person has to look."""

    message_sid: str
    run_key: str | None
    message_key: UUID | None
    found_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """What one audit of a closed day found.

    :param missing: rows whose SID Twilio does not know.
    :param orphans: messages that look like ours, without a row.
    :param different: rows whose last status is another one.
    """

    audit_id: UUID
    day: date
    connection: str
    started_at: datetime
    finished_at: datetime | None
    complete: bool
    api_calls: int
    listed: int
    accepted: int
    matched: int
    missing: int
    orphans: int
    different: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the summaries are.

    :param runs: that have one.
    :param marked: runs that changed since their summary was made.
    :param oldest_mark_at: since when the oldest change waits.
    :param oldest_refresh_at: of the runs that changed.
    :param slowest: what the most expensive summary took.
    """

    runs: int
    marked: int
    oldest_mark_at: datetime | None
    oldest_refresh_at: datetime | None
    slowest: timedelta | None


@dataclass(frozen=True, slots=True)
class HealthReport:
    """How the integration is.

    :param now: the database's clock.
    :param last_pass: the newest complete one.
    :param last_error: the newest pass of the last seven days that met one.
    :param passes: the latest twenty.
    :param rejections: of the last seven days.
    :param last_webhook_at: that was written down, to ten seconds; `None` if there never was one.
    :param connections: Airflow connections of the last thirty days' runs.
    :param strays: how many there are; `latest_strays` are twenty of them.
    :param audits: the latest ten.
    """

    now: datetime
    last_pass: PassRow | None
    last_error: PassRow | None
    passes: list[PassRow]
    open_days: list[OpenDay]
    calls: CallFigures
    rejections: list[Rejection]
    last_webhook_at: datetime | None
    connections: list[str]
    strays: int
    latest_strays: list[Stray]
    audits: list[AuditRow]
    summaries: Freshness


class Health:
    """Looks at what reconciling, webhooks and audits left behind. Blocks.

    :param warehouse: where that is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def report(self) -> HealthReport:
        """Tell how the integration is."""
        (now,), (calls,), (webhook,), (summaries,) = map(self._rows, (_NOW, _CALLS, _LATEST_WEBHOOK, _SUMMARIES))
        strays = self._rows(_STRAYS)
        return HealthReport(
            now=now["now"],
            last_pass=next(iter(self._passes(_LATEST_COMPLETE)), None),
            last_error=next(iter(self._passes(_LATEST_ERROR)), None),
            passes=self._passes(_PASSES),
            open_days=self.open_days(),
            calls=filled(CallFigures, calls, errors=self._passes(_ERRORS)),
            rejections=[filled(Rejection, row) for row in self._rows(_REJECTIONS)],
            last_webhook_at=webhook["at"],
            connections=[row["connection"] for row in self._rows(_CONNECTIONS) if row["connection"]],
            strays=strays[0]["total"] if strays else 0,
            latest_strays=[filled(Stray, row) for row in strays],
            audits=[filled(AuditRow, row) for row in self._rows(_AUDITS)],
            summaries=filled(Freshness, summaries),
        )

    def open_days(self, campaign_id: str | None = None) -> list[OpenDay]:
        """Tell which days have messages that are not settled, the newest first.

        :param campaign_id: count only this campaign's messages.
        """
        return [filled(OpenDay, row) for row in rows_of(self._warehouse, _OPEN_DAYS, {"campaign_id": campaign_id})]

    def _passes(self, query: Any) -> list[PassRow]:  # noqa: ANN401 - one of the constants
        return [filled(PassRow, row) for row in self._rows(query)]

    def _rows(self, query: Any) -> Rows:  # noqa: ANN401 - one of the constants
        return rows_of(self._warehouse, query, {})
