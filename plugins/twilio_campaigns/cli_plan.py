"""The command that tells beforehand what reconciling costs."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from twilio_campaigns.cli_common import errors_to_stderr, out
from twilio_campaigns.domain.reading_cost import cost_of_reading
from twilio_campaigns.domain.settings import Settings

if TYPE_CHECKING:
    from twilio_campaigns.domain.reading_cost import Plan


def plan_reconcile(
    messages: Annotated[int, typer.Option(min=1, help="Messages of a campaign run.")],
    over: Annotated[float, typer.Option(min=0.01, help="Hours that sending takes.")] = 1.0,
    others_per_hour: Annotated[int, typer.Option(min=0, help="Other messages of the same account in an hour.")] = 0,
    output: Annotated[Literal["table", "json"], typer.Option("--format", help="How to print it.")] = "table",
) -> None:
    """Tell how many API calls it takes to follow a campaign's messages to their ends, with the settings in force."""
    with errors_to_stderr():
        settings = Settings.from_environ(os.environ)
        made = cost_of_reading(
            messages,
            timedelta(hours=over),
            settings.schedule,
            min_wait=settings.min_wait,
            others_per_hour=others_per_hour,
        )
    if output == "json":
        out.print_json(json.dumps(_as_json(made)))
    else:
        out.print(_as_table(made))
        out.print(
            f"{made.total.calls:,} API calls: {made.calls_per_thousand:.1f} per 1,000 messages. Asking for every open "
            f"message at every age would take {made.one_by_one:,}.",
            highlight=False,
        )


def _as_json(made: Plan) -> dict[str, object]:
    return {
        "messages": made.messages,
        "api_calls": made.total.calls,
        "calls_per_1000": round(made.calls_per_thousand, 2),
        "one_by_one": made.one_by_one,
        "by_age": [
            {"seconds": age.total_seconds(), "looks": cost.looks, "list_pages": cost.pages, "fetches": cost.fetches}
            for age, cost in sorted(made.by_age.items())
        ],
    }


def _as_table(made: Plan) -> Table:
    table = Table(title=f"Following {made.messages:,} messages", title_justify="left")
    table.add_column("age of the youngest")
    for name in ("looks", "list pages", "single messages", "API calls"):
        table.add_column(name, justify="right")
    for age, cost in sorted(made.by_age.items()):
        table.add_row(f"up to {_words(age)}", *(f"{n:,}" for n in (cost.looks, cost.pages, cost.fetches, cost.calls)))
    total = made.total
    table.add_section()
    table.add_row("in all", *(f"{n:,}" for n in (total.looks, total.pages, total.fetches, total.calls)))
    return table


def _words(age: timedelta) -> str:
    minutes = round(age / timedelta(minutes=1))
    return f"{minutes} min" if minutes < 60 else f"{minutes / 60:g} h"  # noqa: PLR2004 - minutes of an hour
