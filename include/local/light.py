"""A stack without scheduler: what the pages need, up in a quarter of a minute."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from include.local import postgres, stack
from include.local.environment import BIN, Stack
from include.local.processes import run

if TYPE_CHECKING:
    from pathlib import Path

#: Users of the simple auth manager, and their roles; one of them has none.
ROLES: Final = {"admin": "admin", "op": "op", "user": "user", "viewer": "viewer", "nobody": ""}


def make(folder: Path) -> Stack:
    """Make the stack of a folder, with a user for each role."""
    users = ",".join(f"{user}:{role}" for user, role in ROLES.items())
    return Stack.load_or_make(
        folder, simulator_options={}, settings={}, airflow={"CORE__SIMPLE_AUTH_MANAGER_USERS": users}
    )


def start(made: Stack) -> None:
    """Start PostgreSQL, the simulator and Airflow's API server."""
    postgres.start(made)
    environ, processes = made.environ(), stack.processes_of(made)
    passwords = made.folder / "passwords.json"
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps(dict.fromkeys(ROLES, made.secrets["password"])), "utf-8")
    run([str(BIN / "airflow"), "db", "migrate"], environ)
    run([str(BIN / "twilio-campaigns"), "upgrade", "--database-url", made.database_url("warehouse")], environ)
    stack.start_simulator(made)
    stack.start_component(processes, "api-server")
    stack.wait_for(f"{made.ui_url}/api/v2/version", processes, "the API server", 90)
