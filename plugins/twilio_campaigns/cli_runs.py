"""Commands with which people steer campaign runs: `pause`, `resume`, `stop`, `send-late`, `recover`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from getpass import getuser
from typing import TYPE_CHECKING, Annotated, Final

import typer

from twilio_campaigns.cli_common import DatabaseUrl, Format, errors_to_stderr, open_warehouse, out
from twilio_campaigns.cli_output import print_json
from twilio_campaigns.domain.spec import parse_duration
from twilio_campaigns.domain.status import RunState

if TYPE_CHECKING:
    from collections.abc import Callable

    from twilio_campaigns.engine.steer import RunSteering
    from twilio_campaigns.warehouse.connection import Warehouse

#: The run is not what was asked for, and nothing was changed.
EXIT_UNCHANGED: Final = 3

#: States in which a run is what was asked for, whoever made it so.
_AS_ASKED: Final[dict[str, frozenset[RunState]]] = {
    "pause": frozenset({RunState.PAUSED}),
    "resume": frozenset({RunState.SENDING}),
    "stop": frozenset({RunState.STOPPED, RunState.DONE, RunState.TOO_LATE}),
    # A run whose lateness was waived waits for its task to be cleared.
    "send-late": frozenset({RunState.FREEZING}),
}

RunName = Annotated[
    str, typer.Argument(help="run_key, as `status` names it; or a campaign_id: the run under way, else the last one.")
]
Output = Annotated[Format, typer.Option("--format", help="What to print on standard output.")]


def pause(run: RunName, output: Output = Format.TABLE, database_url: DatabaseUrl = None) -> None:
    """Pause a campaign run, within a second or two, on all workers."""
    _steer("pause", run, output, database_url, lambda steering: steering.pause())


def resume(run: RunName, output: Output = Format.TABLE, database_url: DatabaseUrl = None) -> None:
    """Let a paused campaign run go on where it was."""
    _steer("resume", run, output, database_url, lambda steering: steering.resume())


def stop(run: RunName, output: Output = Format.TABLE, database_url: DatabaseUrl = None) -> None:
    """Stop a campaign run for good, within a second or two, on all workers."""
    _steer("stop", run, output, database_url, lambda steering: steering.stop())


def send_late(
    run: RunName,
    within: Annotated[
        str | None, typer.Option(help="How long from now messages may go out, 2h for example; else send_within.")
    ] = None,
    output: Output = Format.TABLE,
    database_url: DatabaseUrl = None,
) -> None:
    """Send on purpose what came too late; whom another run has texted lately stays left out."""
    duration = _duration(within)
    _steer("send-late", run, output, database_url, lambda steering: steering.send_late(duration))


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


def _steer(action: str, name: str, output: Format, database_url: str | None, act: Callable[[RunSteering], str]) -> None:
    """Do it, say what was done, and end with :data:`EXIT_UNCHANGED` where the run is not what was asked for."""
    from twilio_campaigns.engine.steer import RunSteering

    with errors_to_stderr(), open_warehouse(database_url) as (warehouse, _):
        run_key = _run_key(warehouse, name)
        steering = RunSteering(warehouse, run_key, getuser())
        said = act(steering)
        state, changed = steering.state, steering.changed
    if output is Format.JSON:
        print_json({"action": action, "run_key": run_key, "changed": changed, "state": state, "said": said})
    else:
        out.print(said, markup=False)
    if not changed and state not in _AS_ASKED[action]:
        raise typer.Exit(EXIT_UNCHANGED)


def _run_key(warehouse: Warehouse, name: str) -> str:
    """Give the run that somebody names by its key or by its campaign.

    :raises ConfigurationError: where the campaign has several runs under way: whoever stops one must not believe that
        all have stopped.
    """
    from twilio_campaigns.domain.exceptions import ConfigurationError
    from twilio_campaigns.warehouse.runs import RunStore

    if "/" in name:
        return name
    found = RunStore(warehouse).of_campaign(name)
    if len(found) > 1:
        raise ConfigurationError(f"{len(found)} runs of {name} are under way. Name one: {', '.join(found)}.")
    return found[0] if found else name


def _duration(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
