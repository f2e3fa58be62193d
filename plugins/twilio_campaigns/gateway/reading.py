"""How the answer to a read is judged, and how often a read is tried again. A create is never repeated."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.errors import error_entry
from twilio_campaigns.domain.exceptions import (
    TwilioCampaignsError,
    TwilioRejectedError,
    TwilioUnavailableError,
)
from twilio_campaigns.gateway.outcome import (
    FORBIDDEN,
    TOO_MANY_REQUESTS,
    UNAUTHORIZED,
    request_id,
    retry_after,
)
from twilio_campaigns.gateway.resource import error_code

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twilio.http.response import Response

OK: Final = 200
BAD_REQUEST: Final = 400
REQUEST_TIMEOUT: Final = 408
SERVER_ERROR: Final = 500
#: "Page token is invalid": it has expired under a list that took long.
CODE_PAGE_TOKEN: Final = 21481


@dataclass(frozen=True, slots=True)
class Patience:
    """When to try a read again.

    :param tries: calls in all, the first included.
    :param first_wait: seconds before the second call; doubled each time.
    :param longest_wait: upper limit of one wait, also of what ``Retry-After`` asks for.
    :param sleep: waits; a test replaces it.
    :param jitter: a number in [0, 1); spreads the waits of many workers over half to all of each step.
    """

    tries: int = 5
    first_wait: float = 0.5
    longest_wait: float = 30.0
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random

    def wait_after(self, attempt: int, asked_for: float | None) -> float | None:
        """Seconds to wait after this attempt; ``None`` when it was the last one.

        :param attempt: number of the call that failed, from 1.
        :param asked_for: seconds that the answer asks for; the wait is no shorter, up to the limit.
        """
        if attempt >= self.tries:
            return None
        step = min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)
        wait = step * (0.5 + self.jitter() / 2.0)
        return max(wait, min(asked_for or 0.0, self.longest_wait))


class PageTokenExpiredError(TwilioCampaignsError):
    """A list cannot be continued where it was left; it starts again."""


def error_of_read(answer: Response) -> TwilioCampaignsError | None:
    """Judge the answer to a read; ``None`` when it is what was asked for.

    429, 408 and 5xx pass: :class:`TwilioUnavailableError`. All else is refused for good:
    :class:`TwilioRejectedError`, with what to do.
    """
    status = answer.status_code
    if status == OK:
        return None
    code = error_code(answer.text)
    if status == BAD_REQUEST and code == CODE_PAGE_TOKEN:
        return PageTokenExpiredError("Twilio's page token has expired.")
    known = (code, status, request_id(answer.headers), retry_after(answer.headers))
    if status in {TOO_MANY_REQUESTS, REQUEST_TIMEOUT} or status >= SERVER_ERROR:
        return TwilioUnavailableError("Twilio is overloaded or down. Try again later.", *known)
    return TwilioRejectedError(_remedy(status, code), *known)


def _remedy(status: int, code: int | None) -> str:
    if status == UNAUTHORIZED:
        return (
            "Twilio does not accept these credentials. Check the connection's Account SID and Auth Token, "
            "or its API key and secret, and that they belong to the region in use."
        )
    entry = error_entry(code)
    if entry is not None:
        return f"Twilio refuses this request. {entry.comment}"
    if status == FORBIDDEN:
        return "Twilio forbids this request. Check that the account is active and the API key may do this."
    return (
        f"The answer, HTTP {status}, is not one of Twilio's API. "
        "Check the API base URL in the Twilio connection, and what stands between here and there."
    )
