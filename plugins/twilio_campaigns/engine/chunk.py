"""One claimed chunk while it is posted: what is known of each of its rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from twilio_campaigns.gateway.outcome import OutcomeKind
from twilio_campaigns.warehouse.outcomes import Outcomes

if TYPE_CHECKING:
    from uuid import UUID

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.gateway.outcome import Outcome
    from twilio_campaigns.warehouse.ledger import Claim


@dataclass(slots=True)
class Tally:
    """What one attempt at a batch has done so far.

    :param refused_codes: how many were refused with which of Twilio's error codes.
    """

    accepted: int = 0
    refused: int = 0
    released: int = 0
    unknown: int = 0
    moved_aside: int = 0
    refused_codes: Counter[int | None] = field(default_factory=Counter)

    def add(self, outcomes: Outcomes) -> None:
        """Count one chunk."""
        self.accepted += len(outcomes.accepted)
        self.refused += len(outcomes.refused)
        self.refused_codes.update(outcomes.refused.values())
        self.released += len(outcomes.released)
        self.unknown += len(outcomes.unknown)


class Chunk:
    """The rows of one claim. Whatever has been posted is unknown until an answer says otherwise.

    :param claim: what was claimed.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim_id = claim.claim_id
        self.rows = claim.rows
        self._accepted: dict[UUID, Observation] = {}
        self._refused: dict[UUID, int | None] = {}
        self._released: list[UUID] = []
        self._unknown: set[UUID] = set()
        self._closed: Outcomes | None = None

    def begin(self, key: UUID) -> bool:
        """Take note that a row is about to be posted; `False` if it must not be: others may claim it by now."""
        if self._closed is not None:
            return False
        self._unknown.add(key)
        return True

    def put(self, key: UUID, outcome: Outcome) -> None:
        """Take note of an answer."""
        if outcome.kind is OutcomeKind.UNKNOWN:
            return
        self._unknown.discard(key)
        if outcome.kind is OutcomeKind.ACCEPTED and outcome.observation is not None:
            self._accepted[key] = outcome.observation
        elif outcome.kind is OutcomeKind.REFUSED:
            self._refused[key] = outcome.code
        else:
            self._released.append(key)

    def close(self) -> Outcomes:
        """Give what is known of every row; what was never posted is released, and from now on nothing is posted."""
        if self._closed is None:
            known = {*self._accepted, *self._refused, *self._released, *self._unknown}
            never_posted = [row.key for row in self.rows if row.key not in known]
            released = [*self._released, *never_posted]
            self._closed = Outcomes(self._accepted, self._refused, released, list(self._unknown))
        return self._closed
