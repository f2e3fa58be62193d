"""Command `validate`: what is wrong with the files that people edit, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twilio_campaigns.cli_common import Format, Include, err, errors_to_stderr, out
from twilio_campaigns.cli_output import print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twilio_campaigns.domain.campaign_files import Loaded
    from twilio_campaigns.domain.file_problems import Finding
    from twilio_campaigns.domain.yaml_lines import KeyPath


def validate(
    include: Include = Path("include"),
    output: Annotated[Format, typer.Option("--format", help="What to print on standard output.")] = Format.TABLE,
    data: Annotated[bool, typer.Option(help="Look into CSV and Parquet files of segments, too.")] = True,
    connections: Annotated[
        bool, typer.Option("--connections", help="Look whether the Airflow connections that campaigns name are there.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Take advice for errors.")] = False,
) -> None:
    """Check every campaign file, senders.yaml and the segments' files; exit code 1 if anything is wrong.

    Errors are red; yellow is advice: the file works, and may not do what was meant.
    """
    from twilio_campaigns.domain.file_review import review

    with errors_to_stderr():
        loaded, found = review(include)
        for campaign in loaded:
            if data:
                found += _data(campaign, include)
            if connections:
                found += _connections(campaign)
    # What other files lean on comes first.
    found.sort(key=lambda finding: ("/campaigns/" in finding.file, finding.file, finding.line or 0))
    wrong = {finding.file for finding in found if strict or not finding.advice}
    good = [one.campaign.campaign_id for one in loaded if one.problems.shown not in wrong]
    if output is Format.JSON:
        print_json({"campaigns": good, "problems": [finding.as_json() for finding in found]})
    else:
        _print(good, found)
    if not loaded and not found:
        err.print(f"There is no campaign in {include}/campaigns. Add a file, or name another --include.", markup=False)
    if wrong or not good:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(validate)


def _print(good: list[str], found: list[Finding]) -> None:
    for name in good:
        out.print(f"{name}: ok", markup=False)
    for finding in found:
        err.print(finding, style="yellow" if finding.advice else "red", markup=False, highlight=False)


def _data(campaign: Loaded, include: Path) -> Iterator[Finding]:
    from twilio_campaigns.hooks.segment_review import review_data

    return review_data(campaign, include)


def _connections(loaded: Loaded) -> Iterator[Finding]:
    """Find connections that are not there, or say nothing that can be used; nobody is called."""
    from twilio_campaigns.domain.exceptions import TwilioCampaignsError
    from twilio_campaigns.domain.segment import SqlSegment
    from twilio_campaigns.hooks.segment import connection_of
    from twilio_campaigns.hooks.twilio import TwilioHook

    campaign = loaded.campaign
    looks: list[tuple[KeyPath, Callable[[], object]]] = [
        (("connection",), TwilioHook(campaign.connection).get_settings)
    ]
    if isinstance(segment := campaign.segment, SqlSegment):
        looks.append((("segment", "connection"), lambda: connection_of(segment.connection)))
    for path, look in looks:
        try:
            look()
        except TwilioCampaignsError as error:
            yield loaded.problems.finding(path, str(error))
