"""How webhooks are signed: the same bytes as Twilio's, without its SDK, which the simulator must not need.

Twilio signs the URL "through the end of the query string", followed by the form's fields in the order of their names,
name and value run together. The connection overrides behind `#` are neither signed nor sent. A JSON body is not
signed itself: its SHA-256 joins the query as `bodySHA256`, and the URL is signed alone.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from hmac import digest
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNATURE: Final = "X-Twilio-Signature"
#: Tells that a SharedKey signed, and how; without it the Auth Token did, with SHA-1.
SETTINGS: Final = "X-Twilio-Webhooks-Signature-Settings"
_KEY_ID: Final = "webhooks_sharedkey_" + "0" * 31 + "1"


class Signer:
    """Signs webhooks with an Auth Token and SHA-1, or with a SharedKey and SHA-256.

    :param auth_token: the account's.
    :param shared_key: secret of a SharedKey, as Twilio's webhook configuration makes them; signs instead of the token.
    """

    def __init__(self, auth_token: str, shared_key: str | None = None) -> None:
        self._key = (shared_key or auth_token).encode()
        self._algorithm = "sha256" if shared_key else "sha1"

    def headers(self, url: str, form: Mapping[str, str] | None = None, *, forged: bool = False) -> dict[str, str]:
        """Give the headers that prove where a webhook comes from.

        :param url: as requested, without a fragment; a JSON body's hash is in its query already.
        :param form: the fields, where the body is a form.
        :param forged: whether another secret than ours signs.
        """
        text = url + "".join(f"{name}{form[name]}" for name in sorted(form)) if form else url
        key = b"forged" + self._key if forged else self._key
        signature = b64encode(digest(key, text.encode(), self._algorithm)).decode()
        if self._algorithm == "sha1":
            return {SIGNATURE: signature}
        return {SIGNATURE: signature, SETTINGS: f"key={_KEY_ID},algorithm=HMAC_SHA256"}


def with_body_hash(url: str, body: bytes) -> str:
    """Add a JSON body's hash to the query of the URL that it is posted to."""
    return f"{url}{'&' if '?' in url else '?'}bodySHA256={sha256(body).hexdigest()}"
