"""Command line `twilio-campaigns`: what works without Airflow's UI.

Database and account come from options, or from Airflow's connections in the environment
(`AIRFLOW_CONN_WAREHOUSE_DEFAULT`, `AIRFLOW_CONN_TWILIO_DEFAULT`): outside an Airflow process nobody sees the
connections of Airflow's own database.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from typing import Annotated

import typer

from twilio_campaigns import cli_audit, cli_plan, cli_preview, cli_reports, cli_runs, cli_validate, cli_webhooks
from twilio_campaigns.cli_common import DatabaseUrl, Format, errors_to_stderr, open_warehouse, out
from twilio_campaigns.cli_output import busy, print_json
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.simulator.command import app as simulator

app = typer.Typer(
    name="twilio-campaigns",
    help="SMS and MMS campaigns over Twilio: check files, migrate the warehouse, reconcile, steer runs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
cli_validate.add_to(app)
cli_preview.add_to(app)


@app.command()
def create_database(database_url: DatabaseUrl = None) -> None:
    """Create the warehouse's database, unless the server has it already."""
    from twilio_campaigns.warehouse.connection import create_database as create

    with errors_to_stderr():
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

    with errors_to_stderr():
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
    output: Annotated[Format, typer.Option("--format", help="What to print on standard output.")] = Format.TABLE,
    database_url: DatabaseUrl = None,
) -> None:
    """Read one day whole from Twilio and repair its events, once, without waiting."""
    from twilio_campaigns.engine.reconcile import Reconciler
    from twilio_campaigns.gateway.loop import ROWS_INTERVAL, run
    from twilio_campaigns.hooks.twilio import TwilioHook, gateways
    from twilio_campaigns.warehouse.reconciling import ReconcileStore

    with errors_to_stderr(), open_warehouse(database_url) as (warehouse, settings):
        # Before a pass begins: a shell without the connection is no failure of the day's reading.
        for name in ReconcileStore(warehouse, settings.schedule).connections(_utc_day(day)):
            TwilioHook(name).get_settings()
        reconciler = Reconciler(warehouse, gateways(settings.fetch_concurrency), settings)
        with busy(f"Reading {_utc_day(day)} from Twilio"):
            look = run(reconciler.look(_utc_day(day), full_read=True), switch_interval=ROWS_INTERVAL)
    if output is Format.JSON:
        print_json({"day": _utc_day(day), "settled": look.finished, "read": look.was_read, "summary": look.summary})
    else:
        out.print(f"{_utc_day(day)}: {look.summary}", markup=False)


app.add_typer(simulator, name="simulator")
cli_runs.add_to(app)
cli_reports.add_to(app)
cli_audit.add_to(app)
cli_webhooks.add_to(app)
app.command()(cli_plan.plan_reconcile)


def _utc_day(day: datetime) -> date:
    return day.replace(tzinfo=UTC).date()


if __name__ == "__main__":
    app()
