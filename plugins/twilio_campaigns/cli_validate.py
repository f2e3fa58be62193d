"""Command `validate`: what is wrong with the files that people edit, and how to mend it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from twilio_campaigns.cli_common import Format, Include, err, errors_to_stderr, out
from twilio_campaigns.cli_output import print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.domain.campaign_files import Loaded
    from twilio_campaigns.domain.file_problems import Finding


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
        loaded, reviewed = review(include)
        concerned = {one.problems.shown: [one.campaign.campaign_id] for one in loaded}
        told = [(finding, concerned.get(finding.file, [])) for finding in reviewed]
        if data:
            told += _data(loaded, include)
        if connections:
            told += _connections(loaded, include)
    # What other files lean on comes first.
    told.sort(key=lambda one: ("/campaigns/" in f"/{one[0].file}", one[0].file, one[0].line or 0))
    wrong = [names for finding, names in told if strict or not finding.advice]
    named = (one.campaign.campaign_id for one in loaded)
    good = [name for name in named if not any(name in names for names in wrong)]
    found = [finding for finding, _ in told]
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


def _data(loaded: Sequence[Loaded], include: Path) -> Iterator[tuple[Finding, list[str]]]:
    from twilio_campaigns.hooks.segment_review import review_data

    return review_data(loaded, include)


def _connections(loaded: Sequence[Loaded], include: Path) -> Iterator[tuple[Finding, list[str]]]:
    """Tell each connection that is not there, or says nothing that can be used, once; nobody is called.

    :return: what is wrong, and the campaigns that name it.
    """
    from twilio_campaigns.domain.file_problems import Finding, shown_path

    naming: dict[tuple[str, str], list[Loaded]] = {}
    for one in loaded:
        for wrong in _wrong_connections(one.campaign):
            naming.setdefault(wrong, []).append(one)
    for (field, problem), those in naming.items():
        names = [one.campaign.campaign_id for one in those]
        if len(those) == 1:
            yield Finding(those[0].problems.shown, None, field, problem), names
        else:
            told = f"{problem} Campaigns: {', '.join(names)}."
            yield Finding(shown_path(include / "campaigns", include), None, field, told), names


def _wrong_connections(campaign: Campaign) -> Iterator[tuple[str, str]]:
    """Give the field of each connection that cannot be used, and why."""
    from twilio_campaigns.domain.exceptions import TwilioCampaignsError
    from twilio_campaigns.domain.segment import SqlSegment
    from twilio_campaigns.hooks.segment import connection_of
    from twilio_campaigns.hooks.twilio import TwilioHook

    looks: list[tuple[str, Callable[[], object]]] = [("connection", TwilioHook(campaign.connection).get_settings)]
    if isinstance(segment := campaign.segment, SqlSegment):
        looks.append(("segment.connection", lambda: connection_of(segment.connection)))
    for field, look in looks:
        try:
            look()
        except TwilioCampaignsError as error:
            yield field, str(error)
