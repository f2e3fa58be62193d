"""Other people's readers of Twilio, from PyPI, each in an environment of its own, pointed at the simulator."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import venv
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from include.local.bench_lab import BenchError, environ
from include.local.environment import ACCOUNT_SID, LOCAL

if TYPE_CHECKING:
    from datetime import datetime

    from include.local.bench_lab import Simulator

#: What is installed; pinned, so that figures can be compared.
PEERS: Final = {"tap-twilio": "0.2.2", "airbyte-source-twilio": "0.16.0"}
_FOLDER: Final = LOCAL / "bench" / "peers"
_SHIM: Final = Path(__file__).with_name("bench_reconcile_shim.py")
_INSTALLING: Final = 900
_READING: Final = 3600
#: Airbyte's configured catalog: the one stream, read as its users read it.
_CATALOG: Final = {
    "streams": [
        {
            "stream": {
                "name": "messages",
                "json_schema": {},
                "supported_sync_modes": ["full_refresh", "incremental"],
                "source_defined_cursor": True,
                "default_cursor_field": ["date_sent"],
            },
            "sync_mode": "incremental",
            "destination_sync_mode": "append",
        }
    ]
}


@dataclass(frozen=True)
class Peer:
    """What a peer's reading came to, as the simulator saw it.

    :param messages: read.
    :param pages: asked for.
    :param seconds: from its first request of a list to the last answer; in its favour, for it works on.
    :param starting: seconds until that first request.
    :param ending: seconds from the last answer to its end.
    """

    messages: int
    pages: int
    seconds: float
    starting: float
    ending: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds


def python_of(name: str) -> Path:
    """Give the Python of a peer's environment, made and filled if need be.

    :raises BenchError: when it cannot be installed; says why.
    """
    folder = _FOLDER / name
    python, stamp = folder / "bin" / "python", folder / f".installed-{PEERS[name]}"
    if not stamp.exists():
        venv.create(folder, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        done = subprocess.run(
            [*pip, f"{name}=={PEERS[name]}"], capture_output=True, text=True, timeout=_INSTALLING, check=False
        )
        if done.returncode:
            reason = next((line for line in reversed(done.stderr.splitlines()) if line.startswith("ERROR")), "")
            raise BenchError(f"{name} {PEERS[name]} cannot be installed on Python {sys.version.split()[0]}: {reason}")
        stamp.touch()
    return python


def read(name: str, simulator: Simulator, since: datetime) -> Peer:
    """Let a peer read all messages to nowhere.

    :param since: its start date: the day before the first message.
    :raises BenchError: when it did not read them.
    """
    python = python_of(name)
    simulator.control("reading", anew=True)
    with tempfile.TemporaryDirectory(prefix="bench-peer-") as folder:
        inputs = Path(folder)
        (inputs / "config.json").write_text(json.dumps(_config(simulator, since)), "utf-8")
        (inputs / "catalog.json").write_text(json.dumps(_CATALOG), "utf-8")
        began = time.monotonic()
        done = subprocess.run(
            [str(python), str(_SHIM), name, simulator.url, folder],
            env=environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_READING,
            check=False,
        )
        ended = time.monotonic()
    seen = simulator.control("reading").json()
    if done.returncode or not seen["messages"]:
        raise BenchError(f"{name} failed: {done.stderr.decode(errors='replace')[-500:]}")
    return Peer(
        seen["messages"],
        seen["pages"],
        seen["last"] - seen["first"] + simulator.latency,  # an answer is delayed before the page is looked up
        seen["first"] - began - simulator.latency,
        ended - seen["last"],
    )


def _config(simulator: Simulator, since: datetime) -> dict[str, str]:
    """Give what both want to know, each under its own names."""
    return {
        "account_sid": ACCOUNT_SID,
        "auth_token": simulator.token,
        "start_date": (since - timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z"),
        "user_agent": "bench",
    }
