"""One simulated account: its credentials, its clock, its messages, its webhooks, and what can be asked of it."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from hmac import compare_digest
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from twilio_campaigns.simulator.answers import (
    API_VERSION,
    NotFoundError,
    TwilioError,
    message_resource,
    rfc2822,
    truth_of,
)
from twilio_campaigns.simulator.callbacks import StatusCallbacks
from twilio_campaigns.simulator.clock import Clock
from twilio_campaigns.simulator.faults import FaultDealer
from twilio_campaigns.simulator.intake import Consents, create, read_request
from twilio_campaigns.simulator.links import Links, click_event
from twilio_campaigns.simulator.lists import list_page
from twilio_campaigns.simulator.media import media_number, media_page, media_resource
from twilio_campaigns.simulator.replies import addressee, inbound_form, receive
from twilio_campaigns.simulator.sender import Sender, Webhook
from twilio_campaigns.simulator.signing import Signer
from twilio_campaigns.simulator.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twilio_campaigns.simulator.config import SimulatorConfig
    from twilio_campaigns.simulator.links import Link
    from twilio_campaigns.simulator.replies import Reply
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
        self.webhooks = config.webhooks
        self.sender = Sender(Signer(config.auth_token, config.shared_key))
        self.callbacks = StatusCallbacks(config.account_sid, self.clock, self.faults, self.sender)
        self._credentials = [
            _basic(user, secret) for user, secret in {config.account_sid: config.auth_token, **config.api_keys}.items()
        ]
        self.reset()

    def reset(self) -> None:
        """Forget every message; the clock runs on, the shares of faults stay and are drawn from the beginning."""
        self.store = Store(self.config.seed, self.config.list_lag_seconds)
        self.consents = Consents()
        self.links = Links(self.config.seed)
        self.calls.clear()
        self.faults.restart()
        self.callbacks.reset()
        self.sender.reset()

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
        base = self.webhooks.link_base
        shorten = partial(self.links.shorten, base) if base else None
        message = create(self.store, self.config, read_request(form, now), now, self.consents, shorten)
        message.fault = fault
        self.callbacks.created(message)
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
            self.callbacks.canceled(message)
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
        return media_page(self.message(sid), self.sid, path)

    def media(self, sid: str, media_sid: str) -> dict[str, Any]:
        """Render one of a message's media."""
        message = self.message(sid)
        return media_resource(message, media_number(message, media_sid), self.sid)

    def medium(self, sid: str, media_sid: str) -> str:
        """Tell where one of a message's media is."""
        message = self.message(sid)
        return message.media[media_number(message, media_sid)]

    def delete_media(self, sid: str, media_sid: str) -> None:
        """Delete one of a message's media."""
        message = self.message(sid)
        message.deleted_media.add(media_number(message, media_sid))

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

    def receive(self, reply: Reply, base_url: str) -> tuple[dict[str, Any], Webhook | None]:
        """Let somebody write to us; STOP and START count for what that number sends.

        :param base_url: where this simulator answers.
        :returns: the message, and the webhook that tells it, where one is configured.
        :raises NobodyToAnswerError: where it is not said, and cannot be told, which number of ours this is for.
        """
        now, (to, service) = self.clock.now(), addressee(self.store, reply)
        self.consents.hear(reply.From, to, reply.Body)
        message = receive(self.store, reply, to, now)
        url = self.webhooks.inbound_url_of(to, service)
        form = inbound_form(message, service, self.sid, base_url, advanced_opt_out=self.webhooks.advanced_opt_out)
        return message_resource(message, self.sid, now), Webhook(url, form, str(uuid4())) if url else None

    def click(self, link: Link, user_agent: str) -> tuple[dict[str, str], Webhook | None]:
        """Let somebody open a shortened link.

        :returns: what happened, and the webhook that tells it, where one is configured.
        """
        event = click_event(link, self.message(link.message_sid), self.sid, user_agent, self.clock.now())
        url = self.webhooks.click_url
        return event, Webhook(url, event, str(uuid4()), is_json=True) if url else None

    def webhook_status(self) -> dict[str, Any]:
        """Tell what became of webhooks of all kinds, and how far the status callbacks are."""
        counts = self.sender.counts
        return {
            **self.callbacks.status(),
            **{name: counts[name] for name in ("sent", "retried", "failed")},
            "answered": dict(self.sender.answers),
        }

    async def close(self) -> None:
        """End what goes on by itself."""
        self.callbacks.close()
        await self.sender.close()

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


def _basic(user: str, secret: str) -> bytes:
    return b"Basic " + b64encode(f"{user}:{secret}".encode())
