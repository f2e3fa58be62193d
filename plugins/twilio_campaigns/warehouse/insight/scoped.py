"""How a scope becomes a condition on runs and their summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Collection

    from twilio_campaigns.domain.scope import Scope
    from twilio_campaigns.warehouse.connection import Warehouse

Rows = list[dict[str, Any]]

#: Runs of a scope, given `campaign_runs as r` and `summary_runs as s`.
RUNS: Final = """
(%(campaign_id)s::text is null or r.campaign_id = %(campaign_id)s)
and (%(run_key)s::text is null or r.run_key = %(run_key)s)
and (%(since)s::date is null or r.created_at >= %(since)s::date::timestamp at time zone 'UTC')
and (%(until)s::date is null or r.created_at < (%(until)s::date + 1)::timestamp at time zone 'UTC')
and (%(sender)s::text is null or s.sender = %(sender)s)
and (%(dag_ids)s::text[] is null or r.dag_id = any(%(dag_ids)s))
"""

#: Opens a statement: `scoped` are the keys of the runs, which `summary_*` tables are then joined to.
SCOPED: Final = f"""
with scoped as materialized (
    select r.run_key from campaign_runs as r join summary_runs as s on s.run_key = r.run_key where {RUNS}
)
"""  # noqa: S608 - built of constants

#: Rows of a summary table, called `c`, of the scope's country.
IN_COUNTRY: Final = "(%(country)s::text is null or c.country = %(country)s)"


def parameters(scope: Scope) -> dict[str, Any]:
    """Give what the statements above take."""
    return {**{name: getattr(scope, name) for name in scope.__slots__}, **dags(scope.dag_ids)}


def dags(dag_ids: Collection[str] | None) -> dict[str, list[str] | None]:
    """Give DAGs as statements take them; `None` stands for all."""
    return {"dag_ids": None if dag_ids is None else sorted(dag_ids)}


def rows_of(warehouse: Warehouse, query: str, values: dict[str, Any]) -> Rows:
    """Ask one question in a transaction of its own."""
    with warehouse.transaction() as connection:
        return connection.execute(cast("Any", query), values).fetchall()
