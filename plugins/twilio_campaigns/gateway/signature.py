"""Whether a webhook comes from Twilio: `X-Twilio-Signature` (docs: "Security", validating requests).

Twilio signs the URL that it calls, up to the end of the query: what stands behind `#` is for Twilio alone. A form's
fields follow it in the order of their names, name and value run together; a JSON body is not signed itself, but its
SHA-256 stands in the query as `bodySHA256`. With the Auth Token the algorithm is HMAC-SHA1, with a SharedKey it is
HMAC-SHA256, which `X-Twilio-Webhooks-Signature-Settings` tells. No date is signed: whoever has seen a request may
repeat it, so repetitions have to be harmless.

The SDK's validator computes; around it is what it gets wrong: it compares text, takes an IPv6 host apart at its first
colon, and breaks off on a JSON body without a hash.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator, get_signature_algorithm

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from twilio_campaigns.gateway.webhooks import Form

SIGNATURE: Final = "x-twilio-signature"
SETTINGS: Final = "x-twilio-webhooks-signature-settings"
_BODY_HASH: Final = "bodySHA256"
_PORTS: Final = {"http": 80, "https": 443}


def spellings(address: str) -> tuple[str, ...]:
    """Give an address as it is written and with its port written or left out: Twilio signs now one, now the other.

    :param address: begin of a URL, such as ``https://example.com:8443/twilio``.
    """
    parts = urlsplit(address)
    host = parts.netloc if parts.port is None else parts.netloc.rpartition(":")[0]
    port = parts.port or _PORTS.get(parts.scheme, 443)
    other = f"{host}:{port}" if parts.port is None else host
    return address, parts._replace(netloc=other).geturl()


class SignatureCheck:
    """Knows one account's secrets.

    :param auth_tokens: the account's, the present one first; while it is being changed there are two.
    :param shared_keys: secrets of SharedKeys.
    """

    def __init__(self, auth_tokens: Iterable[str], shared_keys: Iterable[str] = ()) -> None:
        tokens = [RequestValidator(token) for token in auth_tokens]
        keys = [RequestValidator(key) for key in shared_keys]
        self._validators = {HMAC_SHA1: tokens, HMAC_SHA256: [*keys, *tokens]}

    @property
    def can_hold(self) -> bool:
        """Whether there is any secret; an API key signs nothing."""
        return any(self._validators.values())

    def holds(self, urls: Sequence[str], content: Form | bytes, signature: str, settings: str | None) -> bool:
        """Whether Twilio signed a request.

        :param urls: spellings of the URL that Twilio may have called, with their query.
        :param content: the fields of a form, or a JSON body as it came.
        :param signature: header :data:`SIGNATURE`.
        :param settings: header :data:`SETTINGS`, if it was sent.
        """
        algorithm = get_signature_algorithm(settings)
        validators = self._validators.get(algorithm.upper(), [])
        is_json = isinstance(content, bytes)
        given = signature.encode("utf-8", "replace")
        return any(
            compare_digest(validator.compute_signature(url, None if is_json else content, algorithm).encode(), given)
            for validator in validators
            for url in urls
            if not is_json or _is_hash_of(content, url)
        )


def _is_hash_of(body: Form | bytes, url: str) -> bool:
    hashes = [value for name, value in parse_qsl(urlsplit(url).query) if name == _BODY_HASH]
    if len(hashes) != 1 or not isinstance(body, bytes):
        return False
    return compare_digest(sha256(body).hexdigest().encode(), hashes[0].lower().encode("utf-8", "replace"))
