"""The simulator's command, for the command line and for `python -m`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError

from twilio_campaigns.simulator.config import DEFAULT_ACCOUNT, SimulatorConfig
from twilio_campaigns.simulator.faults import Faults


def simulator(
    auth_token: Annotated[
        str,
        typer.Option(envvar="SIMULATOR_AUTH_TOKEN", help="Auth Token that clients must send.", show_default=False),
    ],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 picks a free one.")] = 8010,
    account_sid: Annotated[str, typer.Option(help="Account SID.")] = DEFAULT_ACCOUNT,
    seed: Annotated[int, typer.Option(help="Lives, SIDs and faults follow from it.")] = 1,
    speed: Annotated[float, typer.Option(help="Simulated seconds per second.")] = 1.0,
    life_speed: Annotated[float, typer.Option(help="How many times as fast messages live.")] = 1.0,
    started_at: Annotated[datetime | None, typer.Option(help="The clock's first moment, UTC.")] = None,
    list_lag_seconds: Annotated[float, typer.Option(help="Age at which lists show a message.")] = 0.0,
    opted_out_share: Annotated[float, typer.Option(help="Share of people who have written STOP.")] = 0.003,
    latency_seconds: Annotated[float, typer.Option(help="Added to every answer.")] = 0.0,
    faults: Annotated[str, typer.Option(help='What goes wrong, as JSON: {"lost_share": 0.01}.')] = "{}",
) -> None:
    """Run a Twilio that texts nobody: point a connection's host at it."""
    try:
        config = SimulatorConfig(
            account_sid=account_sid,
            auth_token=auth_token,
            seed=seed,
            speed=speed,
            life_speed=life_speed,
            started_at=started_at.replace(tzinfo=UTC) if started_at else None,
            list_lag_seconds=list_lag_seconds,
            opted_out_share=opted_out_share,
            latency_seconds=latency_seconds,
            faults=_read_faults(faults),
        )
    except ValidationError as error:
        raise typer.BadParameter(str(error)) from None
    from twilio_campaigns.simulator.serve import serve

    serve(config, host, port)


def _read_faults(text: str) -> Faults:
    try:
        return Faults.model_validate_json(text)
    except ValidationError as error:
        reasons = "; ".join(
            ": ".join([*(str(part) for part in problem["loc"]), problem["msg"]]) for problem in error.errors()
        )
        raise typer.BadParameter(reasons, param_hint="--faults") from None
