"""Who must not be texted by whom: facts, and the state that follows from them in whatever order they arrive. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.errors import ErrorClass, error_entry
from twilio_campaigns.domain.ledger import greatest

if TYPE_CHECKING:
    from datetime import datetime

#: Scope of what concerns every sender.
EVERY_SENDER: Final = "*"


class Reason(StrEnum):
    """Why a number is suppressed. People may write others into the table, such as ``manual``: we never change those."""

    OPT_OUT = "opt_out"  # the person said so, to a sender
    BAD_NUMBER = "bad_number"  # nobody can text it
    OPT_IN = "opt_in"  # a START that no opt-out preceded; always lifted, so it suppresses nobody


@dataclass(frozen=True, slots=True)
class Suppression:
    """A row of ``suppressions``, and the form of each single fact as well: a STOP, a START, a refusal.

    :param to_number: whom it concerns, E.164.
    :param scope: whose texts it concerns: a Messaging Service, a number, or :data:`EVERY_SENDER`.
    :param source: ``inbound:<SID>`` or ``twilio:<code>``.
    :param suppressed_at: when it happened, not when we learnt of it.
    :param lifted_at: when the person came back.
    """

    to_number: str
    scope: str
    reason: Reason
    source: str
    suppressed_at: datetime
    lifted_at: datetime | None = None

    @classmethod
    def start(cls, to_number: str, scope: str, source: str, at: datetime) -> Suppression:
        """Give the fact that somebody wrote START.

        It is kept even where there is nothing to lift: lists give the newest message first, and the older STOP that
        shows up afterwards has to find it.
        """
        return cls(to_number, scope, Reason.OPT_IN, source, at, at)

    def merged(self, other: Suppression) -> Suppression:
        """Give the state after two facts of the same number and scope; the rule of the warehouse's upsert.

        The last opt-out counts, and it is lifted by the last START if that is younger; a tie is an opt-out.
        Commutative, associative and idempotent.
        """
        last = max(self, other, key=_age)
        lifted_at = greatest(self.lifted_at, other.lifted_at)
        if last.reason is not Reason.OPT_IN and lifted_at is not None and lifted_at <= last.suppressed_at:
            lifted_at = None
        return replace(last, lifted_at=lifted_at)


def _age(fact: Suppression) -> tuple[bool, datetime, str]:
    return fact.reason is not Reason.OPT_IN, fact.suppressed_at, fact.source


def suppression_of(code: int | None, *, to_number: str | None, sender_scope: str, at: datetime) -> Suppression | None:
    """Give what follows from an error code of a message; `None` where its number may be texted again.

    An opt-out concerns the sender that was refused, a number that cannot be texted every sender.

    :param sender_scope: scope of the sender of the message.
    :param at: when the message was handed over: a START that is younger stands.
    """
    entry = error_entry(code)
    if entry is None or not entry.suppresses or to_number is None:
        return None
    is_opt_out = entry.error_class is ErrorClass.OPT_OUT
    return Suppression(
        to_number,
        sender_scope if is_opt_out else EVERY_SENDER,
        Reason.OPT_OUT if is_opt_out else Reason.BAD_NUMBER,
        f"twilio:{entry.code}",
        at,
    )
