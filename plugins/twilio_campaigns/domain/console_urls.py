"""Addresses in Twilio's console. Pure.

Twilio documents none of them. ``pageSize`` and ``sid`` are what the console itself puts into the address bar when a
message of its log is opened, and what other projects link to; ``from`` is what it understood before its log moved to
this address. Of a filter by day, by time or by Messaging Service nothing is known: those links lead to the whole log.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

#: Where the console shows an account that has no region of its own.
_USUAL_REGION: Final = "us1"
_PAGE_SIZE: Final = 50


def message_log_url(sid: str, region: str | None = None) -> str:
    """Give the address of one message in the console's log.

    :param sid: ``SM…`` or ``MM…``.
    :param region: of the connection; empty for Twilio's usual one.
    """
    return _log(region, sid=sid)


def messages_log_url(from_number: str | None = None, region: str | None = None) -> str:
    """Give the address of the console's log of messages, the newest first.

    :param from_number: only what this number sent; ``None``, as for a Messaging Service: everything.
    :param region: as for :func:`message_log_url`.
    """
    return _log(region, **({"from": from_number} if from_number else {}))


def _log(region: str | None, **filters: str) -> str:
    query = urlencode({"pageSize": _PAGE_SIZE, **filters})
    return f"https://console.twilio.com/{region or _USUAL_REGION}/monitor/logs/sms?{query}"
