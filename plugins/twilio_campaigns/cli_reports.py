"""Commands that answer questions: `status`, `report`, `explain`."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from twilio_campaigns.cli_common import DatabaseUrl, Format, errors_to_stderr, open_warehouse, out
from twilio_campaigns.cli_output import print_csv, print_json, print_table
from twilio_campaigns.domain.values import code_text, is_figure, text_of

if TYPE_CHECKING:
    from twilio_campaigns.warehouse.reports import Rows, RunResults

#: Countries that `report` shows in a shell; the other formats have all.
_COUNTRIES: Final = 20
#: Columns of `status` in a shell; JSON has all.
_STATUS_COLUMNS: Final = ("state", "planned", "waiting", "unknown", "enqueued", "delivered", "open")


class ReportFormat(StrEnum):
    """How a report is printed; `csv` has one line per table, row and column."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"


def status(
    campaign: Annotated[str | None, typer.Argument(help="Only runs of this campaign.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the latest runs.")] = 20,
    output: Annotated[Format, typer.Option("--format", help="What to print on standard output.")] = Format.TABLE,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 where something needs a person.")] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Show where the latest campaign runs stand, which days have unsettled messages, and what needs a person.

    What to do about each is in docs/operations.md.
    """
    from twilio_campaigns.warehouse.concerns import concerns
    from twilio_campaigns.warehouse.reports import Reports

    with errors_to_stderr(), open_warehouse(database_url) as (warehouse, _):
        reports = Reports(warehouse)
        runs, days = reports.status(campaign, limit), reports.open_days(campaign)
        found = [asdict(concern) for concern in concerns(warehouse)]
    if output is Format.JSON:
        print_json({"runs": runs, "open_days": days, "concerns": found})
    else:
        _print_status(campaign, runs, days, found)
    if check and found:
        raise typer.Exit(1)


def _print_status(campaign: str | None, runs: Rows, days: Rows, found: Rows) -> None:
    if not runs:
        out.print(f"There is no run{f' of {campaign}' if campaign else ''} yet.", markup=False)
    else:
        shown = ({name: row[name] for name in _STATUS_COLUMNS} for row in runs)
        print_table("Runs", [{"run": number, **row} for number, row in enumerate(shown, 1)])
        # Each on a line of its own, so that it can be copied as the argument of another command.
        for number, row in enumerate(runs, 1):
            out.print(f"  run {number}  {row['run_key']}", markup=False, highlight=False)
    # Not "open", as of runs: a message whose status is final counts as well while its price is awaited.
    shown_days = [
        {"day": day["day"], "not settled": day["open"], "last_pass_at": day["last_pass_at"], "error": day["error"]}
        for day in days
    ]
    needed = [{name: row[name] for name in ("concern", "count", "since")} for row in found]
    for title, rows in (("Days with messages that are not settled", shown_days), ("Needs a person", needed)):
        if rows:
            print_table(title, rows)
        else:
            out.print(f"{title}: none.", markup=False)


def report(
    run: Annotated[str, typer.Argument(help="run_key, or a campaign_id for its last run.")],
    output: Annotated[
        ReportFormat, typer.Option("--format", help="What to print on standard output.")
    ] = ReportFormat.TABLE,
    every: Annotated[
        bool, typer.Option("--all", help=f"Tables: every country, not only the {_COUNTRIES} largest.")
    ] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Show what became of a campaign run: the funnel, whom it left out, errors and what to do about each, countries."""
    from twilio_campaigns.domain.exceptions import ConfigurationError
    from twilio_campaigns.warehouse.reports import Reports

    with errors_to_stderr(), open_warehouse(database_url) as (warehouse, _):
        reports = Reports(warehouse)
        run_key = reports.find(run)
        if run_key is None:
            raise ConfigurationError(f"There is no run or campaign {run!r}. `twilio-campaigns status` lists the runs.")
        found = reports.report(run_key)
    if output is ReportFormat.TABLE:
        _print_report(found, None if every else _COUNTRIES)
    else:
        _PRINTERS[output](found)


def explain(
    code: Annotated[int, typer.Argument(min=1, help="Twilio's error code, 30007 for example.")],
    output: Annotated[Format, typer.Option("--format", help="What to print on standard output.")] = Format.TABLE,
) -> None:
    """Say what one of Twilio's error codes means, what to do, and what we make of it."""
    from twilio_campaigns.domain.errors import all_entries, error_entry

    entry = error_entry(code)
    assert entry is not None  # noqa: S101 - there is one for every number
    told: dict[str, Any] = {
        "code": code,
        "known": code in all_entries(),
        "error": entry.name,
        "comment": entry.comment,
        "class": entry.error_class,
        "concerns": entry.scope,
        "status": "rejected" if entry.refused else "failed",
        "suppresses": entry.suppresses,
    }
    if output is Format.JSON:
        print_json(told)
        return
    told["suppresses"] = "yes: the number is not texted again" if entry.suppresses else "no"
    print_table(f"Twilio error {code}", [{"": name, " ": value} for name, value in told.items() if name != "code"])


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (status, report, explain):
        app.command()(command)


def _print_report(report: RunResults, largest: int | None) -> None:
    """Print tables: what somebody has to mend stands before the countries, of which there may be two hundred."""
    out.print(report.run_key, style="bold", markup=False, highlight=False)
    countries = [{**row, "sends_receipts": "yes" if row["sends_receipts"] else "never"} for row in report.countries]
    shown = {"exclusions": report.exclusions, "errors": _errors(report), "countries": countries[:largest]}
    for title, rows in {"funnel": report.tables()["funnel"], **shown}.items():
        if rows:
            print_table(title.capitalize(), rows)
    if more := len(countries) - len(shown["countries"]):
        out.print(f"… and {more:,} more: --all", markup=False, highlight=False)


def _errors(report: RunResults) -> Rows:
    """Give the errors as people read them."""
    return [{**row, "status_code": code_text(row["status_code"])} for row in report.errors]


def _print_csv(report: RunResults) -> None:
    print_csv(
        ("run_key", "table", "row", "column", "value"),
        (
            (report.run_key, title, number, name, value)
            for title, rows in report.tables().items()
            for number, row in enumerate(rows, 1)
            for name, value in row.items()
        ),
    )


def _print_html(report: RunResults) -> None:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("twilio_campaigns", "templates"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["text"] = text_of
    environment.tests["figure"] = is_figure
    tables = {**report.tables(), "errors": _errors(report)}
    page = environment.get_template("report.html").render(run_key=report.run_key, tables=tables)
    # Straight to standard output: rich would take brackets for its own.
    typer.echo(page)


_PRINTERS: Final = {
    ReportFormat.JSON: lambda report: print_json({"run_key": report.run_key, **_as_json(report)}),
    ReportFormat.CSV: _print_csv,
    ReportFormat.HTML: _print_html,
}


def _as_json(report: RunResults) -> dict[str, Any]:
    return {**report.tables(), "funnel": report.funnel}
