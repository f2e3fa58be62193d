"""A real HTTP server whose every answer a test writes down: also those that no well-behaved server gives."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

ACCOUNT_SID = "AC" + "0123456789abcdef" * 2
MESSAGE_SID = "SM" + "0123456789abcdef" * 2


def message_json(**changes) -> dict:
    return {
        "account_sid": ACCOUNT_SID,
        "api_version": "2010-04-01",
        "body": "hello",
        "date_created": "Mon, 23 Nov 2026 20:00:00 +0000",
        "date_sent": None,
        "date_updated": "Mon, 23 Nov 2026 20:00:01 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": "+15005550006",
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": "USD",
        "sid": MESSAGE_SID,
        "status": "queued",
        "subresource_uris": {},
        "to": "+15005550010",
        "uri": f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{MESSAGE_SID}.json",
    } | changes


@dataclass
class Seen:
    method: str
    path: str
    headers: dict
    form: dict


@dataclass
class ScriptedServer:
    url: str
    seen: list[Seen] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def posts(self) -> int:
        return sum(request.method == "POST" for request in self.seen)


Answer = Callable[[BaseHTTPRequestHandler, ScriptedServer], None]


def answer(status: int, body: object = "", content_type: str = "application/json", **headers: str) -> Answer:
    payload = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()

    def write(handler, server):
        handler.send_response(status)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(payload)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(payload)

    return write


def reset(handler, server) -> None:
    """Cut the connection with a TCP reset after the request was read."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True


def hang_up(handler, server) -> None:
    """End the connection politely and without an answer."""
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def hang(handler, server) -> None:
    """Say nothing until the test is over."""
    server.release.wait(30)
    handler.close_connection = True


def truncated(handler, server) -> None:
    """Promise more than is sent."""
    handler.send_response(201)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b'{"sid": "SM')
    handler.close_connection = True


@contextmanager
def scripted(*answers: Answer) -> Iterator[ScriptedServer]:
    """Serve the answers in order, the last one for ever, on a free port."""
    script = ScriptedServer("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            script.seen.append(Seen(self.command, self.path, dict(self.headers), parse_qs(body)))
            script.arrived.set()
            answers[min(len(script.seen), len(answers)) - 1](self, script)

        do_GET = do_POST = _serve  # noqa: N815 - names of the standard library

        def log_message(self, *args):
            """Stay silent."""

        def finish(self):
            with suppress(OSError):  # where the test has cut the connection on purpose
                super().finish()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield script
    finally:
        script.release.set()
        server.shutdown()
        server.server_close()
