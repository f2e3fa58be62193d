"""What became of messages, over any choice of runs: a few hundred rows of their summaries, never the ledger."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.audience import explain_exclusion
from twilio_campaigns.domain.countries import NO_RECEIPT_COUNTRIES, sends_receipts
from twilio_campaigns.domain.delays import bounds, percentile
from twilio_campaigns.domain.errors import OUTCOME_UNKNOWN, documentation_of, error_entry
from twilio_campaigns.domain.status import Status
from twilio_campaigns.warehouse.insight.answers import (
    AsOf,
    Choices,
    Cost,
    CountryFigures,
    Counts,
    DelayBucket,
    Delays,
    ErrorFigures,
    Exclusion,
    Timeline,
    TimelinePoint,
    filled,
)
from twilio_campaigns.warehouse.insight.scoped import IN_COUNTRY, RUNS, SCOPED, parameters, rows_of
from twilio_campaigns.warehouse.tables.summaries import COUNTERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from twilio_campaigns.domain.scope import Scope
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.scoped import Rows

#: Sums of counters, given `summary_counts as c`; what answers call them.
SUMS: Final = ", ".join(f"coalesce(sum(c.{name}), 0)::bigint as {name}" for name in (*COUNTERS, "parts"))
#: An amount says nothing where several currencies would be added up, nor before Twilio has billed anything: it names
#: the currency long before the price.
PRICE: Final = """
case when count(distinct nullif(c.price_unit, '')) = 1 and sum(c.priced) > 0 then sum(c.price) end as price,
case when count(distinct nullif(c.price_unit, '')) = 1 and sum(c.priced) > 0 then max(c.price_unit) end as price_unit
"""
#: Sums over countries whose carriers send receipts; takes the others as `no_receipts`.
REPORTING: Final = """
coalesce(sum(c.enqueued) filter (where c.country <> all(%(no_receipts)s)), 0)::bigint as reporting_enqueued,
coalesce(sum(c.delivered) filter (where c.country <> all(%(no_receipts)s)), 0)::bigint as reporting_delivered
"""
RESPONSES: Final = ", ".join(
    f"coalesce(sum(c.{name}), 0)::bigint as {name}" for name in ("clicks", "replies", "opt_outs")
)

_COUNTS: Final = f"""
{SCOPED}
select {SUMS}, {REPORTING} from scoped join summary_counts as c using (run_key) where {IN_COUNTRY}
"""  # noqa: S608 - built of constants

_RESPONSES: Final = f"""
{SCOPED}
select {RESPONSES} from scoped join summary_responses as c using (run_key) where {IN_COUNTRY}
"""  # noqa: S608 - the same

# Steps of five minutes fit into hours, and hours into days: each span has about a hundred and fifty steps.
_TIMELINE: Final = f"""
{SCOPED},
points as materialized (
    select c.starts_at, c.status, sum(c.messages)::bigint as messages
    from scoped join summary_timeline as c using (run_key) where {IN_COUNTRY}
    group by c.starts_at, c.status
),
sized as (
    select case when max(starts_at) - min(starts_at) <= interval '12 hours' then interval '5 minutes'
                when max(starts_at) - min(starts_at) <= interval '8 days' then interval '1 hour'
                else interval '1 day' end as step
    from points
)
select date_bin(step, starts_at, timestamptz '2000-01-01 00:00+00') as starts_at, status,
       sum(messages)::bigint as messages, step
from points, sized
group by 1, 2, step
order by 1, 2
"""  # noqa: S608 - the same

_COUNTRIES: Final = f"""
{SCOPED}
select c.country, {SUMS}, {PRICE}
from scoped join summary_counts as c using (run_key) where {IN_COUNTRY}
group by c.country
having sum(c.planned) > 0
order by sum(c.enqueued) desc, c.country
"""  # noqa: S608 - the same

_DELAYS: Final = f"""
{SCOPED}
select c.country, c.bucket, sum(c.messages)::bigint as messages
from scoped join summary_delays as c using (run_key) where {IN_COUNTRY}
group by c.country, c.bucket
"""  # noqa: S608 - the same

# Countries in the order of their messages; those whose name nobody knows say nothing.
_REASONS: Final = f"""
{SCOPED}
select status, status_code, reason, sum(messages)::bigint as messages,
       (array_agg(country order by messages desc, country) filter (where country <> ''))[:5] as countries
from (
    select c.status, c.status_code, c.reason, c.country, sum(c.messages) as messages
    from scoped join summary_reasons as c using (run_key)
    where {IN_COUNTRY} and (c.status = 'skipped') = %(skipped)s
    group by c.status, c.status_code, c.reason, c.country
) as o
group by status, status_code, reason
order by messages desc, status, status_code, reason
"""  # noqa: S608 - the same

_COSTS: Final = f"""
{SCOPED}
select nullif(c.price_unit, '') as currency, sum(c.price) as price, sum(c.priced)::bigint as priced,
       sum(c.enqueued)::bigint - sum(c.priced)::bigint as unpriced, sum(c.parts)::bigint as parts
from scoped join summary_counts as c using (run_key)
where {IN_COUNTRY} and c.enqueued > 0
group by c.price_unit
order by c.price_unit = '', price desc
"""  # noqa: S608 - the same

_CHOICES: Final = f"""
{SCOPED}
select (select array_agg(distinct country order by country)
        from scoped join summary_counts using (run_key) where country <> '') as countries,
       (select array_agg(distinct sender order by sender)
        from scoped join summary_runs using (run_key) where sender is not null) as senders
"""  # noqa: S608 - the same


# Runs without any summary count, too: unlike everywhere else, they are what is asked for. A summary that nothing has
# changed since holds for now, however long ago it was made.
_AS_OF: Final = f"""
select case when count(refreshed_at) > 0 then coalesce(min(refreshed_at) filter (where is_behind), now()) end as at,
       count(*) - count(refreshed_at) as uncounted,
       coalesce(bool_or(is_behind or refreshed_at is null), false) as pending
from (
    select s.refreshed_at,
           s.closes_at <= now() or exists (select from summary_marks as m where m.run_key = r.run_key) as is_behind
    from campaign_runs as r left join summary_runs as s on s.run_key = r.run_key
    where {RUNS}
) as runs
"""  # noqa: S608 - the same


class Figures:
    """Figures of a scope's messages; each method asks one question. Blocks.

    :param warehouse: where the summaries are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def counts(self, scope: Scope) -> Counts:
        """Give the funnel."""
        (counts,), (responses,) = self._rows(_COUNTS, scope), self._rows(_RESPONSES, scope)
        return filled(Counts, {**counts, **responses})

    def timeline(self, scope: Scope) -> Timeline:
        """Give the statuses over time, clicks (`clicked`) and replies (`incoming_message`) among them."""
        rows = self._rows(_TIMELINE, scope)
        step = rows[0]["step"] if rows else timedelta(minutes=5)
        return Timeline(step, [filled(TimelinePoint, row) for row in rows])

    def countries(self, scope: Scope) -> list[CountryFigures]:
        """Give delivery by country, the largest first."""
        buckets = _buckets(self._rows(_DELAYS, scope))
        return [
            filled(
                CountryFigures,
                row,
                country=row["country"] or None,
                sends_receipts=sends_receipts(row["country"]),
                median_seconds=percentile(buckets[row["country"]], 0.5),
            )
            for row in self._rows(_COUNTRIES, scope)
        ]

    def errors(self, scope: Scope) -> list[ErrorFigures]:
        """Give what went wrong, what it means and what to do, the most frequent first."""
        return [_error(row) for row in self._rows(_REASONS, scope, skipped=False)]

    def exclusions(self, scope: Scope) -> list[Exclusion]:
        """Give whom audiences left out, the most frequent reason first."""
        rows = self._rows(_REASONS, scope, skipped=True)
        return [Exclusion(row["reason"], row["messages"], explain_exclusion(row["reason"])) for row in rows]

    def delays(self, scope: Scope) -> Delays:
        """Give how long delivery took."""
        buckets: defaultdict[int, int] = defaultdict(int)
        for of_country in _buckets(self._rows(_DELAYS, scope)).values():
            for bucket, messages in of_country.items():
                buckets[bucket] += messages
        rows = [DelayBucket(*bounds(bucket), buckets[bucket]) for bucket in sorted(buckets)]
        return Delays(sum(buckets.values()), percentile(buckets, 0.5), percentile(buckets, 0.95), rows)

    def costs(self, scope: Scope) -> list[Cost]:
        """Give what accepted messages cost, the dearest currency first, what is not billed yet last."""
        return [filled(Cost, row) for row in self._rows(_COSTS, scope)]

    def as_of(self, scope: Scope) -> AsOf:
        """Tell what the figures of the scope hold for: of its runs, the one that waits longest to be counted."""
        (row,) = self._rows(_AS_OF, scope)
        return filled(AsOf, row)

    def choices(self, scope: Scope) -> Choices:
        """Give the countries and senders that the scope's runs have."""
        (row,) = self._rows(_CHOICES, scope)
        return Choices(row["countries"] or [], row["senders"] or [])

    def _rows(self, query: str, scope: Scope, **more: Any) -> Rows:  # noqa: ANN401 - whatever the query takes
        values = {**parameters(scope), "no_receipts": sorted(NO_RECEIPT_COUNTRIES), **more}
        return rows_of(self._warehouse, query, values)


def _buckets(rows: Sequence[Mapping[str, Any]]) -> defaultdict[str, dict[int, int]]:
    found: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for row in rows:
        found[row["country"]][row["bucket"]] = row["messages"]
    return found


def _error(row: Mapping[str, Any]) -> ErrorFigures:
    code = row["status_code"] or None
    entry = error_entry(code) or (OUTCOME_UNKNOWN if row["reason"] == OUTCOME_UNKNOWN.name else None)
    return ErrorFigures(
        status=str(Status(row["status"])),
        status_code=code,
        error=entry.name if entry else row["reason"] or None,
        comment=entry.comment if entry else None,
        messages=row["messages"],
        countries=row["countries"] or [],
        documentation=documentation_of(code) if code else None,
    )
