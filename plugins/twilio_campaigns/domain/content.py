"""What a message says, as people write it: texts are templates, media are URLs."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from twilio_campaigns.domain.spec import Spec, problem
from twilio_campaigns.domain.template import TemplateError, check_template, is_template

_CONTENT_SID: Final = re.compile(r"HX[0-9a-fA-F]{32}")
#: Twilio's limits for one message (create parameters Body and MediaUrl).
MAX_BODY_CHARACTERS: Final = 1600
MAX_MEDIA_URLS: Final = 10
_MAX_URL_CHARACTERS: Final = 2048


def is_web_url(text: str) -> bool:
    """Whether Twilio could fetch this: http or https, a host, nothing that an address has to encode."""
    if len(text) > _MAX_URL_CHARACTERS or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an IPv6 host that is none
        return False


def _check_template(source: str) -> str:
    try:
        check_template(source)
    except TemplateError as error:
        raise problem(str(error), line=error.line) from None
    return source


def _check_url(url: str) -> str:
    if not is_template(url) and not is_web_url(url):
        raise problem(f"{url!r} is not a web address. Write a public URL that begins with https://.")
    return url


_Text = Annotated[str, AfterValidator(_check_template)]
_MediaUrl = Annotated[_Text, AfterValidator(_check_url)]


class Message(Spec):
    """What is sent; every text is a Jinja template over the columns of the segment, and ``campaign_id``.

    :param body: text of the message; may be empty where there is media.
    :param content_sid: ``HX…`` of a Content template, instead of ``body`` and ``media_urls``.
    :param content_variables: values of the Content template's placeholders.
    :param media_urls: up to ten public URLs of an MMS.
    """

    body: Annotated[_Text | None, Field(description="Text of the message.")] = None
    content_sid: Annotated[
        str | None,
        Field(
            description="HX… SID of a Content template, instead of body and media_urls.",
            json_schema_extra={"pattern": f"^{_CONTENT_SID.pattern}$"},
        ),
    ] = None
    content_variables: Annotated[
        dict[str, _Text],
        Field(default_factory=dict, description="Values of the Content template's placeholders."),
    ]
    media_urls: Annotated[
        tuple[_MediaUrl, ...],
        Field(max_length=MAX_MEDIA_URLS, description="Public URLs of the media of an MMS."),
    ] = ()

    @field_validator("body")
    @classmethod
    def _check_body(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise problem("the body is empty. Write the text of the message.")
        return value

    @field_validator("content_sid")
    @classmethod
    def _check_content_sid(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            return None
        if not _CONTENT_SID.fullmatch(value):
            raise problem(
                f"{value!r} is not a Content SID. Copy it from Twilio's Content Template Builder: HX and 32 hex digits."
            )
        if info.data.get("body"):
            raise problem("content_sid and body exclude one another. Remove one of them.")
        return value

    @field_validator("content_variables")
    @classmethod
    def _check_content_variables(cls, value: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if value and info.data.get("content_sid", "") is None:
            raise problem(
                "content_variables fill a Content template, and none is named. "
                "Add content_sid, or write the text into body."
            )
        return value

    @field_validator("media_urls")
    @classmethod
    def _check_media_urls(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if value and info.data.get("content_sid"):
            raise problem("media_urls and content_sid exclude one another. Put the media into the Content template.")
        return value

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        if self.body is None and self.content_sid is None and not self.media_urls:
            raise problem("the message says nothing. Add body, content_sid or media_urls.")
        return self
