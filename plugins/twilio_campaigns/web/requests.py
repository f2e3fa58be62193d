"""What a request is before anybody believes it: its kind, its size, and the URL that Twilio may have called."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from twilio_campaigns.gateway.signature import spellings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

    from starlette.requests import Request

#: Bytes of a body; Twilio's are a twentieth of that.
LARGEST: Final = 64 * 1024
FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"


class RefusedError(Exception):
    """A request that is turned away.

    :param status: of the answer, which says nothing else.
    :param reason: what is counted; a few words with underscores.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def kind_of(request: Request, *kinds: str) -> str:
    """Give the type of the body.

    :raises RefusedError: when it is none of these, or not in UTF-8.
    """
    kind, _, parameters = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    charset = parameters.strip().lower().partition("charset=")[2].strip('" ')
    if kind not in kinds or charset not in {"", "utf-8", "utf8"}:
        raise RefusedError(415, "wrong_content_type")
    return kind


async def body_of(request: Request) -> bytes:
    """Read the body, and no more than :data:`LARGEST` of it.

    :raises RefusedError: when it is larger, or ends early.
    """
    length = request.headers.get("content-length")
    if length is not None and (not length.isdecimal() or int(length) > LARGEST):
        raise RefusedError(413, "too_large")
    received = bytearray()
    try:
        async for chunk in request.stream():
            received += chunk
            if len(received) > LARGEST:
                raise RefusedError(413, "too_large")
    except ClientDisconnect:
        raise RefusedError(400, "cut_off") from None
    return bytes(received)


def single_header(request: Request, name: str) -> str | None:
    """Give a header that may stand there once.

    :raises RefusedError: when it stands there several times: proxies do not agree which one counts.
    """
    values = request.headers.getlist(name)
    if len(values) > 1:
        raise RefusedError(403, "forged")
    return values[0] if values else None


def query_of(request: Request) -> str:
    """Give the query as it came, with its question mark; the signature covers every character of it.

    :raises RefusedError: when it holds what no URL holds.
    """
    try:
        query: str = request.scope["query_string"].decode("ascii")
    except UnicodeDecodeError:
        raise RefusedError(400, "malformed") from None
    return f"?{query}" if query else ""


def forwarded_urls(request: Request, trusted: Sequence[IPv4Network | IPv6Network]) -> tuple[str, ...]:
    """Give the URL that a trusted proxy says Twilio has called; nothing where nobody trusted says any.

    Anybody can write such headers. Where several values stand in one of them, nobody can tell which the proxy wrote.
    """
    if not trusted or not _is_from(request, trusted):
        return ()
    protocol = request.headers.get("x-forwarded-proto", "")
    host = request.headers.get("x-forwarded-host") or request.headers.get("host", "")
    if protocol not in {"http", "https"} or not host or any(mark in host for mark in ",/@?# "):
        return ()
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    try:
        return spellings(f"{protocol}://{host}{path.partition(b'?')[0].decode('ascii')}")
    except ValueError:
        return ()


def _is_from(request: Request, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        peer = ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return any(peer in network for network in networks)
