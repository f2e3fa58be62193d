"""What one create request came to: a pure function over the answer, or over its absence.

Twilio knows no idempotency key for messages, so this decides whether anyone is texted twice. The rule: a row
goes back to ``planned`` only where the request was certainly not processed, it is given up only where Twilio
itself refused it, and whatever is neither is ``UNKNOWN`` (PROTOCOLS.md §1, S3).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import aiohttp

from twilio_campaigns.domain.errors import Scope, error_entry
from twilio_campaigns.domain.status import Source
from twilio_campaigns.gateway.resource import (
    MalformedAnswerError,
    error_code,
    header,
    json_object,
    parse_date,
    parse_message,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twilio_campaigns.domain.message import Observation

CREATED: Final = 201
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
TOO_MANY_REQUESTS: Final = 429
#: Twilio's "Too Many Requests": the one answer that promises that the request was not processed.
CODE_TOO_MANY_REQUESTS: Final = 20429

#: Failures that aiohttp raises before the first byte of a request is written.
_NOT_SENT: Final = (
    aiohttp.ClientConnectorError,  # refused, unreachable, DNS, proxy connect, TLS
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientHttpProxyError,  # the proxy declined the tunnel
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


class OutcomeKind(StrEnum):
    """What the sender may conclude from an answer."""

    ACCEPTED = "accepted"  # Twilio gave a SID
    REFUSED = "refused"  # Twilio refuses this message; others may pass
    RELEASED = "released"  # certainly not processed: back to planned
    THROTTLED = "throttled"  # certainly not processed, and slow down
    STOPPED = "stopped"  # certainly not processed, and every other message would meet the same
    UNKNOWN = "unknown"  # may or may not exist at Twilio; never post again without looking


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one create request came to.

    :param kind: what may be concluded.
    :param observation: the created message, for ``ACCEPTED``.
    :param code: Twilio's error code, where Twilio gave one.
    :param http_status: HTTP status, where there was an answer.
    :param request_id: ``Twilio-Request-Id``, what Twilio's support asks for.
    :param retry_after: seconds that the answer asks to wait.
    :param detail: one sentence for a log or a report. Never a number or a body: Twilio's own messages
        contain both, so they are not used.
    """

    kind: OutcomeKind
    observation: Observation | None = None
    code: int | None = None
    http_status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None
    detail: str = ""


def outcome_of_answer(status: int, body: bytes | str, headers: Mapping[str, str]) -> Outcome:
    """Judge the answer to a create request.

    :param status: HTTP status.
    :param body: the whole body.
    :param headers: the answer's headers; any case.
    """
    if status == CREATED:
        return _outcome_of_created(body, headers)
    code = error_code(body)
    kind, detail = _judge_error(status, code)
    return Outcome(
        kind,
        code=code,
        http_status=status,
        request_id=request_id(headers),
        retry_after=retry_after(headers),
        detail=detail,
    )


def outcome_of_failure(error: BaseException, *, request_may_have_left: bool | None) -> Outcome:
    """Judge a request that got no answer.

    :param error: what was raised instead.
    :param request_may_have_left: whether a byte may have been written; ``None`` where nobody watched, then
        the kind of the error decides.
    """
    if request_may_have_left is None:
        request_may_have_left = not isinstance(error, _NOT_SENT)
    name = type(error).__name__
    if request_may_have_left:
        return Outcome(OutcomeKind.UNKNOWN, detail=f"No complete answer came ({name}).")
    return Outcome(OutcomeKind.RELEASED, detail=f"The request was not sent: no connection ({name}).")


def request_id(headers: Mapping[str, str]) -> str | None:
    """Twilio's id of the request."""
    return header(headers, "Twilio-Request-Id")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait, from either form of ``Retry-After``; ``None`` if it does not."""
    text = header(headers, "Retry-After")
    if text is None:
        return None
    if text.strip().isascii() and text.strip().isdigit():
        return float(text)
    until, now = parse_date(text), parse_date(header(headers, "Date") or "")
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _outcome_of_created(body: bytes | str, headers: Mapping[str, str]) -> Outcome:
    answered_at = parse_date(header(headers, "Date") or "")
    try:
        observation = parse_message(json_object(body) or {}, Source.SEND, answered_at=answered_at)
    except MalformedAnswerError as error:
        detail = f"Twilio answered 201, but the message cannot be read: {error}."
        return Outcome(OutcomeKind.UNKNOWN, http_status=CREATED, request_id=request_id(headers), detail=detail)
    return Outcome(
        OutcomeKind.ACCEPTED,
        observation=observation,
        code=observation.error_code,
        http_status=CREATED,
        request_id=request_id(headers),
    )


def _judge_error(status: int, code: int | None) -> tuple[OutcomeKind, str]:
    """Only a 4xx with Twilio's own code is Twilio's word; all else may come from anyone in between."""
    if code is None or not 400 <= status < 500:  # noqa: PLR2004 - the class of HTTP statuses
        return OutcomeKind.UNKNOWN, f"HTTP {status} does not say whether the message was created."
    entry = error_entry(code)
    detail = f"{entry.name}: {entry.comment}" if entry else f"Twilio error {code}."
    return _KIND_OF_SCOPE[_scope(status, code)], detail


_KIND_OF_SCOPE: Final = {
    Scope.MESSAGE: OutcomeKind.REFUSED,
    Scope.SENDER: OutcomeKind.STOPPED,
    Scope.ACCOUNT: OutcomeKind.STOPPED,
    Scope.RATE: OutcomeKind.THROTTLED,
}


def _scope(status: int, code: int) -> Scope:
    """Whom a refused create concerns: the error table's word, unless the HTTP status knows better."""
    if code == CODE_TOO_MANY_REQUESTS:
        return Scope.RATE
    # Refused credentials and an account that does not exist meet every message alike.
    if status in {UNAUTHORIZED, NOT_FOUND}:
        return Scope.ACCOUNT
    entry = error_entry(code)
    scope = entry.scope if entry else Scope.MESSAGE
    unnamed = entry is None or entry.name == "unknown_error"
    return Scope.ACCOUNT if status == FORBIDDEN and unnamed else scope
