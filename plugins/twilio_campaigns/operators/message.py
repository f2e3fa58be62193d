"""One message in anybody's DAG."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.sdk import BaseOperator

from twilio_campaigns.domain.console_urls import message_log_url
from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.phone import InvalidNumberError, parse_phone
from twilio_campaigns.hooks.errors import no_retry
from twilio_campaigns.hooks.posting import post
from twilio_campaigns.hooks.twilio import TwilioHook, run_async
from twilio_campaigns.links.console import TwilioMessageLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.gateway.client import TwilioGateway

#: Twilio's limits (TWILIO_FACTS §1.1; errors 21617 and 21623).
MAX_BODY: Final = 1600
MAX_MEDIA: Final = 10


class TwilioSendMessageOperator(BaseOperator):
    """Send one SMS or MMS.

    Twilio is asked exactly once per try of the task. Where its answer proves that nothing was created, the
    task may be retried; where the outcome is unknown it fails for good, because a retry might text somebody
    twice. A worker that dies in the middle is Airflow's to retry: leave ``retries`` at 0 where a second text
    would hurt, or send a campaign, which keeps a ledger.

    Returns ``{"sid": …, "status": …}``, without the number.

    :param to: recipient; E.164, or as people write it with ``default_region``. (templated)
    :param body: the text, up to 1,600 characters. (templated)
    :param from_number: sender: E.164, short code or alphanumeric sender. (templated)
    :param messaging_service_sid: ``MG…``; instead of ``from_number``, or with one of its numbers. (templated)
    :param media_url: one public URL or up to ten: an MMS. (templated)
    :param content_sid: ``HX…`` of a Content template. (templated)
    :param content_variables: the template's variables, as a mapping or as JSON text. (templated)
    :param default_region: ISO country code for numbers without country code.
    :param twilio_conn_id: the Twilio connection. (templated)
    """

    template_fields: Sequence[str] = (
        "to",
        "body",
        "from_number",
        "messaging_service_sid",
        "media_url",
        "content_sid",
        "content_variables",
        "twilio_conn_id",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"content_variables": "json"}
    ui_color = "#f9d7dc"
    operator_extra_links = (TwilioMessageLink(),)

    def __init__(
        self,
        *,
        to: str,
        body: str | None = None,
        from_number: str | None = None,
        messaging_service_sid: str | None = None,
        media_url: str | Sequence[str] | None = None,
        content_sid: str | None = None,
        content_variables: str | dict[str, Any] | None = None,
        default_region: str | None = None,
        twilio_conn_id: str = TwilioHook.default_conn_name,
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's own
    ) -> None:
        super().__init__(**kwargs)
        self.to = to
        self.body = body
        self.from_number = from_number
        self.messaging_service_sid = messaging_service_sid
        self.media_url = media_url
        self.content_sid = content_sid
        self.content_variables = content_variables
        self.default_region = default_region
        self.twilio_conn_id = twilio_conn_id

    def execute(self, context: Context) -> dict[str, str]:
        """Send the message.

        :raises TwilioUnavailableError: nothing was created; trying again is safe.
        :raises AirflowFailException: wrong parameters, refused by Twilio, or outcome unknown.
        """
        with no_retry():
            message = self._message()
            gateway = TwilioHook(self.twilio_conn_id).gateway(max_connections=1)
            seen = run_async(_post(gateway, message))
        TwilioMessageLink().keep(self, context, message_log_url(seen.sid, gateway.settings.region))
        self.log.info("Twilio accepted message %s, status %s.", seen.sid, seen.provider_status)
        return {"sid": seen.sid, "status": seen.provider_status}

    def _message(self) -> OutgoingMessage:
        """Check what the templates came to; Twilio would charge for some mistakes and garble others."""
        if not self.from_number and not self.messaging_service_sid:
            raise ConfigurationError("No sender. Give from_number or messaging_service_sid.")
        media = tuple(filter(None, [self.media_url] if isinstance(self.media_url, str) else self.media_url or ()))
        if not (self.body or media or self.content_sid):
            raise ConfigurationError("Nothing to send. Give body, media_url or content_sid.")
        if len(self.body or "") > MAX_BODY:
            raise ConfigurationError(f"body has {len(self.body or '')} characters; Twilio takes {MAX_BODY}.")
        if len(media) > MAX_MEDIA:
            raise ConfigurationError(f"media_url has {len(media)} addresses; Twilio takes {MAX_MEDIA}.")
        return OutgoingMessage(
            to_number=self._number(),
            from_number=self.from_number or None,
            messaging_service_sid=self.messaging_service_sid or None,
            body=self.body or None,
            media_urls=media,
            content_sid=self.content_sid or None,
            content_variables=self._variables(),
        )

    def _number(self) -> str:
        try:
            return parse_phone(str(self.to), self.default_region).e164
        except InvalidNumberError:
            raise ConfigurationError(
                "to is not a valid phone number. Write it as +15005550006, or give default_region."
            ) from None

    def _variables(self) -> str | None:
        if not self.content_variables:
            return None
        if not self.content_sid:
            raise ConfigurationError("content_variables need a content_sid.")
        variables = self.content_variables
        text = variables if isinstance(variables, str) else json.dumps(variables)
        try:
            is_object = isinstance(json.loads(text), dict)
        except ValueError:
            is_object = False
        if not is_object:
            raise ConfigurationError('content_variables are not a JSON object such as {"1": "Ada"}.')
        return text


async def _post(gateway: TwilioGateway, message: OutgoingMessage) -> Observation:
    async with gateway as twilio:
        return await post(twilio, message, if_unknown="Only if it is not there, clear this task.")
