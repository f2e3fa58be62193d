"""Command `audit`: a day's ledger against Twilio's list, from the shell."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from twilio_campaigns.cli_common import DatabaseUrl, Format, err, errors_to_stderr, open_warehouse, out
from twilio_campaigns.cli_output import busy

if TYPE_CHECKING:
    from datetime import date

    from twilio_campaigns.domain.audit_result import AccountAudit, AuditResult
    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.warehouse.connection import Warehouse

#: What is printed of an account, in this order; with `--last` without what no table keeps.
_FIGURES = ("accepted", "matched", "missing", "different", "orphans", "listed", "fetched", "api_calls")
_NOT_KEPT = "fetched"


def audit(
    day: Annotated[datetime, typer.Option("--day", formats=["%Y-%m-%d"], help="UTC day of acceptance.")],
    output: Annotated[Format, typer.Option("--format", help="What to print on standard output.")] = Format.TABLE,
    other_sender: Annotated[
        list[str] | None,
        typer.Option(help="Number or Messaging Service that not only campaigns use: no orphans of it. Repeatable."),
    ] = None,
    last: Annotated[
        bool, typer.Option("--last", help="Show what the day's last audit found, without asking Twilio.")
    ] = False,
    database_url: DatabaseUrl = None,
) -> None:
    """Compare one day's ledger with Twilio's list; exit code 1 on a gap, or if not everything could be read."""
    with errors_to_stderr(), open_warehouse(database_url) as (warehouse, settings):
        utc_day = day.replace(tzinfo=UTC).date()
        result = _read(warehouse, utc_day) if last else _audit(warehouse, settings, utc_day, other_sender or [])
    figures = [name for name in _FIGURES if not (last and name == _NOT_KEPT)]
    if output is Format.JSON:
        out.print_json(json.dumps(_as_json(result, figures)))
    else:
        _print(result, figures)
    if not result.is_clean:
        err.print(result.problem(), style="red", markup=False, highlight=False)
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command()(audit)


def _audit(warehouse: Warehouse, settings: Settings, day: date, other_senders: list[str]) -> AuditResult:
    from twilio_campaigns.engine.audit import Auditor
    from twilio_campaigns.gateway.loop import ROWS_INTERVAL, run
    from twilio_campaigns.hooks.twilio import gateways

    auditor = Auditor(warehouse, gateways(settings.fetch_concurrency), settings, other_senders=other_senders)
    with busy(f"Comparing {day} with Twilio's list"):
        return run(auditor.audit(day), switch_interval=ROWS_INTERVAL)


def _read(warehouse: Warehouse, day: date) -> AuditResult:
    from twilio_campaigns.domain.audit_result import AuditResult
    from twilio_campaigns.domain.exceptions import ConfigurationError
    from twilio_campaigns.warehouse.auditing import AuditStore

    found = AuditStore(warehouse).latest(day)
    if not found:
        raise ConfigurationError(f"Nobody has audited {day} yet. Leave --last out to do it now.")
    return AuditResult(day, tuple(found))


def _print(result: AuditResult, figures: list[str]) -> None:
    """Print the figures, a column per account: a shell is 80 characters wide, and most sites have one."""
    if not result.accounts:
        out.print(next(result.lines()), markup=False)
        return
    table = Table("", title=f"Audit of {result.day}")
    for account in result.accounts:
        incomplete = "" if account.complete else " (incomplete)"
        table.add_column(f"{account.connection}{incomplete}", justify="right", overflow="fold")
    for figure in figures:
        table.add_row(figure.replace("_", " "), *(f"{getattr(account, figure):,}" for account in result.accounts))
    out.print(table)


def _as_json(result: AuditResult, figures: list[str]) -> dict[str, Any]:
    return {
        "day": result.day.isoformat(),
        "clean": result.is_clean,
        "complete": result.is_complete,
        **{name: value for name, value in result.figures().items() if name in figures},
        "accounts": [_account_as_json(account, figures) for account in result.accounts],
    }


def _account_as_json(account: AccountAudit, figures: list[str]) -> dict[str, Any]:
    others = ("connection", "complete", "still_open", "doubtful", "set_aside", "error")
    return {
        "audit_id": str(account.audit_id),
        **{name: getattr(account, name) for name in (*others, *figures)},
        "findings": [
            {
                "kind": finding.kind,
                "message_sid": finding.message_sid,
                "message_key": str(finding.message_key) if finding.message_key else None,
                "ledger_status": finding.ledger_status,
                "provider_status": finding.provider_status,
            }
            for finding in account.findings
        ],
    }
