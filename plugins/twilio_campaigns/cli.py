"""Command line `twilio-campaigns`: what works without Airflow's UI.

Database and account come from options, or from Airflow's connections in the environment
(`AIRFLOW_CONN_WAREHOUSE_DEFAULT`, `AIRFLOW_CONN_TWILIO_DEFAULT`): outside an Airflow process nobody sees the
connections of Airflow's own database.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from twilio_campaigns.domain.exceptions import TwilioCampaignsError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.simulator.command import simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twilio_campaigns.gateway.client import TwilioGateway
    from twilio_campaigns.warehouse.connection import Warehouse

app = typer.Typer(
    name="twilio-campaigns",
    help="SMS and MMS campaigns over Twilio: check files, migrate the warehouse, reconcile, stop a run.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
# Soft wrap: a line that is read by a program or a log stays one line.
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="PostgreSQL URL; else AIRFLOW_CONN_WAREHOUSE_DEFAULT is used."),
]
Include = Annotated[Path, typer.Option("--include", help="Folder of campaigns, segments and senders.yaml.")]


@contextmanager
def _errors_to_stderr() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        said = _explain(error)
        if said is None:
            raise
        err.print(said, style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None


def _explain(error: Exception) -> str | None:
    """Word what a person can mend; `None` for what is a fault of this program and deserves its traceback."""
    if isinstance(error, TwilioCampaignsError):
        return str(error)
    from airflow.sdk.exceptions import AirflowNotFoundException

    if isinstance(error, AirflowNotFoundException):
        return f"{error}. Set AIRFLOW_CONN_<ID> in the environment; for the warehouse --database-url does as well."
    return None


@app.command()
def validate(include: Include = Path("include")) -> None:
    """Check every campaign file and senders.yaml; exit code 1 if anything is wrong."""
    from twilio_campaigns.domain.campaign_files import load_campaigns

    with _errors_to_stderr():
        campaigns, errors = load_campaigns(include)
        for campaign in campaigns:
            out.print(f"{campaign.campaign_id}: ok", markup=False)
        for error in errors:
            err.print(str(error), style="red", markup=False, highlight=False)
        if not campaigns and not errors:
            err.print(
                f"There is no campaign in {include}/campaigns. Add a file, or name another --include.", markup=False
            )
    if errors or not campaigns:
        raise typer.Exit(1)


@app.command()
def create_database(database_url: DatabaseUrl = None) -> None:
    """Create the warehouse's database, unless the server has it already."""
    from twilio_campaigns.warehouse.connection import create_database as create

    with _errors_to_stderr():
        if database_url:
            made = create(database_url)
        else:
            from twilio_campaigns.hooks.warehouse import WarehouseHook

            made = WarehouseHook(settings=Settings.from_environ(os.environ)).create_database()
    out.print("The database was created." if made else "The database is there already.", markup=False)


@app.command()
def upgrade(database_url: DatabaseUrl = None) -> None:
    """Create or migrate the warehouse's tables and views."""
    from twilio_campaigns.warehouse.schema import upgrade as upgrade_schema

    with _errors_to_stderr():
        settings = Settings.from_environ(os.environ)
        if database_url:
            revision = upgrade_schema(database_url, settings.db_schema)
        else:
            from twilio_campaigns.hooks.warehouse import WarehouseHook

            revision = WarehouseHook(settings=settings).upgrade()
    out.print(f"Schema {settings.db_schema} has revision {revision}.", markup=False)


@app.command()
def reconcile(
    day: Annotated[datetime, typer.Option("--day", formats=["%Y-%m-%d"], help="UTC day of acceptance.")],
    database_url: DatabaseUrl = None,
) -> None:
    """Read one day whole from Twilio and repair its events, once, without waiting."""
    from twilio_campaigns.engine.reconcile import Reconciler

    with _errors_to_stderr(), _warehouse(database_url) as (warehouse, settings):
        reconciler = Reconciler(warehouse, _gateway, settings)
        look = asyncio.run(reconciler.look(_utc_day(day), full_read=True))
    out.print(f"{_utc_day(day)}: {look.summary}", markup=False)


@app.command()
def stop(
    run_key: Annotated[str, typer.Argument(help="campaign_id/logical date, as in table campaign_runs.")],
    database_url: DatabaseUrl = None,
) -> None:
    """Stop a campaign run before its next chunk is claimed, on all workers."""
    from twilio_campaigns.domain.status import RunState
    from twilio_campaigns.warehouse.ledger import Ledger

    with _errors_to_stderr(), _warehouse(database_url) as (warehouse, _):
        ledger = Ledger(warehouse)
        changed = ledger.set_run_state(
            run_key, RunState.STOPPED, only_from=[RunState.FREEZING, RunState.SENDING, RunState.PAUSED]
        )
        run = ledger.run(run_key)
    if run is None:
        err.print(f"There is no run {run_key}. See table campaign_runs.", style="red", markup=False)
        raise typer.Exit(1)
    out.print(f"Run {run_key} {'was stopped' if changed else f'is {run.state} already'}.", markup=False)


app.command()(simulator)


@contextmanager
def _warehouse(database_url: str | None) -> Iterator[tuple[Warehouse, Settings]]:
    settings = Settings.from_environ(os.environ)
    if database_url:
        from twilio_campaigns.warehouse.connection import Warehouse
        from twilio_campaigns.warehouse.schema import require_current

        require_current(database_url, settings.db_schema)
        warehouse = Warehouse(database_url, settings.db_schema)
    else:
        from twilio_campaigns.hooks.warehouse import WarehouseHook

        warehouse = WarehouseHook(settings=settings).get_conn()
    with warehouse:
        yield warehouse, settings


async def _gateway(connection_id: str) -> TwilioGateway:
    from twilio_campaigns.gateway.client import TwilioGateway
    from twilio_campaigns.hooks.twilio import TwilioHook

    return TwilioGateway(await asyncio.to_thread(TwilioHook(connection_id).get_settings), max_connections=20)


def _utc_day(day: datetime) -> date:
    return day.replace(tzinfo=UTC).date()


if __name__ == "__main__":
    app()
