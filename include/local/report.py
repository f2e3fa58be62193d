"""What the demo shows in the end: read from the views, as an analyst would."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

FUNNEL = """
select campaign_id, audience, excluded, planned, enqueued, enqueue_failed, sent, delivered, failed, rejected,
       unreported, settled, delivery_rate, delivery_rate_with_receipts, round(price, 2) as price
from messaging.campaign_performance order by campaign_id
"""
EXCLUSIONS = """
select campaign_id, skip_reason, count(*) as rows
from messaging.message_status where skip_reason is not null group by 1, 2 order by 1, 3 desc
"""
COUNTRIES = """
select country, sends_receipts, sum(enqueued)::bigint as enqueued,
       sum(delivered)::bigint as delivered, sum(failed)::bigint as failed, sum(rejected)::bigint as rejected,
       sum(unreported)::bigint as unreported
from messaging.delivery_by_country group by 1, 2 order by 3 desc, 1 limit 12
"""
ERRORS = """
select status, status_code, error, sum(messages)::bigint as messages, min(comment) as comment
from messaging.delivery_errors group by 1, 2, 3 order by 4 desc, 2 limit 8
"""
EVENTS = "select status, count(*) as events from messaging.campaign_events group by 1 order by 2 desc"
#: How each status came first, and how long after Twilio dated it; Twilio's dates are whole seconds.
SOURCES = """
select status, source, count(*) as events,
       round(min(extract(epoch from recorded_at - occurred_at)), 1) as least_seconds,
       round(percentile_cont(0.5) within group (order by extract(epoch from recorded_at - occurred_at))::numeric, 1)
           as median_seconds,
       round(percentile_cont(0.95) within group (order by extract(epoch from recorded_at - occurred_at))::numeric, 1)
           as p95_seconds
from messaging.campaign_events group by 1, 2 order by 1, 3 desc
"""


@dataclass(frozen=True)
class Check:
    """One equation that has to hold for every campaign."""

    campaign: str
    says: str
    left: int
    right: int

    @property
    def holds(self) -> bool:
        """Whether it does."""
        return self.left == self.right


def checks(rows: Sequence[dict[str, Any]]) -> list[Check]:
    """Every recipient of the segment is accounted for, and every message has come to its end."""
    return [
        check
        for row in rows
        for check in (
            Check(
                row["campaign_id"],
                "audience = excluded + planned",
                row["audience"],
                row["excluded"] + row["planned"],
            ),
            Check(
                row["campaign_id"],
                "planned = enqueued + enqueue_failed",
                row["planned"],
                row["enqueued"] + row["enqueue_failed"],
            ),
            Check(row["campaign_id"], "enqueued = settled", row["enqueued"], row["settled"]),
            Check(
                row["campaign_id"],
                "enqueued = delivered + failed + rejected + unreported",
                row["enqueued"],
                row["delivered"] + row["failed"] + row["rejected"] + row["unreported"],
            ),
        )
    ]


def show(url: str, console: Console | None = None) -> list[Check]:
    """Print the report; give the checks.

    :param url: the warehouse.
    """
    console = console or Console()
    with psycopg.connect(url, row_factory=dict_row) as connection:
        funnel = connection.execute(FUNNEL).fetchall()
        _print_funnel(console, funnel)
        _print(console, "Left out, by reason", connection.execute(EXCLUSIONS).fetchall())
        countries = connection.execute(COUNTRIES).fetchall()
        for row in countries:
            row["sends_receipts"] = "yes" if row["sends_receipts"] else "never"
        _print(console, "Delivery by country, the largest twelve", countries)
        _print(console, "Errors", connection.execute(ERRORS).fetchall())
        _print(console, "Events", connection.execute(EVENTS).fetchall())
        _print(console, "How they came, and how soon", connection.execute(SOURCES).fetchall())
    found = checks(funnel)
    for check in found:
        mark = "[green]holds[/]" if check.holds else "[red]BROKEN[/]"
        console.print(f"  {mark}  {check.campaign}: {check.says}  ({check.left:,} = {check.right:,})")
    return found


def _print_funnel(console: Console, rows: Sequence[dict[str, Any]]) -> None:
    """Print campaigns as columns: there are more figures than campaigns."""
    table = Table(title="Campaigns", title_justify="left")
    table.add_column("")
    for row in rows:
        table.add_column(row["campaign_id"], justify="right")
    for name in rows[0] if rows else ():
        if name != "campaign_id":
            table.add_row(name, *(_text(row[name], percent=name.startswith("delivery_rate")) for row in rows))
    console.print(table)


def _print(console: Console, title: str, rows: Sequence[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for name in rows[0] if rows else ("nothing",):
        figures = bool(rows) and not isinstance(rows[0].get(name), str)
        table.add_column(name, justify="right" if figures else "left", overflow="fold")
    for row in rows:
        table.add_row(*(str(value) if name == "status_code" else _text(value) for name, value in row.items()))
    console.print(table)


def _text(value: Any, *, percent: bool = False) -> str:  # noqa: ANN401 - any SQL type
    if value is None:
        return "–"  # noqa: RUF001 - a dash for people
    if percent:
        return f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else str(value)
