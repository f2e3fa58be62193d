"""What webhooks reach: a small server that keeps every request as it came, and answers as a test says."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

import httpx
from twilio.request_validator import RequestValidator, get_signature_algorithm

from builders import ACCOUNT_SID, TOKEN
from simulator.api import MESSAGES, NOON, OUR_NUMBER, PERSON, SERVICE, STANDING

TO_THE_END = 40 * 86400


@dataclass(frozen=True)
class Received:
    """A request: its URL as this side sees it, its headers by lower-case name, its body."""

    url: str
    headers: dict
    body: str

    @cached_property
    def form(self):
        fields = parse_qsl(self.body, keep_blank_values=True, strict_parsing=True)
        assert len(dict(fields)) == len(fields)
        return dict(fields)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def told(self):
        """Give which message is in which status."""
        return self.form["MessageSid"], self.form["MessageStatus"]

    @property
    def token(self):
        return self.headers["i-twilio-idempotency-token"]

    def is_signed(self, secret=TOKEN):
        """Ask Twilio's own validator."""
        algorithm = get_signature_algorithm(self.headers.get("x-twilio-webhooks-signature-settings"))
        content = self.body if self.headers["content-type"] == "application/json" else self.form
        return RequestValidator(secret).validate(self.url, content, self.headers["x-twilio-signature"], algorithm)


class Receiver:
    """Listens on a free port.

    :ivar answers: what the next requests meet, then 204: a status, or "close" for no answer, or seconds until a 204.
    :ivar gate: requests wait for it; open at first.
    """

    def __init__(self):
        self.requests, self.answers, self.gate = [], [], threading.Event()
        self.waiting = self.most_waiting = 0
        self._lock = threading.Lock()
        self.gate.set()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self):
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, request):
        with self._lock:
            self.requests.append(request)
            answer = self.answers.pop(0) if self.answers else 204
            self.waiting += 1
            self.most_waiting = max(self.most_waiting, self.waiting)
        self.gate.wait(20)
        if isinstance(answer, float):
            time.sleep(answer)
            answer = 204
        with self._lock:
            self.waiting -= 1
        return answer

    @property
    def told(self):
        return [request.told for request in self.requests if "MessageStatus=" in request.body]

    def told_of(self, sid):
        """Give the statuses of a message in the order of their arrival."""
        return [status for told, status in self.told if told == sid]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """Say nothing of connections that end."""


def _handler(receiver):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receiver.take(Received(f"http://{headers['host']}{self.path}", headers, body))
            if answer == "close":
                self.close_connection = True
                return
            self.send_response(answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            """Keep quiet."""

    return Handler


class World:
    """A simulator behind a socket whose clock stands, and a receiver of its webhooks."""

    def __init__(self, server, receiver):
        self.server, self.receiver = server, receiver
        self.http = httpx.Client(base_url=server.url, auth=(ACCOUNT_SID, TOKEN), timeout=20)
        self.control, self.truth = server.control, server.truth

    def send(self, url="/status", **form):
        """Send a message with a status callback to a path of the receiver; give its resource."""
        callback = {"StatusCallback": f"{self.receiver.url}{url}"} if url else {}
        fields = {"To": PERSON, "From": OUR_NUMBER, "Body": "hello", **callback, **form}
        answer = self.http.post(MESSAGES, data={name: value for name, value in fields.items() if value is not None})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def send_by_service(self, url="/status", **form):
        return self.send(url, **{"From": None, "MessagingServiceSid": SERVICE, **form})

    def advance(self, seconds):
        self.control("POST", "clock", advance_seconds=seconds)

    def callbacks(self):
        return self.control("GET", "callbacks")

    def settle(self):
        """Wait until no webhook is under way; give the counts then."""
        until = time.monotonic() + 20
        while not (status := self.callbacks())["quiet"]:
            assert time.monotonic() < until, status
            time.sleep(0.01)
        return status

    def live(self, seconds=TO_THE_END):
        """Let time pass, and every callback arrive that is due by then; give the counts."""
        self.advance(seconds)
        return self.settle()


STANDS = {"started_at": NOON, "speed": STANDING}
