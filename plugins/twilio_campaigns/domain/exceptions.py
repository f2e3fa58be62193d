"""Every error that this package raises, by what a caller can do about it.

::

    TwilioCampaignsError
    ├── TerminalError            trying again cannot help; a person has to act
    │   ├── ConfigurationError   a connection, a setting or a file is wrong
    │   │   └── CampaignFileError    a campaign, sender or segment file is wrong
    │   ├── AudienceError        a segment cannot be read or reached as an audience
    │   ├── TwilioRejectedError  Twilio refuses the account, the sender or the request
    │   └── RunPausedError       the run paused itself; nothing goes on before a person says so
    ├── TransientError           the same call may succeed later
    │   ├── TwilioUnavailableError   Twilio is overloaded, down or out of reach
    │   └── UnfinishedError          work is left; the message says how much and why
    └── TwilioUnknownOutcomeError    Twilio may or may not have the message; calling again may text twice
"""

from __future__ import annotations


class TwilioCampaignsError(Exception):
    """Root of this package's errors."""


class TerminalError(TwilioCampaignsError):
    """Trying again cannot help; a person has to act."""


class ConfigurationError(TerminalError):
    """A connection, a setting or a file is wrong; the message says which and what to do."""


class CampaignFileError(ConfigurationError):
    """A campaign, sender or segment file is wrong.

    :param problems: one line each: ``file:line: field: what is wrong. Remedy.``; of files, each is a
        :class:`~twilio_campaigns.domain.file_problems.Finding`.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type[CampaignFileError], tuple[str, ...]]:
        """Pickle by the problems: the message is derived."""
        return type(self), self.problems


class AudienceError(TerminalError):
    """A segment cannot be read, or not be reached in time; the message names what and the remedy."""


class RunPausedError(TerminalError):
    """The run paused itself because too much was refused; the message says what to look at and how to resume."""


class _TwilioAnswerError(TwilioCampaignsError):
    """What Twilio said, kept beside the message."""

    def __init__(
        self,
        message: str,
        code: int | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.http_status = http_status
        self.request_id = request_id
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[_TwilioAnswerError], tuple[object, ...]]:
        """Survive the way between processes: Airflow pickles what a task raises."""
        return type(self), (self.message, self.code, self.http_status, self.request_id, self.retry_after)

    def __str__(self) -> str:
        """Request id first: it is what Twilio's support asks for."""
        known = [
            f"{name} {value}"
            for name, value in (
                ("request", self.request_id),
                ("HTTP", self.http_status),
                ("Twilio error", self.code),
            )
            if value is not None
        ]
        return f"[{', '.join(known)}] {self.message}" if known else self.message


class TwilioRejectedError(_TwilioAnswerError, TerminalError):
    """Twilio refuses the account, the sender or the request as such; every message would meet the same.

    :param message: what was refused and what to do about it.
    :param code: Twilio's error code, if its answer had one.
    :param http_status: HTTP status of the answer.
    :param request_id: Twilio's ``Twilio-Request-Id``.
    :param retry_after: seconds that Twilio asked to wait, if it did.
    """


class TransientError(TwilioCampaignsError):
    """The same call may succeed later."""


class TwilioUnavailableError(_TwilioAnswerError, TransientError):
    """Twilio is overloaded, down or out of reach. Parameters as for :class:`TwilioRejectedError`."""


class TwilioUnknownOutcomeError(_TwilioAnswerError):
    """Twilio may or may not have the message. Parameters as for :class:`TwilioRejectedError`.

    Neither terminal nor transient: whether the message exists has to be looked up before anything is sent again.
    """


class UnfinishedError(TransientError):
    """Work is left over; the message says how much, why, and what happens next."""
