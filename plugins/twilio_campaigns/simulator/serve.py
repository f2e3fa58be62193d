"""Running the simulator as a server, on a socket of its own."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from twilio_campaigns.simulator.app import create_app
from twilio_campaigns.simulator.meeting import TRANSPORT

if TYPE_CHECKING:
    from twilio_campaigns.simulator.config import SimulatorConfig

#: How long a server that ends waits for answers that are under way, delayed ones above all.
GRACE_SECONDS: Final = 1.0
#: New objects after which Python looks for garbage, and how often it then looks among older ones.
RARELY: Final = (50_000, 20, 100)


class _Connection(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # chosen at run time: httptools or h11
    """One connection, whose requests know its transport so that a fault can close it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand the transport to the requests to come."""
        super().connection_made(transport)
        self.app_state: dict[str, Any] = {**self.app_state, TRANSPORT: transport}


class SimulatorServer(uvicorn.Server):
    """A simulator that listens from the moment it is made, and answers once it runs.

    The access log is off: it would write people's numbers.

    :param config: what the account is like.
    :param host: address to listen on.
    :param port: port; 0 picks a free one.
    :param log_level: uvicorn's.
    """

    def __init__(
        self, config: SimulatorConfig, host: str = "127.0.0.1", port: int = 0, log_level: str = "warning"
    ) -> None:
        app = create_app(config)
        app.state.server = self
        super().__init__(uvicorn.Config(app, http=_Connection, log_level=log_level, access_log=False))
        self._listener = socket.create_server((host, port))
        self.host, self.port = self._listener.getsockname()[:2]
        self._refusing: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{self.host}:{self.port}"

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to end."""
        super().run(sockets=sockets or [self._listener])

    def refuse(self, seconds: float, answering: asyncio.Transport | None = None) -> None:
        """Refuse connections for a while and close those that are open; return once that is so.

        :param answering: a connection that stays open.
        """
        for server in self.servers:
            server.close()
        self.servers = []
        self._listener.close()
        # Bound but not listening: connections are refused, and nobody takes the port meanwhile.
        self._listener = socket.socket(self._listener.family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.host, self.port))
        self._close_connections(but=answering)
        if self._refusing is not None:
            self._refusing.cancel()
        self._refusing = asyncio.create_task(self._listen_again(seconds))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; what is not answered by the end of the grace stays without an answer."""
        if self._refusing is not None:
            self._refusing.cancel()
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._close_connections)
        await super().shutdown(sockets)
        self._listener.close()

    async def _listen_again(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        protocol = partial(
            _Connection, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        loop = asyncio.get_running_loop()
        self.servers = [await loop.create_server(protocol, sock=self._listener, backlog=self.config.backlog)]

    def _close_connections(self, but: asyncio.Transport | None = None) -> None:
        for connection in list(self.server_state.connections):
            transport: Any = getattr(connection, "transport", None)
            if transport is not None and transport is not but:
                transport.abort()


def serve(config: SimulatorConfig, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until SIGTERM or Ctrl-C; the first line on standard output says where.

    Messages stay: Python would look through all of them for garbage, again and again.
    """
    server = SimulatorServer(config, host, port)
    sys.stdout.write(f"Simulator listening on {server.url}\n")
    sys.stdout.flush()
    gc.freeze()
    gc.set_threshold(*RARELY)
    server.run()
