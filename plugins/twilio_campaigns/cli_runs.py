"""Commands with which people steer campaign runs: `pause`, `resume`, `stop`, `send-late`, `recover`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer

from twilio_campaigns.cli_common import DatabaseUrl, Format, errors_to_stderr, open_warehouse, out
from twilio_campaigns.cli_output import print_json
from twilio_campaigns.domain.spec import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from twilio_campaigns.engine.steer import RunSteering

RunKey = Annotated[
    str, typer.Argument(help="run_key, as `status` names it; or a campaign_id for its latest run, one under way first.")
]
Output = Annotated[Format, typer.Option("--format", help="What to print on standard output.")]


def pause(run_key: RunKey, output: Output = Format.TABLE, database_url: DatabaseUrl = None) -> None:
    """Pause a campaign run before its next chunk is claimed, on all workers."""
    _steer(run_key, output, database_url, lambda run: run.pause())


def resume(run_key: RunKey, output: Output = Format.TABLE, database_url: DatabaseUrl = None) -> None:
    """Let a paused campaign run go on where it was."""
    _steer(run_key, output, database_url, lambda run: run.resume())


def stop(run_key: RunKey, output: Output = Format.TABLE, database_url: DatabaseUrl = None) -> None:
    """Stop a campaign run for good before its next chunk is claimed, on all workers."""
    _steer(run_key, output, database_url, lambda run: run.stop())


def send_late(
    run_key: RunKey,
    within: Annotated[
        str | None, typer.Option(help="How long from now messages may go out, 2h for example; else send_within.")
    ] = None,
    output: Output = Format.TABLE,
    database_url: DatabaseUrl = None,
) -> None:
    """Send on purpose what came too late; whom another run has texted lately stays left out."""
    _steer(run_key, output, database_url, lambda run: run.send_late(_duration(within)))


def recover(
    since: Annotated[
        datetime,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"], help="Moment to which the database was taken back, UTC."
        ),
    ],
    database_url: DatabaseUrl = None,
) -> None:
    """After a restore or failover that may have forgotten claims: look every planned message up before it is sent.

    Nothing of the runs under way is sent before Twilio's list has shown that it was not sent already.
    """
    from twilio_campaigns.hooks.twilio import TwilioHook
    from twilio_campaigns.warehouse.expiry import Expiry

    with errors_to_stderr(), open_warehouse(database_url) as (warehouse, _):
        expiry = Expiry(warehouse)
        doubted = sum(
            expiry.doubt_planned(
                name, since.replace(tzinfo=UTC), timedelta(seconds=TwilioHook(name).get_settings().list_lag_seconds)
            )
            for name in expiry.connections_of_planned()
        )
    out.print(
        f"{doubted:,} planned messages are looked up before they are sent. Clear task `resolve_unknown` of the runs.",
        markup=False,
    )


def add_to(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (pause, resume, stop, send_late, recover):
        app.command()(command)


def _steer(name: str, output: Format, database_url: str | None, act: Callable[[RunSteering], str]) -> None:
    from twilio_campaigns.engine.steer import RunSteering
    from twilio_campaigns.warehouse.runs import RunStore

    with errors_to_stderr(), open_warehouse(database_url) as (warehouse, _):
        runs = RunStore(warehouse)
        run_key = name if "/" in name else runs.of_campaign(name) or name
        said = act(RunSteering(warehouse, run_key, getuser()))
        run = runs.run(run_key)
    if output is Format.JSON:
        print_json({"run_key": run_key, "state": run.state if run else None, "said": said})
    else:
        out.print(said, markup=False)


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
