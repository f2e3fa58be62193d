"""Webhooks as tests and people steer them: where they lead, what became of them, replies and clicks on demand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from twilio_campaigns.simulator.replies import NobodyToAnswerError, Reply
from twilio_campaigns.simulator.webhooks import Webhooks

if TYPE_CHECKING:
    from fastapi import FastAPI

    from twilio_campaigns.simulator.account import Account
    from twilio_campaigns.simulator.links import Link
    from twilio_campaigns.simulator.sender import Webhook

#: What a person's telephone says that it is.
PERSON: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.5 Mobile/15E148 Safari/604.1"
)


class Click(BaseModel):
    """Which link somebody opens, and with what.

    :param MessageSid: the message with the link.
    :param To: instead of it: the last message to this person that has one.
    :param Link: which of its links, from 1.
    :param UserAgent: the browser; those of preview bots are clicks to Twilio, too.
    :param Copies: how often the webhook is posted: Twilio may repeat itself.
    """

    model_config = ConfigDict(extra="forbid")

    MessageSid: str | None = None
    To: str | None = None
    Link: Annotated[int, Field(ge=1)] = 1
    UserAgent: str = PERSON
    Copies: Annotated[int, Field(ge=1, le=100)] = 1

    @model_validator(mode="after")
    def _name_one_message(self) -> Self:
        if (self.MessageSid is None) == (self.To is None):
            raise ValueError("name either the message (MessageSid) or the person (To)")
        return self


def add_webhook_control(app: FastAPI, account: Account) -> None:
    """Add the paths below `/_simulator` that are about webhooks."""

    @app.get("/_simulator/webhooks")
    async def webhooks() -> Webhooks:
        return account.webhooks

    @app.post("/_simulator/webhooks")
    async def change_webhooks(changes: dict[str, Any]) -> Webhooks:
        try:
            account.webhooks = Webhooks.model_validate({**account.webhooks.model_dump(), **changes})
        except ValidationError as error:
            raise RequestValidationError(error.errors(include_url=False, include_context=False)) from None
        return account.webhooks

    @app.get("/_simulator/callbacks")
    async def callbacks() -> dict[str, Any]:
        return account.webhook_status()

    _add_demands(app, account)


def _add_demands(app: FastAPI, account: Account) -> None:
    def receive(reply: Reply, request: Request) -> tuple[dict[str, Any], Webhook | None]:
        try:
            return account.receive(reply, str(request.base_url))
        except NobodyToAnswerError as error:
            raise HTTPException(404, str(error)) from None

    @app.post("/_simulator/inbound")
    async def inbound(reply: Reply, request: Request) -> dict[str, Any]:
        message, webhook = receive(reply, request)
        if webhook is not None:
            for _ in range(reply.Copies):
                account.sender.post(webhook)
        return message

    @app.post("/_simulator/reply")
    async def reply(reply: Reply, request: Request) -> dict[str, Any]:
        message, webhook = receive(reply, request)
        return {"message": message, "webhook": await _deliver(account, webhook, reply.Copies)}

    @app.post("/_simulator/click")
    async def click(click: Click) -> dict[str, Any]:
        event, webhook = account.click(_link(account, click), click.UserAgent)
        return {"event": event, "webhook": await _deliver(account, webhook, click.Copies)}


async def _deliver(account: Account, webhook: Webhook | None, copies: int) -> dict[str, Any] | None:
    """Post a webhook and tell how that went: the answer's status or why there is none, and how many tries it took."""
    if webhook is None:
        return None
    outcomes = await asyncio.gather(*(account.sender.deliver(webhook) for _ in range(copies)))
    return {
        "url": webhook.url,
        "answered": outcomes[0].answered,
        "tries": sum(outcome.tries for outcome in outcomes),
        "taken": all(outcome.is_taken for outcome in outcomes),
    }


def _link(account: Account, click: Click) -> Link:
    """Find the link that is to be opened."""
    if click.MessageSid is not None:
        links = account.links.of(click.MessageSid) if account.store.get(click.MessageSid) else []
    else:
        messages = reversed(account.store.messages_to(str(click.To)))
        links = next(filter(None, (account.links.of(message.sid) for message in messages)), [])
    if click.Link > len(links):
        said = "no shortened link" if not links else f"no link {click.Link}: it has {len(links)}"
        raise HTTPException(404, f"There is {said} in that message. It needs ShortenUrls and a link domain.")
    link = account.links.find(links[click.Link - 1].code, account.clock.now())
    if link is None:
        raise HTTPException(404, "That link is older than 90 days: Twilio has forgotten it.")
    return link
