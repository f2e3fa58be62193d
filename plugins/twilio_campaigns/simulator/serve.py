"""Running the simulator as a process."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import uvicorn

from twilio_campaigns.simulator.app import create_app

if TYPE_CHECKING:
    from twilio_campaigns.simulator.config import SimulatorConfig


def serve(config: SimulatorConfig, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until SIGTERM or Ctrl-C; the first line on standard output says where.

    The access log is off: it would write people's numbers.
    """
    listener = socket.create_server((host, port))
    address, chosen = listener.getsockname()[:2]
    sys.stdout.write(f"Simulator listening on http://{address}:{chosen}\n")
    sys.stdout.flush()
    settings = uvicorn.Config(create_app(config), log_level="warning", access_log=False)
    uvicorn.Server(settings).run(sockets=[listener])
