"""What people write to us: which of our numbers they answer, the message of it, and the webhook that tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from twilio_campaigns.domain.opt_out import OptOutWords
from twilio_campaigns.domain.parts import count_parts
from twilio_campaigns.domain.phone import InvalidNumberError, parse_phone
from twilio_campaigns.simulator.answers import API_VERSION
from twilio_campaigns.simulator.intake import POOL, hash_of
from twilio_campaigns.simulator.life import Life
from twilio_campaigns.simulator.media import content_type, media_path
from twilio_campaigns.simulator.store import Message
from twilio_campaigns.simulator.webhooks import WebhookUrl

if TYPE_CHECKING:
    from twilio_campaigns.simulator.store import Store

_WORDS: Final = OptOutWords()


class Reply(BaseModel):
    """What somebody writes to us, in Twilio's names.

    :param To: our number; where it is empty, the one that texted this person last.
    :param MessagingServiceSid: the service that our number belongs to; where it is empty, the one that used the number
        to text this person last.
    :param MediaUrl: pictures and the like, by address.
    :param Copies: how often the webhook is posted: Twilio may repeat itself.
    """

    model_config = ConfigDict(extra="forbid")

    From: Annotated[str, Field(min_length=1)]
    To: Annotated[str, Field(min_length=1)] | None = None
    MessagingServiceSid: Annotated[str, Field(pattern=r"^MG[0-9a-fA-F]{32}$")] | None = None
    Body: str = ""
    MediaUrl: Annotated[list[WebhookUrl], Field(max_length=10)] = []
    Copies: Annotated[int, Field(ge=1, le=100)] = 1


class NobodyToAnswerError(LookupError):
    """This person has got no message that could be answered."""


def addressee(store: Store, reply: Reply) -> tuple[str, str | None]:
    """Give the number of ours that somebody writes to, and its Messaging Service.

    :raises NobodyToAnswerError: where neither the reply nor an earlier message to this person names a number.
    """
    answered = next(
        (
            message
            for message in reversed(store.messages_to(reply.From))
            if (reply.To is None or message.from_ == reply.To)
            and (reply.MessagingServiceSid is None or message.service == reply.MessagingServiceSid)
        ),
        None,
    )
    service = reply.MessagingServiceSid or (answered.service if answered else None)
    if reply.To is not None:
        return reply.To, service
    if answered is not None and answered.from_ is not None:
        return answered.from_, service
    if service is not None:
        return POOL[hash_of(reply.From) % len(POOL)], service
    raise NobodyToAnswerError("this number has got no message: say which of ours it writes to")


def receive(store: Store, reply: Reply, to: str, now: float) -> Message:
    """Take in what somebody wrote to one of our numbers."""
    message = Message(
        sid=store.next_sid("MM" if reply.MediaUrl else "SM"),
        to=to,
        from_=reply.From,
        service=None,
        body=reply.Body,
        media=tuple(reply.MediaUrl),
        parts=1 if reply.MediaUrl else count_parts(reply.Body).parts,
        direction="inbound",
        created_at=now,
        begins_at=now,
        life=Life(0, 0, 0, 0, "received", None, 0.0079, 60.0),
    )
    store.add(message)
    return message


def inbound_form(
    message: Message, service: str | None, account_sid: str, base_url: str, *, advanced_opt_out: bool
) -> dict[str, str]:
    """Give the fields of the webhook for an inbound message.

    :param base_url: where this simulator answers; its media are there.
    :param advanced_opt_out: whether a Messaging Service tells `OptOutType`. A number outside of one never does.
    """
    form = {
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "SmsMessageSid": message.sid,
        "AccountSid": account_sid,
        "From": str(message.from_),
        "To": message.to,
        "Body": message.body,
        "NumMedia": str(len(message.media)),
        "NumSegments": str(message.parts),
        "SmsStatus": "received",
        "ApiVersion": API_VERSION,
    }
    if service is not None:
        form["MessagingServiceSid"] = service
    for number, url in enumerate(message.media):
        form[f"MediaUrl{number}"] = base_url.rstrip("/") + media_path(message, number, account_sid)
        form[f"MediaContentType{number}"] = content_type(url)
    meaning = _WORDS.meaning_of(message.body)
    if advanced_opt_out and meaning is not None and (service is not None or message.to in POOL):
        form["OptOutType"] = meaning.upper()
    return {**form, **_place("From", str(message.from_)), **_place("To", message.to)}


def _place(side: str, number: str) -> dict[str, str]:
    """Give where a number is from: its country, and fields that Twilio leaves empty where it does not know."""
    try:
        country = parse_phone(number, "US").country
    except InvalidNumberError:
        country = ""
    return {f"{side}City": "", f"{side}State": "", f"{side}Zip": "", f"{side}Country": country}
