"""What a person has to look at, for `status --check` and the Health page alike: what is no concern here is none there.

Short questions over indexes and summaries, each with its answer in docs/operations.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.warehouse.insight.open_days import OVERDUE, open_days

if TYPE_CHECKING:
    from datetime import datetime

    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.open_days import OpenDay


class ConcernKind(StrEnum):
    """Kinds of concerns, in the order in which people are told."""

    PAUSED = "paused"
    UNDECIDED = "undecided"
    STRAYS = "strays"
    OVERDUE = "overdue"
    AUDITS = "audits"
    WEBHOOKS = "webhooks"
    FIGURES = "figures"


_WORDS: Final = {
    ConcernKind.PAUSED: "runs that are paused",
    ConcernKind.UNDECIDED: "lost answers that may be one of several messages",
    ConcernKind.STRAYS: "messages that belong to no row for certain",
    ConcernKind.OVERDUE: "days with messages that are not settled and no complete pass for eight hours",
    ConcernKind.AUDITS: "days whose last audit found a gap or was incomplete",
    ConcernKind.WEBHOOKS: "webhooks turned away as forged or of unknown accounts, today and yesterday",
    ConcernKind.FIGURES: "figures of runs that nobody has counted for an hour",
}

# An audit without an end may be under way.
_FOUND: Final = """
select 'paused' as kind, count(*) as count, min(state_changed_at) as since
from campaign_runs where state = 'paused'
union all
select 'undecided', count(*), min(undecided_at)
from messages where send_state = 'unknown' and undecided_at is not null
union all
select 'strays', count(*), min(found_at)
from stray_messages where found_at > now() - interval '30 days'
union all
select 'audits', count(distinct day), min(started_at)
from (select distinct on (day, connection) * from reconcile_audits
      where day > current_date - 30 order by day, connection, started_at desc) as last
where missing + orphans + different > 0
   or (not complete and (finished_at is not null or started_at < now() - %(overdue)s))
union all
select 'webhooks', coalesce(sum(requests), 0)::bigint, min(last_at)
from webhook_rejections where day >= current_date - 1 and reason in ('forged', 'unknown_account')
union all
select 'figures', count(distinct run_key), min(marked_at)
from summary_marks where marked_at < now() - interval '1 hour'
"""


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs a person.

    :param kind: its stable name.
    :param concern: what it is, in words.
    :param count: how often it is there.
    """

    kind: ConcernKind
    concern: str
    count: int
    since: datetime | None


def concerns(warehouse: Warehouse) -> list[Concern]:
    """Tell what somebody has to look at; empty where all is well."""
    with warehouse.transaction() as connection:
        rows = connection.execute(_FOUND, {"overdue": OVERDUE}).fetchall()
    found = {row["kind"]: row for row in (*rows, _overdue(open_days(warehouse)))}
    return [
        Concern(kind, words, found[kind]["count"], found[kind]["since"])
        for kind, words in _WORDS.items()
        if found[kind]["count"]
    ]


def _overdue(days: list[OpenDay]) -> dict[str, Any]:
    waiting = [day.waits_since for day in days if day.is_overdue]
    return {"kind": ConcernKind.OVERDUE, "count": len(waiting), "since": min(waiting, default=None)}
