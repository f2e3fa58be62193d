"""What stands behind `#` in a webhook's URL: Twilio's connection overrides, such as `#rc=3&rp=5xx,ct`.

Documented at twilio.com/docs/usage/webhooks/webhooks-connection-overrides. They tell Twilio how long to wait and what
to try again; they never leave it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, urlsplit

#: What can go wrong with a request, in Twilio's words: an answer of this class, no connection (or one that ends before
#: the answer, which Twilio does not describe and we take for the same), no answer in time.
ALL: Final = frozenset({"4xx", "5xx", "ct", "rt"})
_DEFAULT: Final = frozenset({"ct"})
_MAX_LENGTH: Final = 4000
#: Limits of each override: `rc` counts, the others are milliseconds.
_LIMITS: Final = {"ct": (100, 10_000), "rt": (100, 15_000), "tt": (100, 15_000), "rc": (0, 5)}
_WHOLE: Final = re.compile(r"[0-9]{1,6}")
#: Everything but the fragment; characters that would have to be encoded are not in it, nor hosts with an underscore.
_URL: Final = re.compile(r"https?://([^@/?#\s]*@)?[A-Za-z0-9.\-\[\]:]+([/?][\x21-\x7e]*)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Overrides:
    """How a webhook is posted.

    :param connect: seconds for the connection.
    :param read: seconds for the answer.
    :param total: seconds for all tries together.
    :param retries: further tries after the first.
    :param policy: what is tried again, out of :data:`ALL`.
    """

    connect: float = 5.0
    read: float = 15.0
    total: float = 15.0
    retries: int = 1
    policy: frozenset[str] = _DEFAULT


def is_url(url: str) -> bool:
    """Whether Twilio would take this for a webhook; 21609 otherwise."""
    address = split(url)[0]
    if len(url) > _MAX_LENGTH or not _URL.fullmatch(address):
        return False
    try:
        parts = urlsplit(address)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def split(url: str) -> tuple[str, str]:
    """Part what is requested and signed from what is for Twilio alone."""
    address, _, fragment = url.partition("#")
    return address, fragment


@lru_cache(maxsize=64)  # nearly always one, whatever the query says
def read_overrides(fragment: str) -> Overrides:
    """Read overrides; one that makes no sense counts as not given (Twilio logs 11243 and its like)."""
    given = dict(parse_qsl(fragment))
    numbers = {name: int(value) for name, value in given.items() if _is_within(name, value)}
    wanted = frozenset(given.get("rp", "ct").lower().split(","))
    policy = ALL if "all" in wanted else wanted & ALL or _DEFAULT
    return Overrides(
        connect=numbers.get("ct", 5000) / 1000,
        read=numbers.get("rt", 15_000) / 1000,
        total=numbers.get("tt", 15_000) / 1000,
        retries=numbers.get("rc", 1),
        policy=policy,
    )


def _is_within(name: str, value: str) -> bool:
    if name not in _LIMITS or not _WHOLE.fullmatch(value):
        return False
    least, most = _LIMITS[name]
    return least <= int(value) <= most
