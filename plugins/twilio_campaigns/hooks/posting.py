"""Posting one message that no ledger keeps: what its answer means to a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twilio_campaigns.domain.exceptions import (
    TwilioRejectedError,
    TwilioUnavailableError,
    TwilioUnknownOutcomeError,
)
from twilio_campaigns.gateway.outcome import OutcomeKind

if TYPE_CHECKING:
    from twilio_campaigns.domain.exceptions import TwilioCampaignsError
    from twilio_campaigns.domain.message import Observation, OutgoingMessage
    from twilio_campaigns.gateway.client import TwilioGateway
    from twilio_campaigns.gateway.outcome import Outcome


async def post(twilio: TwilioGateway, message: OutgoingMessage, *, if_unknown: str = "") -> Observation:
    """Post a message exactly once; give what Twilio says of it.

    :param twilio: open.
    :param if_unknown: what else to do where nobody knows whether Twilio has it.
    :raises TwilioUnavailableError: nothing was created; trying again is safe.
    :raises TwilioUnknownOutcomeError: Twilio may or may not have it; trying again may text somebody twice.
    :raises TwilioRejectedError: refused.
    """
    outcome = await twilio.create(message)
    if outcome.kind is OutcomeKind.ACCEPTED and outcome.observation is not None:
        return outcome.observation
    raise _error(outcome, if_unknown)


def _error(outcome: Outcome, if_unknown: str) -> TwilioCampaignsError:
    known = (outcome.code, outcome.http_status, outcome.request_id, outcome.retry_after)
    if outcome.kind in {OutcomeKind.THROTTLED, OutcomeKind.RELEASED}:
        return TwilioUnavailableError(f"Twilio did not take the message. {outcome.detail}", *known)
    if outcome.kind is OutcomeKind.UNKNOWN:
        return TwilioUnknownOutcomeError(
            f"{outcome.detail} Whether Twilio has the message is not known, so it is not sent again. "
            "Look for it in the Twilio Console's message log, by recipient and time; it may show there hours "
            f"late. {if_unknown}".rstrip(),
            *known,
        )
    return TwilioRejectedError(f"Twilio refused the message. {outcome.detail}", *known)
