"""How many text segments ("parts") a body takes: the unit of price and throughput.

Rules: GSM 03.38 for the alphabet, 3GPP 23.040 for the six octets of header that every part of a longer text
loses; figures as Twilio documents them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Reached by an escape, so they cost two septets.
_EXTENSION: Final = frozenset("\f^{}\\[~]|€")


class Encoding(StrEnum):
    """How the text travels."""

    GSM7 = "GSM-7"
    UCS2 = "UCS-2"


_SINGLE: Final = {Encoding.GSM7: 160, Encoding.UCS2: 70}
_JOINED: Final = {Encoding.GSM7: 153, Encoding.UCS2: 67}
_DOTS: Final = "..."


@dataclass(frozen=True, slots=True)
class Parts:
    """What a body takes.

    :param encoding: GSM-7, or UCS-2 as soon as one character needs it.
    :param units: septets or UTF-16 code units.
    :param parts: text segments, at least 1.
    """

    encoding: Encoding
    units: int
    parts: int


def count_parts(body: str) -> Parts:
    """Count the text segments of a body as it is, without smart encoding.

    Where a text is split, neither an escaped character nor a surrogate pair is torn apart: a part that has room
    for only half of one ends early.
    """
    extended = _EXTENSION.intersection(body)
    if _BASIC.issuperset(body) and not extended:
        return _plain(Encoding.GSM7, len(body))
    if (_BASIC | _EXTENSION).issuperset(body):
        return _counted(Encoding.GSM7, [2 if character in extended else 1 for character in body])
    if body.isascii() or max(body) <= "\uffff":
        return _plain(Encoding.UCS2, len(body))
    return _counted(Encoding.UCS2, [2 if character > "\uffff" else 1 for character in body])


def _plain(encoding: Encoding, units: int) -> Parts:
    if units <= _SINGLE[encoding]:
        return Parts(encoding, units, 1)
    return Parts(encoding, units, -(-units // _JOINED[encoding]))


def _counted(encoding: Encoding, costs: list[int]) -> Parts:
    units = sum(costs)
    if units <= _SINGLE[encoding]:
        return Parts(encoding, units, 1)
    parts, room = 1, _JOINED[encoding]
    for cost in costs:
        if cost > room:
            parts, room = parts + 1, _JOINED[encoding]
        room -= cost
    return Parts(encoding, units, parts)


def shortened(body: str, max_parts: int) -> str:
    """Cut a body that takes more parts than it may, and end it with three dots, which every alphabet has.

    :param max_parts: at least 1.
    """
    if count_parts(body).parts <= max_parts:
        return body
    # Longer texts take no fewer parts: the longest one that fits lies between one that does and one that does not.
    fits, too_long = 0, len(body)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if count_parts(body[:middle].rstrip() + _DOTS).parts <= max_parts:
            fits = middle
        else:
            too_long = middle
    return body[:fits].rstrip() + _DOTS
