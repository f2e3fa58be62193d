"""Twilio's error codes: what each means to us, in one table (``data/twilio_errors.csv``).

Twilio adds codes without notice, so an unknown code is normal and gets a default.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class ErrorClass(StrEnum):
    """Kinds of errors, by what mends them."""

    ACCOUNT = "account"
    BLOCKED = "blocked"
    CARRIER = "carrier"
    CHANNEL = "channel"
    CONFLICT = "conflict"
    CONTENT = "content"
    EXPIRED = "expired"
    FRAUD = "fraud"
    GEO_PERMISSION = "geo_permission"
    INBOUND = "inbound"
    MEDIA = "media"
    OPT_OUT = "opt_out"
    QUEUE = "queue"
    QUIET_HOURS = "quiet_hours"
    RATE = "rate"
    RECIPIENT = "recipient"
    REGISTRATION = "registration"
    REQUEST = "request"
    ROUTING = "routing"
    SCHEDULING = "scheduling"
    SENDER = "sender"
    TRIAL = "trial"
    TWILIO = "twilio"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """Whom a refused create concerns."""

    MESSAGE = "message"  # this message; the next one may pass
    SENDER = "sender"  # every message of this sender
    ACCOUNT = "account"  # every message of this account
    RATE = "rate"  # nobody for good: slow down


@dataclass(frozen=True, slots=True)
class ErrorEntry:
    """One error code.

    :param code: Twilio's.
    :param name: stable and ours, snake_case; the events' ``error``.
    :param comment: one sentence that a person can act on; the events' ``comment``.
    :param error_class: what kind of remedy it needs.
    :param scope: whom a refused create concerns.
    :param refused: Twilio, a carrier or a policy refused the message (``rejected``); else delivery failed.
    :param suppresses: the number cannot or must not be texted again.
    """

    code: int
    name: str
    comment: str
    error_class: ErrorClass
    scope: Scope
    refused: bool
    suppresses: bool


#: Not Twilio's: a message of which nobody learnt whether Twilio has it before its window closed.
OUTCOME_UNKNOWN: Final = ErrorEntry(
    code=0,
    name="outcome_unknown",
    comment="Twilio's answer was lost and the message was never found; it may or may not have been sent.",
    error_class=ErrorClass.UNKNOWN,
    scope=Scope.MESSAGE,
    refused=True,
    suppresses=False,
)


def error_entry(code: int | None) -> ErrorEntry | None:
    """Look a code up; ``None`` for none, a default for one that we do not know."""
    if code is None:
        return None
    return all_entries().get(code) or _default(code)


def documentation_of(code: int) -> str:
    """Give the address of Twilio's own page about a code."""
    return f"https://www.twilio.com/docs/api/errors/{code}"


@lru_cache(maxsize=1)
def all_entries() -> Mapping[int, ErrorEntry]:
    """Every code that we know, by code."""
    with (files("twilio_campaigns.domain") / "data" / "twilio_errors.csv").open(encoding="utf-8") as table:
        entries = {int(row["code"]): _entry(row) for row in csv.DictReader(table)}
    return MappingProxyType(entries)


@lru_cache(maxsize=1024)
def _default(code: int) -> ErrorEntry:
    return ErrorEntry(
        code=code,
        name="unknown_error",
        comment=f"Twilio's error {code} is not in our table; its page in Twilio's error dictionary tells more.",
        error_class=ErrorClass.UNKNOWN,
        scope=Scope.MESSAGE,
        refused=False,
        suppresses=False,
    )


def _entry(row: Mapping[str, str]) -> ErrorEntry:
    return ErrorEntry(
        code=int(row["code"]),
        name=row["name"],
        comment=row["comment"],
        error_class=ErrorClass(row["error_class"]),
        scope=Scope(row["scope"]),
        refused=row["refused"] == "yes",
        suppresses=row["suppresses"] == "yes",
    )
