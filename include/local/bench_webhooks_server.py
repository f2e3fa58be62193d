"""The servers of `bench_webhooks`, each in a process of its own: uvicorn alone, or a real Airflow API server."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx
import psutil  # type: ignore[import-untyped]
from psycopg.conninfo import conninfo_to_dict

from include.local.bench_lab import BenchError, environ
from include.local.bench_webhooks_apps import BARE, DATABASE, TOKEN
from include.local.bench_webhooks_scene import PUBLIC_URL
from include.local.environment import ACCOUNT_SID, BIN, ROOT, Stack, free_port
from include.local.processes import run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_APPS: Final = "include.local.bench_webhooks_apps"
#: Of a plugin's file; Airflow looks into every file of its folder.
_PLUGIN: Final = "from include.local.bench_webhooks_plugin import BenchPlugin  # noqa: F401\n"
#: Seconds until a server answers: Airflow's imports take their time on a busy machine.
_STARTING: Final = 120
_ENDING: Final = 20
_TAIL: Final = 15


class Server:
    """A server that answers.

    :param url: its address.
    """

    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self._process = psutil.Process(process.pid)

    def cpu(self) -> float:
        """CPU seconds so far, of all its processes."""
        every = [self._process, *self._process.children(recursive=True)]
        times = [process.cpu_times() for process in every]
        return float(sum(one.user + one.system for one in times))


@contextmanager
def alone(database: str, token: str) -> Iterator[Server]:
    """Serve the contestants by uvicorn in a bare FastAPI app."""
    port = free_port()
    settings = {**environ(), DATABASE: database, TOKEN: token}
    with _served([sys.executable, "-m", _APPS, str(port)], settings, port) as server:
        yield server


def migrate(database: str) -> None:
    """Make Airflow's own tables."""
    with tempfile.TemporaryDirectory(prefix="bench-airflow-") as folder:
        run([str(BIN / "airflow"), "db", "migrate"], _airflow(_stack(Path(folder)), database))


@contextmanager
def in_airflow(database: str, token: str, metadata: str) -> Iterator[Server]:
    """Serve the contestants by a real `airflow api-server`, ours and the peers by plugins.

    :param metadata: Airflow's own database.
    """
    with tempfile.TemporaryDirectory(prefix="bench-airflow-", ignore_cleanup_errors=True) as folder:
        stack = _stack(Path(folder))
        stack.write_password()
        plugins = stack.folder / "plugins"
        plugins.mkdir()
        (plugins / "bench.py").write_text(_PLUGIN, "utf-8")
        settings = {
            **_airflow(stack, metadata),
            **_connections(database, token),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
            "PYTHONPATH": str(ROOT),
            DATABASE: database,
        }
        with _served([str(BIN / "airflow"), "api-server"], settings, stack.api_port) as server:
            yield server


def _stack(folder: Path) -> Stack:
    return Stack.load_or_make(folder, simulator_options={}, settings={})


def _airflow(stack: Stack, metadata: str) -> dict[str, str]:
    url = metadata.replace("postgresql://", "postgresql+psycopg2://", 1)
    return {**stack.environ(), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}


def _connections(database: str, token: str) -> dict[str, str]:
    known = conninfo_to_dict(database)
    twilio = {
        "conn_type": "twilio",
        "login": ACCOUNT_SID,
        "password": token,
        "extra": {"public_url": PUBLIC_URL},
    }
    warehouse = {
        "conn_type": "postgres",
        "login": known["user"],
        "schema": known["dbname"],
        "extra": {"host": known["host"]},
    }
    return {
        "AIRFLOW_CONN_TWILIO_DEFAULT": json.dumps(twilio),
        "AIRFLOW_CONN_WAREHOUSE_DEFAULT": json.dumps(warehouse),
    }


@contextmanager
def _served(command: Sequence[str], settings: Mapping[str, str], port: int) -> Iterator[Server]:
    with tempfile.NamedTemporaryFile(prefix="bench-server-", suffix=".log") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=settings, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            server = Server(f"http://127.0.0.1:{port}", process)
            _wait(server, process, Path(log.name))
            yield server
        finally:
            _end(process)


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + _STARTING
    while not _answers(server.url):
        if process.poll() is not None or time.monotonic() > until:
            tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-_TAIL:])
            raise BenchError(f"The server did not come up. The end of its log:\n{tail}")
        time.sleep(0.1)


def _answers(url: str) -> bool:
    """Whether the peers are there; nobody has touched a contestant then."""
    try:
        return httpx.get(f"{url}{BARE}/status", timeout=5).status_code == httpx.codes.METHOD_NOT_ALLOWED
    except httpx.HTTPError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_ENDING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_ENDING)
