"""What the benchmark of webhooks is about: messages that Twilio took, what it tells of them, what the tables say then.

Every message is told of four times: queued, sent, delivered, and delivered once more, all of them shuffled. They are
signed by the simulator's signer, which shares no line with the check that is measured.
"""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, LiteralString
from urllib.parse import urlencode
from uuid import UUID, uuid5

import psycopg

from include.local import bench_people
from include.local.bench_lab import BenchError
from include.local.bench_reconcile_scene import Sent, load
from include.local.environment import ACCOUNT_SID
from twilio_campaigns.domain.webhooks import StatusCallbackUrls
from twilio_campaigns.simulator.signing import Signer

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What is told of every message.
TOLD: Final = ("queued", "sent", "delivered", "delivered")
#: What has to stand in the tables afterwards, once per message.
EVENTS: Final = ("enqueued", "sent", "delivered")
#: Where Twilio believes our webhooks to be. It signs this; which host a proxy passes it on to is another matter.
PUBLIC_URL: Final = "https://sms.example.com/twilio"
#: Seconds since Twilio took the messages.
_AGE: Final = 60
_IDS: Final = UUID("6f0f5f0e-3f0b-5b7e-9c59-70c7f2f4a7d1")
_FROM: Final = "+12025550100"
#: No message of ours.
_STRANGER: Final = "SM" + "f" * 24

_PEERS_TABLE: Final = """
create table callbacks (
    message_sid text, status text, recipient text, error_code text, received_at timestamptz default now(),
    primary key (message_sid, status)
)
"""

_STATUSES: Final = "select status || ', ' || provider_status, count(*) from messages group by 1"
_EVENTS: Final = "select status, count(*), count(distinct message_key) from campaign_events group by 1"
_STRAYS: Final = "select count(*) from stray_messages"
_REJECTED: Final = "select coalesce(sum(requests), 0) from webhook_rejections"
_PEERS: Final = f"select status, count(*) from callbacks where message_sid not like '{_STRANGER}%' group by 1"  # noqa: S608 - of constants


def prepare(url: str, messages: int) -> None:
    """Write a ledger of messages that Twilio has accepted, and the table into which the peer inserts."""
    at = datetime.now(UTC) - timedelta(seconds=_AGE)
    load(url, (Sent(f"SM{uuid5(_IDS, str(n)).hex}", bench_people.phone(n), at) for n in range(messages)))
    with _connected(url) as connection:
        connection.execute(_PEERS_TABLE)


def posts(url: str, token: str, path: str, seed: int) -> list[bytes]:
    """Give the requests with which everything is told of every message of a ledger, in any order.

    :param url: of its database.
    :param token: the Auth Token that signs.
    :param path: of the contestant that they are for.
    :param seed: of the order.
    """
    wire = _Wire(token, path)
    with _connected(url) as connection:
        rows = connection.execute("select message_key, message_sid, to_number from messages order by 2").fetchall()
    told = [
        wire.post(sid, status, to, StatusCallbackUrls(PUBLIC_URL).url(key, uuid5(_IDS, sid)))
        for key, sid, to in rows
        for status in TOLD
    ]
    random.Random(seed).shuffle(told)  # noqa: S311 - not cryptography
    return told


def greetings(token: str, path: str, count: int) -> Iterator[bytes]:
    """Give requests for messages that nobody knows, so that everything is open before the clock starts.

    They name no row: ours answers them and writes nothing.
    """
    wire = _Wire(token, path)
    for number in range(count):
        yield wire.post(f"{_STRANGER}{number:08x}", "sent", bench_people.phone(0), f"{PUBLIC_URL}/status")


class _Wire:
    """Writes status callbacks as they come over the wire.

    :param token: signs.
    :param path: to which they are posted.
    """

    def __init__(self, token: str, path: str) -> None:
        self._signer = Signer(token)
        self._path = path

    def post(self, sid: str, status: str, to: str, url: str) -> bytes:
        """Give one request.

        :param url: status callback of the message, overrides included: those stay with Twilio.
        """
        signed = url.partition("#")[0]
        query = signed.partition("?")[2]
        form = {
            "MessageSid": sid,
            "SmsSid": sid,
            "MessageStatus": status,
            "SmsStatus": status,
            "AccountSid": ACCOUNT_SID,
            "MessagingServiceSid": bench_people.SERVICE_SID,
            "From": _FROM,
            "To": to,
            "ApiVersion": "2010-04-01",
        }
        if status == "delivered":
            form["RawDlrDoneDate"] = "2611250920"
        body = urlencode(form).encode()
        headers = {
            "Host": "sms.example.com",
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "Content-Length": str(len(body)),
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
            "X-Home-Region": "us1",
            "I-Twilio-Idempotency-Token": str(uuid5(_IDS, f"{sid}|{status}")),
            **self._signer.headers(signed, form),
        }
        lines = [f"POST {self._path}{query and f'?{query}'} HTTP/1.1", *(f"{n}: {v}" for n, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode() + body


def check_ours(url: str, messages: int) -> None:
    """See that every message is delivered, with every event once, and that nothing was put aside or turned away.

    :raises BenchError: when it is not: who writes nothing must not win.
    """
    with _connected(url) as connection:
        statuses: dict[str, int] = dict(connection.execute(_STATUSES).fetchall())
        events = {status: counts for status, *counts in connection.execute(_EVENTS)}
        beside = [_number(connection, query) for query in (_STRAYS, _REJECTED)]
    if statuses != {"delivered, delivered": messages}:
        raise BenchError(f"{messages:,} messages should be delivered; they are {statuses}.")
    # As many events as messages that have one: none is doubled, none is missing.
    if events != {status: [messages, messages] for status in EVENTS}:
        raise BenchError(f"Each message should have {', '.join(EVENTS)} once; events and their messages: {events}.")
    if any(beside):
        raise BenchError("{} messages were put aside as strays, and {} requests turned away.".format(*beside))


def check_bare(url: str, messages: int) -> None:
    """See that the peer has inserted its row for every callback that it had not seen yet.

    :raises BenchError: when it has not.
    """
    with _connected(url) as connection:
        found: dict[str, int] = dict(connection.execute(_PEERS).fetchall())
    if found != dict.fromkeys(Counter(TOLD), messages):
        raise BenchError(f"The bare handler should have {messages:,} rows of each status; it has {found}.")


def check_nothing(_url: str, _messages: int) -> None:
    """Ask nothing of who does nothing."""


def _connected(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, options="-c search_path=messaging")


def _number(connection: psycopg.Connection, query: LiteralString) -> int:
    (number,) = connection.execute(query).fetchone() or (0,)
    return int(number)
