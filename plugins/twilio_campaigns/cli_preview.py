"""Command `preview`: who would get what, who would not and why, how long it takes and what it costs."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from twilio_campaigns.cli_common import DatabaseUrl, Include, err, errors_to_stderr, open_warehouse, out
from twilio_campaigns.cli_output import counting_rows, print_csv, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.domain.preview import Preview, PreviewedRow
    from twilio_campaigns.warehouse.connection import Warehouse

#: The connection for which `--database-url` stands.
_WAREHOUSE: Final = "AIRFLOW_CONN_WAREHOUSE_DEFAULT"
_COLUMNS: Final = (
    *("row", "customer_id", "number", "country", "from", "parts", "outcome"),
    *("body", "media_urls", "content_sid", "content_variables"),
)
_NO_LEDGER: Final = (
    "No warehouse is named, so opt-outs and bad numbers (suppressed), earlier runs (recently_texted), other runs of "
    f"the sender and prices were not looked at. Give --database-url, or set {_WAREHOUSE}."
)


class PreviewFormat(StrEnum):
    """How a preview is printed; `csv` has the rows alone."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def preview(
    campaign: Annotated[str, typer.Argument(help="campaign_id, or the campaign's file.")],
    limit: Annotated[int, typer.Option(min=0, help="How many of the segment's first rows to show.")] = 10,
    output: Annotated[
        PreviewFormat, typer.Option("--format", help="What to print on standard output.")
    ] = PreviewFormat.TABLE,
    show_numbers: Annotated[bool, typer.Option("--show-numbers", help="Show whole phone numbers.")] = False,
    include: Include = Path("include"),
    database_url: DatabaseUrl = None,
) -> None:
    """Show who would get what if the campaign ran now; nothing is written and nobody is texted.

    Reads the whole segment by the rules of `prepare_audience`: counts are of everybody, --limit is for the rows shown.
    Exit code 1 if `prepare_audience` would refuse the audience.
    """
    with errors_to_stderr(), _standing_for_the_connection(database_url), _heard() as remarks:
        found, made, checked, problems = _preview(campaign, include, limit, database_url)
    said = _Said(found, made, checked=checked, show_numbers=show_numbers, remarks=remarks, problems=problems)
    _PRINTERS[output](said)
    for problem in problems:
        err.print(problem, style="red", markup=False, highlight=False)
    for note in said.notes():
        err.print(note, style="yellow", markup=False, highlight=False)
    if made.refusal:
        err.print(f"`prepare_audience` would plan nobody: {made.refusal}.", style="red", markup=False, highlight=False)
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(preview)


def _preview(
    name: str, include: Path, limit: int, database_url: str | None
) -> tuple[Campaign, Preview, bool, list[str]]:
    """Preview a campaign; also tell whether the ledger was asked, and which variables have no column."""
    from twilio_campaigns.domain.campaign_files import find_campaign
    from twilio_campaigns.domain.file_review import columns_asked_for
    from twilio_campaigns.engine.preview import preview_audience
    from twilio_campaigns.hooks.segment import read_segment

    campaign = find_campaign(include, name)
    with ExitStack() as stack:
        warehouse = _warehouse(stack, database_url)
        chunks = stack.enter_context(counting_rows(read_segment(campaign.segment, include), "Reading the segment"))
        first = next(chunks, [])
        made = preview_audience(campaign, chain([first], chunks), warehouse, show=limit)
    # Without a row nobody knows the columns.
    problems = list(columns_asked_for(campaign.message, list(first[0]))) if first else []
    return campaign, made, warehouse is not None, problems


def _warehouse(stack: ExitStack, database_url: str | None) -> Warehouse | None:
    """Open the warehouse, unless nobody names one; one that is named and out of reach is an error."""
    if not database_url and not _is_connected():
        return None
    warehouse, _ = stack.enter_context(open_warehouse(database_url))
    return warehouse


def _is_connected() -> bool:
    """Whether the environment, or Airflow's secrets backend, has the connection of the warehouse."""
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from twilio_campaigns.hooks.warehouse import DEFAULT_CONNECTION

    try:
        BaseHook.get_connection(DEFAULT_CONNECTION)
    except AirflowNotFoundException:
        return False
    return True


@contextmanager
def _standing_for_the_connection(database_url: str | None) -> Iterator[None]:
    """Let segments that are read through `warehouse_default` find it, where only its URL was given."""
    if not database_url or _WAREHOUSE in os.environ:
        yield
        return
    from twilio_campaigns.warehouse.connection import libpq_url

    os.environ[_WAREHOUSE] = libpq_url(database_url)
    try:
        yield
    finally:
        del os.environ[_WAREHOUSE]


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect what would stand in the task's log, to be said as notes behind the answers."""
    remarks: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: remarks.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("twilio_campaigns")
    before, logger.handlers = logger.handlers, [handler]
    try:
        yield remarks
    finally:
        logger.handlers = before


class _Said:
    """A preview in words and figures.

    :param checked: whether the ledger was asked.
    :param remarks: what the task's log would say.
    :param problems: variables that no column has.
    """

    def __init__(
        self,
        campaign: Campaign,
        made: Preview,
        *,
        checked: bool,
        show_numbers: bool,
        remarks: list[str],
        problems: list[str],
    ) -> None:
        self.campaign = campaign
        self.made = made
        self._checked = checked
        self._show_numbers = show_numbers
        self._remarks = remarks
        self.problems = problems

    def figures(self) -> dict[str, Any]:
        """Give what holds for the audience as a whole."""
        forecast, costs = self.made.forecast, self.made.costs()
        return {
            "audience": self.made.audience,
            "excluded": self.made.audience - forecast.messages,
            "planned": forecast.messages,
            "parts": forecast.parts,
            "sender": self.campaign.sender.name,
            "from": self.campaign.sender.scope,
            "channel": self.campaign.action_type(),
            "parts_per_second": forecast.parts_per_second,
            "parts_of_other_runs_first": forecast.parts_ahead if self._checked else None,
            "seconds": round(forecast.takes.total_seconds(), 1),
            "cost": {unit: round(amount, 4) for unit, amount in costs.items()} or None,
            "messages_of_unknown_price": self.made.unpriced(),
        }

    def exclusions(self) -> list[dict[str, Any]]:
        """Tell who is left out, by reason."""
        return [{"reason": reason, "rows": rows} for reason, rows in self.made.exclusions().items()]

    def countries(self) -> list[dict[str, Any]]:
        """Tell who is texted, by country."""
        return [
            {
                "country": tally.country,
                "messages": tally.rows,
                "parts": tally.parts,
                "price_per_part": round(price.amount, 6) if price else None,
                "cost": round(price.amount * tally.parts, 4) if price else None,
                "currency": price.unit if price else None,
            }
            for tally in self.made.countries()
            for price in [self.made.prices.get(tally.country or "")]
        ]

    def rows(self) -> list[dict[str, Any]]:
        """Give the first rows of the segment."""
        return [self._row(row) for row in self.made.rows]

    def notes(self) -> list[str]:
        """Give what the figures do not say by themselves."""
        found = [*self._remarks] if self._checked else [*self._remarks, _NO_LEDGER]
        if self.campaign.message.content_sid:
            found.append(
                "Twilio fills in the Content template, so its text is not shown and each message counts 1 part."
            )
        if self.campaign.shorten_urls:
            found.append("Twilio shortens the links: texts may take fewer parts than shown.")
        return found

    def _row(self, row: PreviewedRow) -> dict[str, Any]:
        from twilio_campaigns.domain.phone import mask_number

        recipient = row.recipient
        number = recipient.to_number or recipient.input_number
        return {
            "row": row.number,
            "customer_id": recipient.customer_id,
            "number": number if self._show_numbers else mask_number(number),
            "country": recipient.country,
            "from": self.campaign.sender.scope,
            "parts": recipient.estimated_parts,
            "outcome": row.reason or "planned",
            "body": recipient.body,
            "media_urls": list(recipient.media_urls),
            "content_sid": recipient.content_sid,
            "content_variables": recipient.content_variables,
        }


def _print_tables(said: _Said) -> None:
    out.print(f"{said.campaign.campaign_id}: what a run would do now", style="bold", markup=False, highlight=False)
    figures = said.figures()
    figures["cost"] = _words_of_cost(said.made)
    figures["takes"] = str(timedelta(seconds=round(figures.pop("seconds"))))
    print_table("Audience", [{"figure": name.replace("_", " "), "value": value} for name, value in figures.items()])
    for title, rows in (("Left out, by reason", said.exclusions()), ("By country", said.countries())):
        if rows:
            print_table(title, rows)
    if shown := said.rows():
        hidden = {"from", "content_sid"} | {"media_urls", "content_variables"} - _used(shown)
        print_table(
            f"The first {len(shown):,} rows of the segment",
            [{name: value for name, value in row.items() if name not in hidden} for row in shown],
        )


def _used(rows: list[dict[str, Any]]) -> set[str]:
    return {name for row in rows for name, value in row.items() if value}


def _words_of_cost(made: Preview) -> str:
    if not made.forecast.messages:
        return "nothing: nobody would be texted"
    said = [f"{amount:,.2f} {unit}" for unit, amount in made.costs().items()] or ["unknown"]
    if made.costs() and made.unpriced():
        said.append(f"and {made.unpriced():,} messages of unknown price")
    return ", ".join(said)


def _print_csv(said: _Said) -> None:
    rows = ({**row, "media_urls": " ".join(row["media_urls"])} for row in said.rows())
    print_csv(_COLUMNS, ([row[name] for name in _COLUMNS] for row in rows))


def _print_json(said: _Said) -> None:
    print_json(
        {
            "campaign_id": said.campaign.campaign_id,
            **said.figures(),
            "exclusions": said.made.exclusions(),
            "countries": said.countries(),
            "rows": said.rows(),
            "problems": said.problems,
            "notes": said.notes(),
            "refusal": said.made.refusal,
        }
    )


_PRINTERS: Final = {
    PreviewFormat.TABLE: _print_tables,
    PreviewFormat.JSON: _print_json,
    PreviewFormat.CSV: _print_csv,
}
