"""How a message lives: drawn once when it is created, from the seed and what the message is.

Shares and delays are invented but shaped like reality: most reports within seconds, a few hours late, some
countries without any, a percent refused before it leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from random import Random
from typing import Final

from twilio_campaigns.domain.countries import sends_receipts

HOUR: Final = 3600.0

#: Twilio's error codes by how often a message meets them; the rest is delivered.
_NEVER_SENT: Final = ((30034, 0.006), (30006, 0.004))
_UNDELIVERED: Final = ((30003, 0.025), (30005, 0.012), (30006, 0.008), (30007, 0.010), (30008, 0.010))
_LATE_SHARE: Final = 0.03
#: Shares of messages that a carrier never reports on although it usually does.
_SILENT_SHARE: Final = 0.005
#: Shares of messages whose price takes longer than six hours.
_SLOWLY_PRICED: Final = 0.1
_FAILED_PRICE: Final = 0.001
_SMS_PRICES: Final = {"US": 0.0079, "CA": 0.0079, "GB": 0.0463, "DE": 0.1056, "IN": 0.0834}
_USUAL_PRICE: Final = 0.0635
_MMS_PRICE: Final = 0.0200


@dataclass(slots=True)
class Life:
    """Moments of one message, in seconds after its life begins, and where it ends.

    :param sent: `None` for a message that never leaves.
    :param final: `None` where no report ever comes.
    :param final_status: `delivered`, `undelivered`, `failed`, or `sent` where no report comes.
    :param code: Twilio's error code of the end.
    :param price: in US dollars, positive.
    """

    queued: float
    sending: float
    sent: float | None
    final: float | None
    final_status: str
    code: int | None
    price: float
    priced: float

    def compressed(self, speed: float) -> Life:
        """Give the same life, lived `speed` times as fast."""
        if speed == 1.0:
            return self
        sent = None if self.sent is None else self.sent / speed
        final = None if self.final is None else self.final / speed
        return Life(
            self.queued / speed,
            self.sending / speed,
            sent,
            final,
            self.final_status,
            self.code,
            self.price,
            self.priced / speed,
        )


def has_opted_out(seed: int, to: str, share: float) -> bool:
    """Whether this person wants no texts: always the same answer, whatever was sent before."""
    digest = blake2b(f"{seed}|{to}|STOP".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


def draw_life(seed: int, to: str, body: str, ordinal: int, country: str, parts: int, *, mms: bool) -> Life:
    """Draw a life; the same arguments give the same one, whenever the message arrives.

    :param ordinal: how many messages this number had before.
    """
    digest = blake2b(f"{seed}|{to}|{ordinal}|{body}".encode(), digest_size=8).digest()
    random = Random(digest)  # noqa: S311 - a simulation
    queued = random.uniform(0.05, 0.4)
    sending = queued + random.uniform(0.1, 0.6)
    price = (_MMS_PRICE if mms else _SMS_PRICES.get(country, _USUAL_PRICE)) * (1 if mms else parts)
    slow = random.random() < _SLOWLY_PRICED
    priced = random.uniform(6 * HOUR, 22 * HOUR) if slow else random.uniform(60, 6 * HOUR)
    fate = random.random()
    for code, share in _NEVER_SENT:
        if fate < share:
            failed = sending + random.uniform(0.2, 3)
            return Life(queued, sending, None, failed, "failed", code, _FAILED_PRICE, failed + priced)
        fate -= share
    sent = sending + random.expovariate(1.0)
    final, status, code_or_none = _end(random, fate, sent, country)
    return Life(queued, sending, sent, final, status, code_or_none, price, max(sent, final or sent) + priced)


def _end(random: Random, fate: float, sent: float, country: str) -> tuple[float | None, str, int | None]:
    if not sends_receipts(country) or random.random() < _SILENT_SHARE:
        return None, "sent", None
    late = random.random() < _LATE_SHARE
    report = sent + (random.uniform(HOUR, 30 * HOUR) if late else 1 + random.expovariate(1 / 6))
    for code, share in _UNDELIVERED:
        if fate < share:
            return report + random.uniform(5, 600), "undelivered", code
        fate -= share
    return report, "delivered", None
