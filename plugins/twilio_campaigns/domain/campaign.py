"""A campaign as people describe it: who is texted, by whom, what, and when.

The YAML files of ``include/campaigns`` become these models, and whoever prefers Python builds them directly.
A model dumped with ``model_dump(mode="json")`` is the spec that the ledger keeps; it reads back as it was.
"""

from __future__ import annotations

import re
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import phonenumbers
from croniter import CroniterError, croniter  # type: ignore[import-untyped]
from pydantic import Field, ValidationInfo, field_validator

from twilio_campaigns.domain.content import Message
from twilio_campaigns.domain.segment import FileSegment, Name, Segment, SqlSegment
from twilio_campaigns.domain.sender import Channel, SenderProfile  # noqa: TC001 - pydantic reads it
from twilio_campaigns.domain.spec import Duration, Spec, problem

__all__ = ["AudienceRules", "Campaign", "CircuitBreaker", "FileSegment", "Message", "Segment", "SqlSegment"]

_CAMPAIGN_ID: Final = re.compile(r"[a-z0-9_]{1,100}")
#: Airflow's presets as cron expressions; croniter does not know all of them.
_PRESETS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
_CRON_FIELDS: Final = 5
#: Of a start date. Near the years 1 and 9999 Airflow's scheduler overflows: no run, and no word to anybody.
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 2999
_A_DATE: Final = "Write one such as 2027-03-01T09:00:00."


class AudienceRules(Spec):
    """Who of the segment is left out, and how local numbers are read.

    :param default_region: ISO country of numbers without country code; without it such numbers are invalid.
    :param mobile_only: leave out numbers that are landlines for certain.
    :param max_parts: leave out recipients whose text would take more text segments than this; a body of
        1,600 characters takes 11 in GSM-7 and 24 in UCS-2.
    """

    default_region: Annotated[
        str | None,
        Field(description="Country of numbers without country code, ISO 3166.", examples=["US", "DE"]),
    ] = None
    mobile_only: Annotated[bool, Field(strict=True, description="Leave out landlines.")] = True
    max_parts: Annotated[
        int, Field(strict=True, ge=1, le=24, description="Leave out texts of more text segments than this.")
    ] = 10

    @field_validator("default_region")
    @classmethod
    def _check_region(cls, value: str | None) -> str | None:
        if value is not None and value not in phonenumbers.SUPPORTED_REGIONS:
            close = value.upper() if value.upper() in phonenumbers.SUPPORTED_REGIONS else None
            hint = f"Did you mean {close!r}?" if close else "Write two letters of ISO 3166, such as US."
            raise problem(f"{value!r} is not a country code. {hint}")
        return value


class CircuitBreaker(Spec):
    """When a run pauses itself: somebody looks before the rest of the audience meets the same.

    :param refused_share: share of messages that Twilio, a carrier or a filter refused, above which the run pauses.
    :param messages: over how many of the latest messages the share is taken; fewer never pause a run.
    """

    refused_share: Annotated[
        float,
        Field(gt=0, lt=1, strict=True, allow_inf_nan=False, description="Pause above this share of refused messages."),
    ] = 0.2
    messages: Annotated[
        int, Field(strict=True, ge=20, le=10_000, description="Over this many of the latest messages.")
    ] = 200


class Campaign(Spec):
    """One campaign; its file makes one DAG, ``campaign__<campaign_id>``.

    :param campaign_id: lower-case letters, digits and underscores; the name of the campaign's file.
    :param sender: who sends. A file names a profile of ``senders.yaml``.
    :param segment: where the recipients come from.
    :param message: what is sent.
    :param description: shown with the DAG.
    :param schedule: cron expression or preset of Airflow; ``None`` for runs started by people.
    :param timezone: IANA time zone of ``schedule``, and of a ``start_date`` without one.
    :param start_date: no scheduled run before this moment.
    :param audience: who is left out.
    :param connection: Airflow connection of type ``twilio``.
    :param max_lateness: a run that begins later than this after its logical date sends nothing.
    :param send_within: nothing is sent later than this after the audience was frozen.
    :param repeat_after: a run leaves out whom another run of the campaign has had within this time.
    :param unknown_outcome: what becomes of a message whose answer got lost and of which Twilio shows no trace:
        ``resend``, or ``never`` sent again.
    :param circuit_breaker: when a run pauses itself; ``None``: never.
    :param event_name: value of ``event_name`` in the events table.
    :param validity_period: seconds after which Twilio gives up on a queued message, 1 to 36000.
    :param shorten_urls: Twilio puts short links of the account's own domain in the place of URLs in the text, and tells
        who clicks; needs a sender with a Messaging Service, and a domain set up for it at Twilio.
    :param batch_size: recipients per sending task; ``None`` lets it grow with the audience.
    :param tags: further tags of the DAG.
    """

    campaign_id: Annotated[
        str,
        Field(
            description="Name of the campaign; the same as the file's, without .yaml.",
            json_schema_extra={"pattern": f"^{_CAMPAIGN_ID.pattern}$"},
        ),
    ]
    sender: Annotated[SenderProfile, Field(description="Who sends: a profile of include/senders.yaml.")]
    segment: Annotated[Segment, Field(description="Where the recipients come from.")]
    message: Annotated[Message, Field(description="What is sent.")]
    description: Annotated[str, Field(description="Shown with the DAG in Airflow.")] = ""
    schedule: Annotated[
        str | None,
        Field(
            description="Cron expression or Airflow preset, in quotes; null for runs started by people.",
            examples=["0 9 * * 1", "@daily"],
        ),
    ] = None
    timezone: Annotated[
        str, Field(description="IANA time zone of schedule and start_date.", examples=["Europe/Berlin"])
    ] = "UTC"
    start_date: Annotated[
        datetime | None,
        Field(description="No scheduled run before this moment.", examples=["2027-03-01T00:00:00"]),
    ] = None
    audience: Annotated[AudienceRules, Field(description="Who is left out.")] = AudienceRules()
    connection: Annotated[Name, Field(description="Airflow connection of type twilio.")] = "twilio_default"
    max_lateness: Annotated[
        Duration, Field(description="A run that begins later than this after its logical date sends nothing.")
    ] = timedelta(hours=1)
    send_within: Annotated[
        Duration, Field(description="Nothing is sent later than this after the audience was frozen.")
    ] = timedelta(hours=24)
    repeat_after: Annotated[
        Duration, Field(description="Leave out whom another run of this campaign has had within this time.")
    ] = timedelta(hours=12)
    unknown_outcome: Annotated[
        Literal["resend", "never"],
        Field(description="Send a message again whose answer got lost, once Twilio shows no trace of it; or never."),
    ] = "resend"
    circuit_breaker: Annotated[
        CircuitBreaker | None,
        Field(description="When a run pauses itself because too much is refused; null: never."),
    ] = CircuitBreaker()
    event_name: Annotated[Name, Field(description="event_name of the events table.")] = "campaign"
    validity_period: Annotated[
        int | None,
        Field(strict=True, ge=1, le=36000, description="Seconds after which Twilio gives up on a message."),
    ] = None
    shorten_urls: Annotated[
        bool,
        Field(strict=True, description="Let Twilio shorten the links of the text and tell of clicks."),
    ] = False
    batch_size: Annotated[
        int | None, Field(strict=True, ge=1, le=1_000_000, description="Recipients per sending task.")
    ] = None
    tags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=100)], ...],
        Field(description="Further tags of the DAG."),
    ] = ()

    @property
    def cron(self) -> str | None:
        """The schedule as a cron expression, presets too; ``None`` for runs started by people."""
        return None if self.schedule is None else _PRESETS.get(self.schedule, self.schedule)

    def action_type(self) -> Channel:
        """Value of ``action_type`` in the events table: ``mms`` for what a sender of MMS sends."""
        return "mms" if self.message.media_urls else self.sender.channel

    @field_validator("campaign_id")
    @classmethod
    def _check_campaign_id(cls, value: str) -> str:
        if not _CAMPAIGN_ID.fullmatch(value):
            raise problem(
                f"{value!r} is no campaign id. Use lower-case letters, digits and underscores, "
                "at most 100; a file has to be named so."
            )
        return value

    @field_validator("message")
    @classmethod
    def _check_channel(cls, value: Message, info: ValidationInfo) -> Message:
        sender = info.data.get("sender")
        if sender is None:
            return value
        if value.media_urls and sender.channel == "sms":
            raise problem(
                f"media_urls make an MMS, and sender {sender.name!r} sends sms. "
                "Name a sender with channel: mms, or remove media_urls.",
                at="media_urls",
            )
        if sender.channel == "mms" and not value.media_urls and value.content_sid is None:
            raise problem(
                f"sender {sender.name!r} sends mms, and Twilio would send this message without media as SMS. "
                "Add media_urls, or name a sender with channel: sms."
            )
        return value

    @field_validator("shorten_urls")
    @classmethod
    def _check_shorten_urls(cls, value: bool, info: ValidationInfo) -> bool:
        sender = info.data.get("sender")
        if value and sender is not None and not sender.is_messaging_service:
            raise problem(
                f"Twilio shortens links for Messaging Services only, and sender {sender.name!r} is a number. "
                "Name a sender with messaging_service_sid, or remove shorten_urls."
            )
        return value

    @field_validator("schedule")
    @classmethod
    def _check_schedule(cls, value: str | None) -> str | None:
        if value is not None and value not in _PRESETS:
            _check_cron(value)
        return value

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            close = get_close_matches(value, available_timezones(), n=1)
            hint = f"Did you mean {close[0]!r}?" if close else "Write one such as Europe/Berlin or UTC."
            raise problem(f"{value!r} is not an IANA time zone. {hint}") from None
        return value

    @field_validator("start_date", mode="before")
    @classmethod
    def _refuse_numbers(cls, value: object) -> object:
        # Pydantic takes a number, as a text too, for seconds since 1970: '20270301' would be long past.
        if isinstance(value, int | float) or (isinstance(value, str | bytes) and _is_number(value)):
            raise problem(f"{value!r} is not a date and time. {_A_DATE}")
        return value

    @field_validator("start_date")
    @classmethod
    def _check_start_date(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            value = value.replace(tzinfo=ZoneInfo(info.data.get("timezone", "UTC")))
        if MINYEAR < value.year < MAXYEAR:  # the first and the last may not exist in UTC
            value = value.astimezone(UTC)
        if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
            raise problem(f"the year {value.year} of UTC is none of {_FIRST_YEAR} to {_LAST_YEAR}. {_A_DATE}")
        return value


def _is_number(text: str | bytes) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_cron(value: str) -> None:
    fields = value.split()
    remedy = (
        f"Write five fields, minute hour day month weekday, such as '0 9 * * 1', or a preset: {', '.join(_PRESETS)}."
    )
    if len(fields) != _CRON_FIELDS or any(field[:1].upper() in {"R", "H"} for field in fields):
        raise problem(f"{value!r} is not a cron expression. {remedy}")
    try:
        croniter(value).get_next()
    except (CroniterError, ValueError) as error:
        # It begins with the expression itself, in brackets.
        reason = str(error).removeprefix(f"[{value}] ")
        raise problem(f"{value!r} is not a cron expression ({reason}). {remedy}") from None
