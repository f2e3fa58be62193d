"""Clients that bear faults: what they see of a create or a read, over a socket or within the process."""

from __future__ import annotations

import httpx

from builders import ACCOUNT_SID, TOKEN
from simulator.api import MESSAGES, OUR_NUMBER, PERSON, refusal

HELLO = {"To": PERSON, "From": OUR_NUMBER, "Body": "hello"}
#: What a client sees that waits longer than an answer is delayed: HTTP status and Twilio's code, or no answer.
SEEN = {
    "lost": None,
    "reset": None,
    "delayed": (201, None),
    "throttled": (429, 20429),
    "throttled_with_retry_after": (429, 20429),
    "error": (500, 20500),
    "error_after": (500, 20500),
    "unavailable": (503, 20503),
    "unavailable_after": (503, 20503),
}
PROCESSED = ["lost", "delayed", "error_after", "unavailable_after"]
NOT_PROCESSED = [fault for fault in SEEN if fault not in PROCESSED]


class OverHttp:
    """A simulator behind a socket, called as the one within the process is."""

    def __init__(self, server):
        self._http = httpx.Client(base_url=server.url, auth=(ACCOUNT_SID, TOKEN), timeout=10)
        self.control, self.truth = server.control, server.truth
        self.close = self._http.close

    def call(self, method, path, **options):
        return self._http.request(method, path, **options)

    def post(self, **form):
        return self.call("POST", MESSAGES, data=form)


def sight(call):
    """Give what a client sees: HTTP status and Twilio's code, or `None` for a connection that ends."""
    try:
        answer = call()
    except (httpx.RemoteProtocolError, httpx.ReadError, ConnectionResetError):
        return None
    return refusal(answer) if answer.status_code >= 400 else (answer.status_code, None)


def outcomes(client, numbers):
    """Text these people one after the other; give what the client sees of each."""
    return [sight(lambda number=number: client.post(**{**HELLO, "To": number})) for number in numbers]


def met(client):
    """Give the faults that the creates of the messages met."""
    return [message["fault"] for message in client.truth()]
