"""Sender profiles: who sends, over which channel, how fast (``include/senders.yaml``)."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from twilio_campaigns.domain.spec import Spec, problem

_MESSAGING_SERVICE: Final = re.compile(r"MG[0-9a-fA-F]{32}")
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_SHORT_CODE: Final = re.compile(r"[0-9]{3,8}")
# What Twilio admits in an alphanumeric sender id; at least one letter, else phones take it for a number.
_ALPHANUMERIC: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +\-_&]{1,11}")

Channel = Literal["sms", "mms"]


class SenderProfile(Spec):
    """Who sends.

    :param name: key of the profile in ``senders.yaml``.
    :param channel: ``sms`` or ``mms``.
    :param messaging_service_sid: ``MG…`` of a Messaging Service; either this or ``from_number``.
    :param from_number: number in E.164 form, short code, or alphanumeric sender id.
    :param parts_per_second: text segments that this sender may send in a second; for MMS, messages.
        1 is what Twilio grants its slowest senders.
    :param released_per_second: text segments that Twilio passes on in a second, where that is less: the rest waits
        in Twilio's queue, for ten hours at most.
    :param description: for people.
    """

    name: Annotated[str, Field(min_length=1, max_length=100, description="Key of the profile.")]
    channel: Annotated[Channel, Field(description="What the sender sends: sms or mms.")] = "sms"
    messaging_service_sid: Annotated[
        str | None,
        Field(
            description="MG… SID of a Messaging Service, from Twilio's console. Either this or from_number.",
            examples=["MG0123456789abcdef0123456789abcdef"],
            json_schema_extra={"pattern": f"^{_MESSAGING_SERVICE.pattern}$"},
        ),
    ] = None
    from_number: Annotated[
        str | None,
        Field(
            description="Sending number with country code, short code, or alphanumeric sender id, in quotes. "
            "Either this or messaging_service_sid.",
            examples=["+12025550142", "12345", "ACME"],
        ),
    ] = None
    parts_per_second: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
            strict=True,
            description="Text segments (MMS: messages) that the sender may send in a second; "
            "see the sender's throughput in Twilio's console.",
        ),
    ] = 1.0
    released_per_second: Annotated[
        float | None,
        Field(
            gt=0,
            allow_inf_nan=False,
            strict=True,
            description="Text segments that Twilio itself passes on in a second, if fewer than parts_per_second: the "
            "rest waits in Twilio's queue. Left out: as many as parts_per_second.",
        ),
    ] = None
    description: Annotated[str, Field(description="What the sender is for.")] = ""

    @property
    def is_messaging_service(self) -> bool:
        """Whether Twilio picks the number from a pool."""
        return self.messaging_service_sid is not None

    @property
    def scope(self) -> str:
        """What an opt-out from this sender concerns: its Messaging Service, else its number."""
        return str(self.messaging_service_sid or self.from_number)

    @field_validator("messaging_service_sid")
    @classmethod
    def _check_messaging_service(cls, value: str | None) -> str | None:
        if value is not None and not _MESSAGING_SERVICE.fullmatch(value):
            raise problem(
                f"{value!r} is not a Messaging Service SID. Copy it from Twilio's console: MG and 32 hex digits."
            )
        return value

    @field_validator("from_number")
    @classmethod
    def _check_from_number(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if info.data.get("messaging_service_sid"):
            raise problem(
                "from_number and messaging_service_sid exclude one another. "
                "Remove one: a Messaging Service picks its number itself."
            )
        if not any(form.fullmatch(value) for form in (_E164, _SHORT_CODE, _ALPHANUMERIC)):
            raise problem(
                f"{value!r} is no sender. Write a number with country code ('+12025550142'), a short code "
                "('12345') or an alphanumeric sender id of at most 11 characters with a letter ('ACME')."
            )
        if info.data.get("channel") == "mms" and _ALPHANUMERIC.fullmatch(value):
            raise problem(f"the alphanumeric sender {value!r} cannot send MMS. Use a number, or channel: sms.")
        return value

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        if self.messaging_service_sid is None and self.from_number is None:
            raise problem("the profile names no sender. Add messaging_service_sid or from_number.")
        return self
