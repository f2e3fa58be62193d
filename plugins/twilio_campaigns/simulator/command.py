"""The simulator's commands, for the command line and for `python -m`: one runs it, others act on one that runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from pydantic import ValidationError

from twilio_campaigns.simulator.config import DEFAULT_ACCOUNT, SimulatorConfig
from twilio_campaigns.simulator.faults import Faults
from twilio_campaigns.simulator.remote import click, reply
from twilio_campaigns.simulator.webhooks import Webhooks

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(reply)
app.command()(click)


@app.callback(invoke_without_command=True)
def simulator(
    context: typer.Context,
    auth_token: Annotated[
        str | None,
        typer.Option(envvar="SIMULATOR_AUTH_TOKEN", help="Auth Token that clients must send.", show_default=False),
    ] = None,
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
    shared_key: Annotated[
        str | None,
        typer.Option(
            envvar="SIMULATOR_SHARED_KEY",
            help="Secret that signs webhooks with SHA-256; the Auth Token with SHA-1 when empty.",
            show_default=False,
        ),
    ] = None,
    inbound_url: Annotated[str | None, typer.Option(help="Webhook that is told of replies.")] = None,
    advanced_opt_out: Annotated[bool, typer.Option(help="Tell OptOutType for Messaging Services.")] = False,
    link_domain: Annotated[str | None, typer.Option(help="Host of shortened links; none is shortened without.")] = None,
    click_url: Annotated[str | None, typer.Option(help="Webhook that is told of clicks on shortened links.")] = None,
    fallback_url: Annotated[str | None, typer.Option(help="Where unknown and old shortened links lead.")] = None,
) -> None:
    """Run a Twilio that texts nobody: point a connection's host at it."""
    if context.invoked_subcommand is not None:
        return
    if auth_token is None:
        raise typer.BadParameter("give it, or set SIMULATOR_AUTH_TOKEN", param_hint="--auth-token")
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
            shared_key=shared_key or None,
            webhooks=Webhooks(
                inbound_url=inbound_url,
                advanced_opt_out=advanced_opt_out,
                link_domain=link_domain,
                click_url=click_url,
                fallback_url=fallback_url,
            ),
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
