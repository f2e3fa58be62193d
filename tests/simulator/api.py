"""A client of Twilio's API that knows nothing of the SDK: requests as they look on the wire."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from builders import ACCOUNT_SID, TOKEN
from twilio_campaigns.simulator.app import create_app
from twilio_campaigns.simulator.config import SimulatorConfig

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ACCOUNT = f"/2010-04-01/Accounts/{ACCOUNT_SID}"
MESSAGES = f"{ACCOUNT}/Messages.json"
OUR_NUMBER = "+12025550100"
SERVICE = "MG" + "a" * 32
PERSON = "+12025550199"
#: So slow that no simulated microsecond passes within a test.
STANDING = 1e-9


class Api:
    """One simulated account, called within the process.

    :param changes: settings of the simulator; its clock stands at noon unless they say otherwise.
    """

    def __init__(self, **changes):
        values = {"account_sid": ACCOUNT_SID, "auth_token": TOKEN, "seed": 7, "started_at": NOON, "speed": STANDING}
        self.config = SimulatorConfig(**{**values, "opted_out_share": 0, **changes})
        self._runner = asyncio.Runner()
        transport = httpx.ASGITransport(app=create_app(self.config))
        self._http = httpx.AsyncClient(transport=transport, base_url="http://simulator", auth=(ACCOUNT_SID, TOKEN))

    def close(self):
        self._runner.run(self._http.aclose())
        self._runner.close()

    def call(self, method, path, **options):
        return self._runner.run(self._http.request(method, path, **options))

    def read(self, path, **query):
        """Give the JSON of a GET that succeeds."""
        answer = self.call("GET", path, params=query or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, **form):
        """Post a message made of nothing but these fields."""
        return self.call("POST", MESSAGES, data={name: value for name, value in form.items() if value is not None})

    def send(self, **form):
        """Send a message from our number; fields given as `None` are left out."""
        answer = self.post(**{"To": PERSON, "From": OUR_NUMBER, "Body": "hello", **form})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def send_by_service(self, **form):
        """Send a message whose sender a Messaging Service picks."""
        return self.send(**{"From": None, "MessagingServiceSid": SERVICE, **form})

    def schedule(self, send_at, **form):
        """Schedule a message."""
        return self.send_by_service(ScheduleType="fixed", SendAt=send_at.strftime("%Y-%m-%dT%H:%M:%SZ"), **form)

    def fetch(self, sid):
        return self.read(message_path(sid))

    def update(self, sid, **form):
        return self.call("POST", message_path(sid), data=form)

    def sids(self, **query):
        """Give the SIDs of the first page."""
        return [message["sid"] for message in self.read(MESSAGES, **query)["messages"]]

    def control(self, method, path, **body):
        answer = self.call(method, f"/_simulator/{path}", json=body or None)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def advance(self, seconds):
        return self.control("POST", "clock", advance_seconds=seconds)

    def receive(self, **message):
        """Let a person write to us."""
        return self.control("POST", "inbound", **{"From": PERSON, "To": OUR_NUMBER, "Body": "STOP", **message})

    def truth(self):
        return self.control("GET", "messages")["messages"]


def message_path(sid, below=""):
    return f"{ACCOUNT}/Messages/{sid}{below}.json"


def refusal(answer):
    """Give an answer's HTTP status and Twilio's code; the rest of an error's body is checked on the way."""
    body = answer.json()
    assert set(body) == {"code", "message", "more_info", "status"}
    assert body["status"] == answer.status_code
    assert body["message"]
    assert body["more_info"] == f"https://www.twilio.com/docs/errors/{body['code']}"
    return answer.status_code, body["code"]


def moment(text):
    """Read a date of a resource."""
    return None if text is None else parsedate_to_datetime(text)


def people(count, prefix="+1202556"):
    """Give so many different mobile numbers."""
    return [f"{prefix}{number:04}" for number in range(count)]
