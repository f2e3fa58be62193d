"""Command `webhooks`: Twilio's webhooks by themselves, where Airflow's API server is not reachable from outside."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from twilio_campaigns.cli_common import DatabaseUrl, errors_to_stderr
from twilio_campaigns.domain.settings import Settings


def webhooks(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.", min=0, max=65535)] = 8020,
    database_url: DatabaseUrl = None,
) -> None:
    """Serve Twilio's webhooks by themselves, under /twilio.

    Connections come from the environment: AIRFLOW_CONN_TWILIO_DEFAULT and those that
    TWILIO_CAMPAIGNS__WEBHOOK_CONNECTIONS names.
    """
    import uvicorn

    from twilio_campaigns.gateway.loop import rare_collections
    from twilio_campaigns.web.app import create_app

    with errors_to_stderr():
        settings = Settings.from_environ(os.environ)
    served = create_app(database_url, settings=settings)
    with rare_collections():
        # Its access log would show the query; forwarded headers are for us to judge, not for the server.
        uvicorn.run(served, host=host, port=port, access_log=False, proxy_headers=False)


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(webhooks)
