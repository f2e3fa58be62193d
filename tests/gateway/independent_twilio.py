"""A second Twilio, by the standard library alone: create, list, fetch and account as in Twilio's OpenAPI.

It shares no line with our simulator: what works with both rests on Twilio's description, and not on something
that the two of us have agreed on. Served by ``python tests/gateway/independent_twilio.py --port 8011``.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

ACCOUNT_SID = "AC" + "a" * 32
AUTH_TOKEN = "independent-token"
ROOT = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
DEFAULT_PAGE, LARGEST_PAGE = 50, 1000


class Refusal(Exception):  # noqa: N818 - it is an answer
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status = status
        self.body = {
            "code": code,
            "message": message,
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": status,
        }


class Account:
    """The messages of one account, newest last."""

    def __init__(self):
        self.messages = []
        self.lock = threading.Lock()

    def create(self, form):
        to = form.get("To", [""])[0]
        if not re.fullmatch(r"\+[1-9]\d{6,14}", to):
            raise Refusal(400, 21211, f"Invalid 'To' Phone Number: {to}")
        sender = form.get("From", [None])[0], form.get("MessagingServiceSid", [None])[0]
        if not any(sender):
            raise Refusal(400, 21603, "A 'From' or 'MessagingServiceSid' is required")
        if not {"Body", "MediaUrl", "ContentSid"} & set(form):
            raise Refusal(400, 21619, "A text message body or media urls must be specified.")
        with self.lock:
            number = len(self.messages) + 1
            media = len(form.get("MediaUrl", []))
            sid = f"{'MM' if media else 'SM'}{number:032x}"
            now = datetime.now(UTC)
            record = {
                "account_sid": ACCOUNT_SID,
                "api_version": "2010-04-01",
                "body": form.get("Body", [""])[0],
                "direction": "outbound-api",
                "from": sender[0],
                "messaging_service_sid": sender[1],
                "num_media": str(media),
                "price_unit": "USD",
                "sid": sid,
                "to": to,
                "uri": f"{ROOT}/Messages/{sid}.json",
                "subresource_uris": {"media": f"{ROOT}/Messages/{sid}/Media.json"},
                "_created": now,
            }
            self.messages.append(record)
        return shown(record, fresh=True)

    def find(self, sid):
        for record in self.messages:
            if record["sid"] == sid:
                return shown(record)
        raise Refusal(404, 20404, f"The requested resource {ROOT}/Messages/{sid}.json was not found")

    def page(self, query):
        size, token = int(query.get("PageSize", DEFAULT_PAGE)), int(query.get("PageToken", "PA0")[2:])
        if size > LARGEST_PAGE:
            raise Refusal(400, 20007, "Page size must be less than 1000")
        found = [record for record in reversed(self.messages) if matches(record, query)]
        page, rest = found[token : token + size], found[token + size :]
        onward = {**query, "Page": token // size + 1, "PageToken": f"PA{token + size}"}
        return {
            "messages": [shown(record) for record in page],
            "end": token + len(page) - 1,
            "first_page_uri": f"{ROOT}/Messages.json?{urlencode({**query, 'Page': 0})}",
            "next_page_uri": f"{ROOT}/Messages.json?{urlencode(onward)}" if rest else None,
            "page": token // size,
            "page_size": size,
            "previous_page_uri": None,
            "start": token,
            "uri": f"{ROOT}/Messages.json?{urlencode(query)}",
        }


def shown(record, *, fresh=False):
    """Queued in the answer to a create, delivered and priced ever after."""
    moment = format_datetime(record["_created"])
    later = {
        "date_created": moment,
        "date_updated": moment,
        "date_sent": None if fresh else moment,
        "error_code": None,
        "error_message": None,
        "num_segments": "1",
        "price": None if fresh else "-0.00790",
        "status": "queued" if fresh else "delivered",
    }
    return {name: value for name, value in record.items() if name != "_created"} | later


def matches(record, query):
    moment = record["_created"].replace(microsecond=0)
    return (
        query.get("To") in {None, record["to"]}
        and query.get("From") in {None, record["from"]}
        and ("DateSent>" not in query or moment >= datetime.fromisoformat(query["DateSent>"]))
        and ("DateSent<" not in query or moment <= datetime.fromisoformat(query["DateSent<"]))
    )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.reply(200, self.read)

    def do_POST(self):
        self.reply(201, self.write)

    def read(self):
        path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        if path == f"{ROOT}.json":
            return {"sid": ACCOUNT_SID, "friendly_name": "Independent", "status": "active", "type": "Full"}
        if path == f"{ROOT}/Messages.json":
            return self.server.account.page(query)
        return self.server.account.find(path.removeprefix(f"{ROOT}/Messages/").removesuffix(".json"))

    def write(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.path != f"{ROOT}/Messages.json":
            raise Refusal(404, 20404, f"The requested resource {self.path} was not found")
        return self.server.account.create(form)

    def reply(self, status, work):
        try:
            self.authenticate()
            body = work()
        except Refusal as refusal:
            status, body = refusal.status, refusal.body
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json;charset=utf-8")
        self.send_header("Twilio-Request-Id", "RQ" + "0" * 32)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def authenticate(self):
        expected = base64.b64encode(f"{ACCOUNT_SID}:{AUTH_TOKEN}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            raise Refusal(401, 20003, "Authenticate")

    def log_message(self, *args):
        """Stay silent."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.account = Account()
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def independent_twilio():
    """Serve on a free port; yields the server with its ``url`` and ``account``."""
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8011)
    Server(parser.parse_args().port).serve_forever()
