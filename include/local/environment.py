"""Where a stack lives, and the environment in which its processes run."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ROOT / ".local"
BIN = Path(sys.executable).parent
ACCOUNT_SID = "AC" + "0" * 31 + "1"
USER = "admin"


def free_port() -> int:
    """Give a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Stack:
    """One stack: its folder, ports and secrets, made once and kept in `stack.json` for those who come later.

    :param folder: everything of the stack is below it.
    :param simulator_options: options of the simulator's command, `life-speed` for example.
    :param settings: further `TWILIO_CAMPAIGNS__*` settings.
    :param airflow: further `AIRFLOW__*` options, without that prefix.
    :param list_lag_seconds: what the Twilio connection says of the simulator's lists.
    """

    folder: Path
    api_port: int
    simulator_port: int
    secrets: dict[str, str]
    simulator_options: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    airflow: dict[str, str] = field(default_factory=dict)
    list_lag_seconds: float = 0

    @classmethod
    def load_or_make(
        cls,
        folder: Path,
        *,
        simulator_options: dict[str, str],
        settings: dict[str, str],
        airflow: dict[str, str] | None = None,
        list_lag_seconds: float = 0,
    ) -> Stack:
        """Read the stack of a folder, or make a new one with ports and secrets of its own."""
        file = folder / "stack.json"
        if file.exists():
            return cls(folder=folder, **json.loads(file.read_text("utf-8")))
        folder.mkdir(parents=True, exist_ok=True)
        made: dict[str, Any] = {
            "api_port": free_port(),
            "simulator_port": free_port(),
            "secrets": {
                "auth_token": secrets.token_hex(16),
                "password": secrets.token_urlsafe(12),
                "jwt": secrets.token_hex(32),
                "api": secrets.token_hex(32),
                "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            },
            "simulator_options": simulator_options,
            "settings": settings,
            "airflow": airflow or {},
            "list_lag_seconds": list_lag_seconds,
        }
        file.touch(mode=0o600)
        file.write_text(json.dumps(made, indent=2), "utf-8")
        return cls(folder=folder, **made)

    @property
    def ui_url(self) -> str:
        """Address of Airflow's UI and API."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def simulator_url(self) -> str:
        """Address of the simulated Twilio."""
        return f"http://127.0.0.1:{self.simulator_port}"

    @property
    def webhooks_url(self) -> str:
        """Address of our webhooks in Airflow's API server."""
        return f"{self.ui_url}/twilio"

    @property
    def postgres_folder(self) -> Path:
        """Data of the embedded PostgreSQL."""
        return self.folder / "postgres"

    @property
    def socket_folder(self) -> Path:
        """Folder of PostgreSQL's socket, as its `postmaster.pid` tells in line 5 once it has started.

        It is the data's own folder, unless that path is too long for a socket (107 bytes on Linux).
        """
        try:
            return Path((self.postgres_folder / "postmaster.pid").read_text("utf-8").splitlines()[4])
        except (FileNotFoundError, IndexError):
            return self.postgres_folder

    @property
    def logs(self) -> Path:
        """Folder of the processes' logs."""
        return self.folder / "logs"

    def database_url(self, database: str, driver: str = "postgresql") -> str:
        """Give the URL of one of the embedded server's databases."""
        return f"{driver}://postgres:@/{database}?host={self.socket_folder}"

    def environ(self) -> dict[str, str]:
        """Give the environment of every process of the stack."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "TWILIO", "SIMULATOR"))
        }
        return {
            **inherited,
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
            "PYTHONUNBUFFERED": "1",
            "SIMULATOR_AUTH_TOKEN": self.secrets["auth_token"],
            **self._airflow(),
            **self._connections(),
            "TWILIO_CAMPAIGNS__INCLUDE": str(ROOT / "include"),
            **{f"TWILIO_CAMPAIGNS__{name}": value for name, value in self.settings.items()},
        }

    def write_password(self) -> None:
        """Write the file in which Airflow's simple auth manager looks passwords up."""
        file = self.folder / "passwords.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps({USER: self.secrets["password"]}), "utf-8")

    @property
    def shell_file(self) -> Path:
        """What a shell sources to use the stack."""
        return self.folder / "env"

    def write_shell_file(self) -> None:
        """Write what lets commands reach the stack from a shell; it holds the simulated account's secret."""
        settings = {name: value for name, value in self.environ().items() if name.startswith(("AIRFLOW", "TWILIO"))}
        lines = [f"export PATH={shlex.quote(str(BIN))}:$PATH"]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
        self.shell_file.touch(mode=0o600)
        self.shell_file.write_text("\n".join([*lines, ""]), "utf-8")

    def _airflow(self) -> dict[str, str]:
        options = {
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "6",
            "CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__TEST_CONNECTION": "Enabled",
            "CORE__FERNET_KEY": self.secrets["fernet"],
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.folder / "passwords.json"),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.ui_url}/execution/",
            "DATABASE__SQL_ALCHEMY_CONN": self.database_url("airflow", "postgresql+psycopg2"),
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.api_port),
            "API__BASE_URL": self.ui_url,
            "API__WORKERS": "1",
            "API__SECRET_KEY": self.secrets["api"],
            "API_AUTH__JWT_SECRET": self.secrets["jwt"],
            # Two cores: one process parses, and nobody polls more often than people notice.
            "DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.5",
            "SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "LOGGING__BASE_LOG_FOLDER": str(self.folder / "task-logs"),
            "LOGGING__WORKER_LOG_SERVER_PORT": "0",
            "LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "USAGE_DATA_COLLECTION__ENABLED": "False",
            **self.airflow,
        }
        return {
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            **{f"AIRFLOW__{name}": value for name, value in options.items()},
        }

    def _connections(self) -> dict[str, str]:
        twilio = {
            "conn_type": "twilio",
            "login": ACCOUNT_SID,
            "password": self.secrets["auth_token"],
            "host": self.simulator_url,
            "extra": {"list_lag_seconds": self.list_lag_seconds, "public_url": self.webhooks_url},
        }
        warehouse = {
            "conn_type": "postgres",
            "login": "postgres",
            "schema": "warehouse",
            "extra": {"host": str(self.socket_folder)},
        }
        return {
            "AIRFLOW_CONN_TWILIO_DEFAULT": json.dumps(twilio),
            "AIRFLOW_CONN_WAREHOUSE_DEFAULT": json.dumps(warehouse),
        }
