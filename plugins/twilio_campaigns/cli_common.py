"""What all commands share: where they print, how they fail, how they reach the warehouse."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from twilio_campaigns.domain.exceptions import TwilioCampaignsError
from twilio_campaigns.domain.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twilio_campaigns.warehouse.connection import Warehouse

#: Columns of a table that goes into a pipe or a log, where nobody says how wide these are.
_WIDTH: Final = 160

# Soft wrap: a line that is read by a program or a log stays one line.
out = Console(soft_wrap=True, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDTH)
err = Console(stderr=True, soft_wrap=True)


class Format(StrEnum):
    """How an answer is printed."""

    TABLE = "table"
    JSON = "json"


DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="PostgreSQL URL; else AIRFLOW_CONN_WAREHOUSE_DEFAULT is used."),
]


def _from_here(include: Path) -> Path:
    """Name the folder from the current one, so that every path printed can be opened."""
    return Path(os.path.relpath(include)) if include.is_absolute() else include


Include = Annotated[
    Path, typer.Option("--include", callback=_from_here, help="Folder of campaigns, segments and senders.yaml.")
]


@contextmanager
def errors_to_stderr() -> Iterator[None]:
    """Say what a person can mend on standard error, without a traceback, and end with exit code 1."""
    try:
        with _warnings_to_stderr():
            yield
    except Exception as error:
        said = _explain(error)
        if said is None:
            raise
        err.print(said, style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None


@contextmanager
def _warnings_to_stderr() -> Iterator[None]:
    """Keep what is logged from standard output, where Airflow's own handler would write it between the answers."""
    logger, handler = logging.getLogger("twilio_campaigns"), logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before, logger.handlers = logger.handlers, [handler]
    propagates, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before, propagates


def _explain(error: Exception) -> str | None:
    """Word what a person can mend; `None` for what is a fault of this program and deserves its traceback."""
    if isinstance(error, TwilioCampaignsError):
        return str(error)
    from airflow.sdk.exceptions import AirflowNotFoundException

    if isinstance(error, AirflowNotFoundException):
        return f"{error}. Set AIRFLOW_CONN_<ID> in the environment; for the warehouse --database-url does as well."
    return None


@contextmanager
def open_warehouse(database_url: str | None) -> Iterator[tuple[Warehouse, Settings]]:
    """Open the warehouse that the options or the environment name, if it has this version's tables."""
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
