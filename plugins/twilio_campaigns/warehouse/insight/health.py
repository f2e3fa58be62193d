"""Whether the integration itself is healthy: passes, open days, API calls, webhooks, strays, audits, summaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.warehouse.concerns import concerns
from twilio_campaigns.warehouse.insight.answers import filled
from twilio_campaigns.warehouse.insight.open_days import open_days
from twilio_campaigns.warehouse.insight.rows import PassRow
from twilio_campaigns.warehouse.insight.scoped import rows_of

if TYPE_CHECKING:
    from datetime import date, datetime
    from uuid import UUID

    from twilio_campaigns.warehouse.concerns import Concern, ConcernKind
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.open_days import OpenDay
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

_CALLS: Final = """
select count(*) as passes, count(*) filter (where not complete) as incomplete,
       count(*) filter (where error is not null) as failed,
       coalesce(sum(api_calls), 0)::bigint as api_calls, coalesce(sum(list_pages), 0)::bigint as list_pages,
       coalesce(sum(fetches), 0)::bigint as fetches, coalesce(sum(observed), 0)::bigint as observed,
       coalesce(sum(changed), 0)::bigint as changed
from reconcile_passes where started_at > now() - interval '24 hours'
"""

_REJECTIONS: Final = """
select * from webhook_rejections where day > (now() at time zone 'UTC')::date - 7
order by day desc, requests desc, reason
"""

_LATEST_WEBHOOK: Final = "select max(last_at) as at from webhook_receipts"

# Messages that Twilio is to send on a later day are of that day.
_LATEST_SENT: Final = "select max(tracked_on) as day from summary_days where tracked_on <= current_date"

_CONNECTIONS: Final = """
select distinct coalesce(s.connection, r.spec ->> 'connection') as connection
from campaign_runs as r
left join summary_runs as s on s.run_key = r.run_key
where r.created_at > now() - interval '30 days'
order by 1
"""

_STRAYS: Final = """
select message_sid, run_key, message_key, found_at, reason
from stray_messages order by found_at desc, message_sid limit 20
"""

_AUDITS: Final = "select * from reconcile_audits order by day desc, started_at desc limit 10"

_SUMMARIES: Final = """
select count(distinct run_key) as marked, min(marked_at) as oldest_mark_at from summary_marks
"""


@dataclass(frozen=True, slots=True)
class CallFigures:
    """What the passes of the last 24 hours cost.

    :param failed: passes that met an error.
    """

    passes: int
    incomplete: int
    api_calls: int
    list_pages: int
    fetches: int
    observed: int
    changed: int
    failed: int


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

    :param marked: runs that changed since their summary was made.
    :param oldest_mark_at: since when the oldest change waits.
    """

    marked: int
    oldest_mark_at: datetime | None


@dataclass(frozen=True, slots=True)
class HealthReport:
    """How the integration is.

    :param now: the database's clock.
    :param concerns: what needs a person; the command `status --check` tells the same.
    :param last_pass: the newest complete one.
    :param last_error: the newest pass of the last seven days that met one.
    :param passes: the latest twenty.
    :param rejections: of the last seven days.
    :param last_webhook_at: that was written down, to ten seconds; `None` if there never was one.
    :param last_sent_on: newest day, up to today, of which Twilio has messages of ours.
    :param connections: Airflow connections of the last thirty days' runs.
    :param latest_strays: twenty at most.
    :param audits: the latest ten.
    """

    now: datetime
    concerns: list[Concern]
    last_pass: PassRow | None
    last_error: PassRow | None
    passes: list[PassRow]
    open_days: list[OpenDay]
    calls: CallFigures
    rejections: list[Rejection]
    last_webhook_at: datetime | None
    last_sent_on: date | None
    connections: list[str]
    latest_strays: list[Stray]
    audits: list[AuditRow]
    summaries: Freshness

    def concern(self, kind: ConcernKind) -> Concern | None:
        """Give the concern of a kind; `None` where there is none."""
        return next((found for found in self.concerns if found.kind is kind), None)


class Health:
    """Looks at what reconciling, webhooks and audits left behind. Blocks.

    :param warehouse: where that is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def report(self) -> HealthReport:
        """Tell how the integration is."""
        (now,), (calls,), (webhook,), (sent,), (summaries,) = map(
            self._rows, (_NOW, _CALLS, _LATEST_WEBHOOK, _LATEST_SENT, _SUMMARIES)
        )
        return HealthReport(
            now=now["now"],
            concerns=concerns(self._warehouse),
            last_pass=next(iter(self._passes(_LATEST_COMPLETE)), None),
            last_error=next(iter(self._passes(_LATEST_ERROR)), None),
            passes=self._passes(_PASSES),
            open_days=open_days(self._warehouse),
            calls=filled(CallFigures, calls),
            rejections=[filled(Rejection, row) for row in self._rows(_REJECTIONS)],
            last_webhook_at=webhook["at"],
            last_sent_on=sent["day"],
            connections=[row["connection"] for row in self._rows(_CONNECTIONS) if row["connection"]],
            latest_strays=[filled(Stray, row) for row in self._rows(_STRAYS)],
            audits=[filled(AuditRow, row) for row in self._rows(_AUDITS)],
            summaries=filled(Freshness, summaries),
        )

    def _passes(self, query: Any) -> list[PassRow]:  # noqa: ANN401 - one of the constants
        return [filled(PassRow, row) for row in self._rows(query)]

    def _rows(self, query: Any) -> Rows:  # noqa: ANN401 - one of the constants
        return rows_of(self._warehouse, query, {})
