"""Lists of campaigns and of their runs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, cast

from twilio_campaigns.domain.countries import NO_RECEIPT_COUNTRIES
from twilio_campaigns.domain.scope import Listing, Page, Scope
from twilio_campaigns.warehouse.insight.answers import CampaignRow, Counts, RunRow, filled
from twilio_campaigns.warehouse.insight.figures import PRICE, REPORTING, RESPONSES, SUMS
from twilio_campaigns.warehouse.insight.scoped import RUNS, parameters, rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.scoped import Rows


class CampaignSort(StrEnum):
    """By what campaigns are sorted, the greatest first; names from A to Z."""

    LAST_RUN = "last_run"
    NAME = "name"
    RUNS = "runs"
    OPEN = "open"
    ENQUEUED = "enqueued"


#: Figures of each run of `wanted`.
_FIGURES: Final = f"""
select w.run_key, counts.*, responses.*
from wanted as w
cross join lateral (
    select {SUMS}, {REPORTING}, {PRICE} from summary_counts as c where c.run_key = w.run_key
) as counts
cross join lateral (
    select {RESPONSES} from summary_responses as c where c.run_key = w.run_key
) as responses
"""  # noqa: S608 - built of constants

_RUN_ROWS: Final = f"""
with wanted as materialized (
    select r.run_key from campaign_runs as r
    left join summary_runs as s on s.run_key = r.run_key
    where {RUNS}
    order by r.created_at desc, r.run_key desc
    limit %(limit)s offset %(offset)s
)
select r.*, s.sender, s.channel, s.refreshed_at, f.*
from wanted
join campaign_runs as r using (run_key)
left join summary_runs as s using (run_key)
join ({_FIGURES}) as f using (run_key)
order by r.created_at desc, r.run_key desc
"""  # noqa: S608 - the same

_COUNT_RUNS: Final = f"""
select count(*) as total from campaign_runs as r
left join summary_runs as s on s.run_key = r.run_key
where {RUNS}
"""  # noqa: S608 - the same

_ORDERS: Final = {
    CampaignSort.LAST_RUN: "last_run_at desc",
    CampaignSort.NAME: "campaign_id",
    CampaignSort.RUNS: "runs desc",
    CampaignSort.OPEN: "open desc",
    CampaignSort.ENQUEUED: "enqueued desc",
}

# A campaign is found by any part of its name; what is a pattern to SQL is none to people.
_CAMPAIGNS: Final = f"""
with wanted as materialized (
    select r.run_key from campaign_runs as r
    left join summary_runs as s on s.run_key = r.run_key
    where {RUNS} and position(lower(%(search)s) in lower(r.campaign_id)) > 0
)
select r.campaign_id, count(*) as runs, max(r.created_at) as last_run_at,
       (array_agg(r.run_key order by r.created_at desc, r.run_key desc))[1] as last_run_key,
       {", ".join(f"coalesce(sum(f.{name}), 0)::bigint as {name}" for name in Counts.__slots__)}
from wanted
join campaign_runs as r using (run_key)
join ({_FIGURES}) as f using (run_key)
group by r.campaign_id
"""  # noqa: S608 - the same

_COUNT_CAMPAIGNS: Final = f"""
select count(distinct r.campaign_id) as total from campaign_runs as r
left join summary_runs as s on s.run_key = r.run_key
where {RUNS} and position(lower(%(search)s) in lower(r.campaign_id)) > 0
"""  # noqa: S608 - the same

_DAG_IDS: Final = """
select distinct dag_id from campaign_runs
where %(campaign_id)s::text is null or campaign_id = %(campaign_id)s
"""

_CAMPAIGN_OF: Final = """
select campaign_id from campaign_runs where dag_id = %(dag_id)s order by created_at desc, run_key desc limit 1
"""

_RUN_OF: Final = """
select run_key from campaign_runs where dag_id = %(dag_id)s and dag_run_id = %(dag_run_id)s
order by created_at desc limit 1
"""

_FIND: Final = """
select run_key from campaign_runs
where run_key = %(name)s or campaign_id = %(name)s
order by run_key = %(name)s desc, created_at desc, run_key desc
limit 1
"""


class CampaignIndex:
    """Which campaigns and runs there are, and where they stand. Blocks.

    :param warehouse: where the summaries are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def campaigns(
        self,
        search: str = "",
        *,
        sort: CampaignSort = CampaignSort.LAST_RUN,
        page: Page | None = None,
        scope: Scope | None = None,
    ) -> Listing[CampaignRow]:
        """List campaigns that have runs in a scope.

        :param search: part of the name, in any case.
        """
        page, values = page or Page(), {"search": search}
        query = f"{_CAMPAIGNS} order by {_ORDERS[sort]}, campaign_id limit %(limit)s offset %(offset)s"
        rows = self._rows(query, scope or Scope(), page, **values)
        (total,) = self._rows(_COUNT_CAMPAIGNS, scope or Scope(), page, **values)
        last = self._runs_by_key([row["last_run_key"] for row in rows])
        found = [
            CampaignRow(row["campaign_id"], row["runs"], last[row["last_run_key"]], filled(Counts, row)) for row in rows
        ]
        return Listing(found, total["total"], page)

    def runs(self, scope: Scope, page: Page | None = None) -> Listing[RunRow]:
        """List the runs of a scope, the newest first."""
        page = page or Page()
        (total,) = self._rows(_COUNT_RUNS, scope, page)
        rows = self._rows(_RUN_ROWS, scope, page)
        return Listing([run_row(row) for row in rows], total["total"], page)

    def dag_ids(self, campaign_id: str | None = None) -> set[str]:
        """Give the DAGs that have run a campaign, or any campaign."""
        return {row["dag_id"] for row in rows_of(self._warehouse, _DAG_IDS, {"campaign_id": campaign_id})}

    def campaign_of(self, dag_id: str) -> str | None:
        """Give the campaign of a DAG's newest run."""
        found = rows_of(self._warehouse, _CAMPAIGN_OF, {"dag_id": dag_id})
        return cast("str", found[0]["campaign_id"]) if found else None

    def run_of(self, dag_id: str, dag_run_id: str) -> str | None:
        """Give the run of a DAG run, by Airflow's names."""
        found = rows_of(self._warehouse, _RUN_OF, {"dag_id": dag_id, "dag_run_id": dag_run_id})
        return cast("str", found[0]["run_key"]) if found else None

    def run(self, run_key: str) -> RunRow | None:
        """Give one run; `None` if there is none of this key."""
        return self._runs_by_key([run_key]).get(run_key)

    def find(self, name: str) -> str | None:
        """Give the run of this key, or the last run of the campaign of this name."""
        found = rows_of(self._warehouse, _FIND, {"name": name})
        return cast("str", found[0]["run_key"]) if found else None

    def _runs_by_key(self, run_keys: list[str]) -> dict[str, RunRow]:
        rows = rows_of(
            self._warehouse,
            _RUN_ROWS.replace(RUNS, "r.run_key = any(%(run_keys)s)"),
            {"run_keys": run_keys, "limit": len(run_keys), "offset": 0, **_RECEIPTS},
        )
        return {row["run_key"]: run_row(row) for row in rows}

    def _rows(self, query: str, scope: Scope, page: Page, **more: Any) -> Rows:  # noqa: ANN401 - whatever it takes
        values = {**parameters(scope), **_RECEIPTS, "limit": page.size, "offset": page.offset, **more}
        return rows_of(self._warehouse, query, values)


_RECEIPTS: Final = {"no_receipts": sorted(NO_RECEIPT_COUNTRIES)}


def run_row(row: Mapping[str, Any]) -> RunRow:
    """Make a run of its row and figures."""
    return filled(RunRow, row, counts=filled(Counts, row))
