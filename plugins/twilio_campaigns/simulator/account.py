"""One simulated account: its credentials, its clock, its messages, and what can be asked of it."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from twilio_campaigns.simulator.answers import (
    API_VERSION,
    NotFoundError,
    TwilioError,
    message_resource,
    rfc2822,
    truth_of,
)
from twilio_campaigns.simulator.clock import Clock
from twilio_campaigns.simulator.faults import FaultDealer
from twilio_campaigns.simulator.intake import Consents, create, read_request, receive
from twilio_campaigns.simulator.lists import list_page
from twilio_campaigns.simulator.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twilio_campaigns.simulator.config import SimulatorConfig
    from twilio_campaigns.simulator.store import Message


class Account:
    """Everything that the simulator knows.

    :param config: what the account is like.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.sid = config.account_sid
        self.clock = Clock(config.speed, config.started_at)
        self.created_at = self.clock.now()
        self.calls: Counter[str] = Counter()
        self.faults = FaultDealer(config.faults, config.seed)
        self._credentials = [
            _basic(user, secret) for user, secret in {config.account_sid: config.auth_token, **config.api_keys}.items()
        ]
        self.reset()

    def reset(self) -> None:
        """Forget every message; the clock runs on, the shares of faults stay and are drawn from the beginning."""
        self.store = Store(self.config.seed, self.config.list_lag_seconds)
        self.consents = Consents()
        self.calls.clear()
        self.faults.restart()

    def check(self, account_sid: str, authorization: str | None) -> None:
        """Check credentials.

        :raises TwilioError: 401 with code 20003, as for any account that is not the caller's.
        """
        if self.faults.faults.revoked:
            self.faults.dealt["revoked"] += 1
            raise TwilioError(20003, 401)
        given = (authorization or "").encode()
        known = any(compare_digest(given, valid) for valid in self._credentials)
        if not known or account_sid != self.sid:
            raise TwilioError(20003, 401)

    def resource(self) -> dict[str, Any]:
        """Render the account."""
        base = f"/{API_VERSION}/Accounts/{self.sid}"
        return {
            "sid": self.sid,
            "friendly_name": "Simulated account",
            "status": "active",
            "type": "Full",
            "owner_account_sid": self.sid,
            "auth_token": "",
            "date_created": rfc2822(self.created_at),
            "date_updated": rfc2822(self.created_at),
            "uri": f"{base}.json",
            "subresource_uris": {"messages": f"{base}/Messages.json"},
        }

    def create(self, form: Mapping[str, list[str]], fault: str | None = None) -> dict[str, Any]:
        """Create a message.

        :param fault: name of what goes wrong with the answer.
        """
        now = self.clock.now()
        message = create(self.store, self.config, read_request(form, now), now, self.consents)
        message.fault = fault
        return message_resource(message, self.sid, now)

    def fetch(self, sid: str) -> dict[str, Any]:
        """Render one message, unless it is too young to be found."""
        message, now = self.message(sid), self.clock.now()
        if now - message.created_at < self.faults.faults.young_404_seconds:
            self.faults.dealt["young_404"] += 1
            raise NotFoundError
        return message_resource(message, self.sid, now)

    def page(self, query: Mapping[str, str], path: str) -> dict[str, Any]:
        """Render one page."""
        return list_page(self.store, query, self.sid, path, self.clock.now())

    def update(self, sid: str, form: Mapping[str, list[str]]) -> dict[str, Any]:
        """Redact a body, or cancel a scheduled message."""
        message, now = self.message(sid), self.clock.now()
        status = form["Status"][-1] if "Status" in form else None
        body = form["Body"][-1] if "Body" in form else None
        if status not in {None, "canceled"} or body:
            raise TwilioError(20001)
        if status == "canceled":
            if message.status_at(now) != "scheduled":
                raise TwilioError(30409, 409)
            self.store.cancel(message, now)
        if body is not None:
            message.body = ""
        message.touched_at = now
        return message_resource(message, self.sid, now)

    def delete(self, sid: str) -> None:
        """Delete a message that has come to its end."""
        message = self.message(sid)
        if not message.is_final_at(self.clock.now()):
            raise TwilioError(20009, 409)
        self.store.delete(message)

    def media_list(self, sid: str, path: str) -> dict[str, Any]:
        """Render a message's media."""
        message = self.message(sid)
        items = [self._media(message, n) for n in range(len(message.media)) if n not in message.deleted_media]
        return {
            "media_list": items,
            "first_page_uri": f"{path}?PageSize=50&Page=0",
            "next_page_uri": None,
            "previous_page_uri": None,
            "page": 0,
            "page_size": 50,
            "start": 0,
            "end": max(0, len(items) - 1),
            "uri": f"{path}?PageSize=50&Page=0",
        }

    def media(self, sid: str, media_sid: str) -> dict[str, Any]:
        """Render one of a message's media."""
        message = self.message(sid)
        return self._media(message, self._media_number(message, media_sid))

    def delete_media(self, sid: str, media_sid: str) -> None:
        """Delete one of a message's media."""
        message = self.message(sid)
        message.deleted_media.add(self._media_number(message, media_sid))

    def feedback(self, sid: str, form: Mapping[str, list[str]]) -> dict[str, Any]:
        """Take note of a feedback."""
        message, now = self.message(sid), self.clock.now()
        outcome = (form.get("Outcome") or ["confirmed"])[-1]
        if outcome not in {"confirmed", "unconfirmed"}:
            raise TwilioError(20001)
        message.feedback = outcome
        return {
            "account_sid": self.sid,
            "message_sid": sid,
            "outcome": outcome,
            "date_created": rfc2822(now),
            "date_updated": rfc2822(now),
            "uri": f"/{API_VERSION}/Accounts/{self.sid}/Messages/{sid}/Feedback.json",
        }

    def message(self, sid: str) -> Message:
        """Find a message.

        :raises NotFoundError: if there is none.
        """
        message = self.store.get(sid)
        if message is None:
            raise NotFoundError
        return message

    def receive(self, from_: str, to: str, body: str) -> dict[str, Any]:
        """Let somebody write to us; STOP and START count for what that number sends."""
        now = self.clock.now()
        self.consents.hear(from_, to, body)
        return message_resource(receive(self.store, from_, to, body, now), self.sid, now)

    def truth(self) -> list[dict[str, Any]]:
        """Give every message with what Twilio would not tell."""
        now = self.clock.now()
        return [truth_of(message, now) for message in self.store]

    def stats(self) -> dict[str, Any]:
        """Count messages by status, calls by kind, and faults dealt by name."""
        now = self.clock.now()
        return {
            "now": datetime.fromtimestamp(now, UTC).isoformat(),
            "messages": len(self.store),
            "by_status": dict(Counter(message.status_at(now) for message in self.store)),
            "calls": dict(self.calls),
            "faults": dict(self.faults.dealt),
        }

    def _media(self, message: Message, number: int) -> dict[str, Any]:
        sid = media_sid_of(message, number)
        return {
            "sid": sid,
            "account_sid": self.sid,
            "parent_sid": message.sid,
            "content_type": "image/jpeg",
            "date_created": rfc2822(message.created_at),
            "date_updated": rfc2822(message.created_at),
            "uri": f"/{API_VERSION}/Accounts/{self.sid}/Messages/{message.sid}/Media/{sid}.json",
        }

    @staticmethod
    def _media_number(message: Message, media_sid: str) -> int:
        for number in range(len(message.media)):
            if number not in message.deleted_media and media_sid_of(message, number) == media_sid:
                return number
        raise NotFoundError


def media_sid_of(message: Message, number: int) -> str:
    """Give the SID of a message's medium."""
    return f"ME{number:02x}{message.sid[4:]}"


def _basic(user: str, secret: str) -> bytes:
    return b"Basic " + b64encode(f"{user}:{secret}".encode())
