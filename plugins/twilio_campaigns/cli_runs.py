"""Commands with which people steer campaign runs: `pause`, `resume`, `stop`, `send-late`, `recover`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from getpass import getuser
from typing import TYPE_CHECKING, Annotated

import typer

from twilio_campaigns.cli_common import DatabaseUrl, errors_to_stderr, open_warehouse, out
from twilio_campaigns.domain.spec import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from twilio_campaigns.engine.steer import RunSteering

RunKey = Annotated[str, typer.Argument(help="campaign_id/logical date, as in table campaign_runs.")]


def pause(run_key: RunKey, database_url: DatabaseUrl = None) -> None:
    """Pause a campaign run before its next chunk is claimed, on all workers."""
    _steer(run_key, database_url, lambda run: run.pause())


def resume(run_key: RunKey, database_url: DatabaseUrl = None) -> None:
    """Let a paused campaign run go on where it was."""
    _steer(run_key, database_url, lambda run: run.resume())


def stop(run_key: RunKey, database_url: DatabaseUrl = None) -> None:
    """Stop a campaign run for good before its next chunk is claimed, on all workers."""
    _steer(run_key, database_url, lambda run: run.stop())


def send_late(
    run_key: RunKey,
    within: Annotated[
        str | None, typer.Option(help="How long from now messages may go out, 2h for example; else send_within.")
    ] = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Send on purpose what came too late; whom another run has texted lately stays left out."""
    _steer(run_key, database_url, lambda run: run.send_late(_duration(within)))


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


def _steer(run_key: str, database_url: str | None, act: Callable[[RunSteering], str]) -> None:
    from twilio_campaigns.engine.steer import RunSteering

    with errors_to_stderr(), open_warehouse(database_url) as (warehouse, _):
        said = act(RunSteering(warehouse, run_key, getuser()))
    out.print(said, markup=False)


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
