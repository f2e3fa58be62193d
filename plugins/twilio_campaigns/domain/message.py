"""A message on its way out, and what was observed of it later."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msgspec import Struct

from twilio_campaigns.domain.status import IMPLIES_SENT, Source, Status, status_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from decimal import Decimal

#: Namespace of every deterministic id. Never change it: ids of old rows would no longer be found.
NAMESPACE: Final = UUID("6f0c0b8e-7d53-5c3e-9b57-2f2c1f8a3d10")

_IN_NAMESPACE: Final = sha1(NAMESPACE.bytes, usedforsecurity=False)
#: RFC 9562: what the bytes with version and variant become, for version 5, by what the hash has there.
_VERSION_5: Final = bytes(0x50 | byte & 0x0F for byte in range(256))
_VARIANT: Final = bytes(0x80 | byte & 0x3F for byte in range(256))
_SUFFIXES: Final = {status: f"|{status}".encode() for status in Status}
#: The groups of digits in the text of a UUID.
_GROUPS: Final = struct.Struct("8s4s4s4s12s")


def event_ids(keys: Sequence[bytes], statuses: Iterable[Status]) -> list[bytes]:
    """Give the deterministic id of each event, as the sixteen bytes of a UUID: a message reaches a status once.

    What :func:`uuid.uuid5` gives of the namespace and ``key|status``, in a fifth of the time: there are thousands.

    :param keys: of the messages, sixteen bytes as well.
    :param statuses: which each of them reached.
    """
    names = map(b"-".join, _GROUPS.iter_unpack(b"".join(keys).hex().encode()))
    size = _IN_NAMESPACE.digest_size
    suffixes = map(_SUFFIXES.__getitem__, statuses)
    hashes = bytearray().join([_digest(name, suffix) for name, suffix in zip(names, suffixes, strict=True)])
    hashes[6::size] = hashes[6::size].translate(_VERSION_5)
    hashes[8::size] = hashes[8::size].translate(_VARIANT)
    found = bytes(hashes)
    return [found[begin : begin + 16] for begin in range(0, len(found), size)]


def _digest(name: bytes, suffix: bytes) -> bytes:
    digest = _IN_NAMESPACE.copy()
    digest.update(name + suffix)
    return digest.digest()


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One create request, ready to send.

    :param to_number: E.164.
    :param from_number: E.164, short code or alphanumeric sender; or ``None`` with a Messaging Service.
    :param messaging_service_sid: ``MG…``; or ``None`` with a number.
    :param body: text, or ``None`` with a Content template.
    :param media_urls: up to ten public URLs.
    :param content_sid: ``HX…`` of a Content template.
    :param content_variables: JSON object as text, as Twilio wants it.
    :param shorten_urls: whether Twilio puts short links of the account's own domain in the place of URLs; needs a
        Messaging Service.
    :param estimated_parts: text segments by our own count, at least 1.
    """

    to_number: str
    from_number: str | None = None
    messaging_service_sid: str | None = None
    body: str | None = None
    media_urls: tuple[str, ...] = ()
    content_sid: str | None = None
    content_variables: str | None = None
    validity_period: int | None = None
    shorten_urls: bool = False
    estimated_parts: int = 1


# Structs, not dataclasses, for what exists once per message read: made and compared in a tenth of the time.
class Observation(Struct, frozen=True, gc=False):
    """What one source said about one message at one moment.

    :param sid: Twilio's id of the message.
    :param provider_status: Twilio's word.
    :param direction: ``outbound-api``, ``inbound`` …
    :param created_at: Twilio's ``date_created``.
    :param sent_at: Twilio's ``date_sent``; ``None`` until it has left.
    :param updated_at: Twilio's ``date_updated``; for a webhook the time of receipt.
    :param error_code: Twilio's error code.
    :param parts: text segments, ``None`` while Twilio says 0.
    :param price: positive amount in ``price_unit``, ``None`` until billed.
    """

    sid: str
    provider_status: str
    direction: str
    created_at: datetime
    updated_at: datetime
    source: Source
    sent_at: datetime | None = None
    error_code: int | None = None
    parts: int | None = None
    price: Decimal | None = None
    price_unit: str | None = None
    from_number: str | None = None
    to_number: str | None = None
    messaging_service_sid: str | None = None
    body: str | None = None

    @property
    def is_inbound(self) -> bool:
        """Whether somebody wrote to us."""
        return self.direction == "inbound"


class Fact(Struct, frozen=True, gc=False):
    """One status that one observation proves, with the moment at which it was reached."""

    status: Status
    occurred_at: datetime
    status_code: int | None = None


def facts_of(observation: Observation, *, refused: bool) -> tuple[Fact, ...]:
    """Every status that one observation of an outbound message implies, in order of rank.

    A message first seen as ``delivered`` was also enqueued and sent: nobody has to have watched. Depends on
    nothing but the observation, which is what makes order and repetition harmless.

    :param refused: whether its error code says that the message was refused rather than lost on the way.
    """
    word = observation.provider_status
    status = status_of(word, refused=refused)
    if status is None:
        return ()
    enqueued = Fact(Status.ENQUEUED, observation.created_at)
    if not status.is_final:
        return (enqueued, _sent(observation)) if word in IMPLIES_SENT else (enqueued,)
    final = Fact(status, observation.updated_at, None if status is Status.DELIVERED else observation.error_code)
    return (enqueued, _sent(observation), final) if word in IMPLIES_SENT else (enqueued, final)


def _sent(observation: Observation) -> Fact:
    return Fact(Status.SENT, observation.sent_at or observation.updated_at)
