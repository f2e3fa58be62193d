"""A text message for whoever wants to know how a task or a DAG went."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseNotifier

from twilio_campaigns.domain.exceptions import (
    ConfigurationError,
    TwilioCampaignsError,
    TwilioUnknownOutcomeError,
)
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.parts import shortened
from twilio_campaigns.domain.phone import InvalidNumberError, parse_phone
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.hooks.posting import post
from twilio_campaigns.hooks.twilio import TwilioHook, run_async
from twilio_campaigns.notifications.told import Told

if TYPE_CHECKING:
    from collections.abc import Sequence

    import jinja2
    from airflow.sdk import Context

    from twilio_campaigns.gateway.settings import TwilioSettings

#: A text of more parts costs more than it says, and Twilio takes 1,600 characters at most (error 21617).
MOST_PARTS: Final = 10
_BETWEEN: Final = re.compile(r"[,;\n]")


class TwilioNotifier(BaseNotifier):
    """Text people when a task or a DAG fails, succeeds, is retried or misses its deadline.

    ::

        BashOperator(
            task_id="load",
            bash_command="exit 1",
            on_failure_callback=TwilioNotifier(
                to="{{ var.value.on_call }}",
                messaging_service_sid="MG0123456789abcdef0123456789abcdef",
                body="{{ ti.dag_id }}.{{ ti.task_id }} failed, try {{ ti.try_number }}.",
            ),
        )

    Each number is asked for exactly once per callback. What Twilio refuses, or does not answer, is an error in the log
    and nothing else: a text that cannot be sent changes nothing about the task. A callback that Airflow makes a second
    time for the same try and state of a task texts nobody again, see :class:`~.told.Told` for how far that goes.

    :param to: one number or several, as a list or separated by commas; E.164, or as people write them with
        ``default_region``. (templated)
    :param body: the text. (templated)
    :param from_number: sender: E.164, short code or alphanumeric sender. (templated)
    :param messaging_service_sid: ``MG…``; instead of ``from_number``. (templated)
    :param max_parts: text segments, up to 10; a longer text is cut.
    :param default_region: ISO country code for numbers without country code.
    :param twilio_conn_id: the Twilio connection. (templated)
    """

    template_fields: Sequence[str] = ("to", "body", "from_number", "messaging_service_sid", "twilio_conn_id")

    def __init__(
        self,
        *,
        to: str | Sequence[str],
        body: str,
        from_number: str | None = None,
        messaging_service_sid: str | None = None,
        max_parts: int = 2,
        default_region: str | None = None,
        twilio_conn_id: str = TwilioHook.default_conn_name,
        **kwargs: Any,  # noqa: ANN401 - BaseNotifier's own
    ) -> None:
        super().__init__(**kwargs)
        self.to = to
        self.body = body
        self.from_number = from_number
        self.messaging_service_sid = messaging_service_sid
        self.max_parts = max_parts
        self.default_region = default_region
        self.twilio_conn_id = twilio_conn_id
        self._templates = {name: getattr(self, name) for name in self.template_fields}

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """Render from the templates.

        Airflow puts the first rendering into their place; where one process makes the callbacks of several tasks, the
        next one would send it once more.
        """
        for name, template in self._templates.items():
            setattr(self, name, template)
        super().render_template_fields(context, jinja_env)

    def notify(self, context: Context) -> None:
        """Text everybody; log what cannot be sent."""
        told = Told(context, self._templates)
        if told.is_known():
            self.log.info("This has been texted already; nobody is texted again.")
            return
        try:
            texted = run_async(self._send(TwilioHook(self.twilio_conn_id).get_settings()))
        except TwilioCampaignsError as error:
            self.log.error("Nobody was texted: %s", error)  # noqa: TRY400 - it says all
            return
        if texted:
            told.remember()

    async def async_notify(self, context: Context) -> None:  # noqa: ARG002 - Airflow hands over an empty one
        """Text everybody, from a triggerer: there Airflow names no task, so nothing is known of earlier callbacks."""
        try:
            await self._send(await TwilioHook(self.twilio_conn_id).aget_settings())
        except TwilioCampaignsError as error:
            self.log.error("Nobody was texted: %s", error)  # noqa: TRY400 - it says all

    async def _send(self, settings: TwilioSettings) -> int:
        """Text everybody once; whom Twilio refuses keeps the others from nothing.

        :return: how many have, or may have, a message.
        :raises ConfigurationError: before anything is sent, for what only a person can mend.
        """
        messages = self._messages()
        texted = 0
        async with TwilioGateway(settings, max_connections=1) as twilio:
            for number, message in enumerate(messages, 1):
                try:
                    seen = await post(twilio, message)
                except TwilioCampaignsError as error:
                    texted += isinstance(error, TwilioUnknownOutcomeError)
                    self.log.error("Recipient %d of %d: %s", number, len(messages), error)  # noqa: TRY400 - the same
                else:
                    texted += 1
                    self.log.info("Recipient %d of %d: Twilio accepted message %s.", number, len(messages), seen.sid)
        return texted

    def _messages(self) -> list[OutgoingMessage]:
        """Check what the templates came to."""
        if not self.from_number and not self.messaging_service_sid:
            raise ConfigurationError("No sender. Give from_number or messaging_service_sid.")
        if not 1 <= self.max_parts <= MOST_PARTS:
            raise ConfigurationError(f"max_parts is {self.max_parts}. Use a number from 1 to {MOST_PARTS}.")
        body = str(self.body).strip()
        if not body:
            raise ConfigurationError("body is empty. Write what people should know.")
        return [
            OutgoingMessage(
                to_number=number,
                from_number=self.from_number or None,
                messaging_service_sid=self.messaging_service_sid or None,
                body=shortened(body, self.max_parts),
            )
            for number in self._numbers()
        ]

    def _numbers(self) -> list[str]:
        """Give the recipients, each once."""
        written = _BETWEEN.split(self.to) if isinstance(self.to, str) else [str(number) for number in self.to]
        wanted = [number.strip() for number in written if number.strip()]
        if not wanted:
            raise ConfigurationError("to names nobody. Give at least one number.")
        try:
            return list(dict.fromkeys(parse_phone(number, self.default_region).e164 for number in wanted))
        except InvalidNumberError:
            raise ConfigurationError(
                "to has something that is not a valid phone number. Write each as +15005550006, separated by commas, "
                "or give default_region."
            ) from None
