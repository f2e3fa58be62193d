"""One POST, whatever happens: against real servers that reset, hang, lie and break off."""

import asyncio
import socket
import time

import pytest

from gateway.scripted_server import (
    ACCOUNT_SID,
    MESSAGE_SID,
    answer,
    hang,
    hang_up,
    message_json,
    reset,
    scripted,
    truncated,
)
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.outcome import OutcomeKind
from twilio_campaigns.gateway.settings import TwilioSettings

MESSAGE = OutgoingMessage(to_number="+15005550010", from_number="+15005550006", body="hello")
PROXY_PAGE = "<html>Bad gateway</html>"
TOO_MANY = {"code": 20429, "message": "Too Many Requests", "status": 429}


def gateway(url, max_connections=10, **given):
    known = {"account_sid": ACCOUNT_SID, "auth_token": "token", "base_url": url, "total_timeout": 1.0}
    return TwilioGateway(TwilioSettings(**{**known, **given}), max_connections=max_connections)


async def create(twilio):
    async with twilio:
        return await twilio.create(MESSAGE)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (answer(201, message_json()), OutcomeKind.ACCEPTED),
        (reset, OutcomeKind.UNKNOWN),
        (hang_up, OutcomeKind.UNKNOWN),
        (hang, OutcomeKind.UNKNOWN),
        (truncated, OutcomeKind.UNKNOWN),
        (answer(500, {"code": 20500}), OutcomeKind.UNKNOWN),
        (answer(502, PROXY_PAGE, "text/html"), OutcomeKind.UNKNOWN),
        (answer(503, {"code": 20503}, Retry_After="1"), OutcomeKind.UNKNOWN),
        (answer(504, ""), OutcomeKind.UNKNOWN),
        (answer(429, TOO_MANY, Retry_After="3"), OutcomeKind.THROTTLED),
        (answer(429, TOO_MANY), OutcomeKind.THROTTLED),
        (answer(429, PROXY_PAGE, "text/html", Retry_After="3"), OutcomeKind.UNKNOWN),
        (answer(201, "{oops"), OutcomeKind.UNKNOWN),
        (answer(201, b"\xff\xfe\xfd", "application/json; charset=utf-8"), OutcomeKind.UNKNOWN),
        (answer(200, PROXY_PAGE, "text/html"), OutcomeKind.UNKNOWN),
        (answer(302, "", Location="/elsewhere"), OutcomeKind.UNKNOWN),
        (answer(307, "", Location="/elsewhere"), OutcomeKind.UNKNOWN),
        (answer(400, {"code": 21211, "message": "invalid To"}), OutcomeKind.REFUSED),
        (answer(400, PROXY_PAGE, "text/html"), OutcomeKind.UNKNOWN),
        (answer(401, {"code": 20003, "message": "no"}), OutcomeKind.STOPPED),
        (answer(407, PROXY_PAGE, "text/html"), OutcomeKind.UNKNOWN),
    ],
)
def test_exactly_one_post_and_an_outcome(script, kind):
    with scripted(script) as server:
        twilio = gateway(server.url)
        outcome = asyncio.run(create(twilio))
        assert (outcome.kind, len(server.seen), server.posts, twilio.calls) == (kind, 1, 1, 1)


def test_the_answers_headers_reach_the_outcome():
    with scripted(answer(429, TOO_MANY, Retry_After="3", Twilio_Request_Id="RQ7")) as server:
        outcome = asyncio.run(create(gateway(server.url)))
    assert (outcome.retry_after, outcome.request_id, outcome.code) == (3.0, "RQ7", 20429)


def test_a_connection_that_breaks_while_idle_is_not_posted_on_twice():
    async def two(twilio):
        async with twilio:
            return [await twilio.create(MESSAGE), await twilio.create(MESSAGE)]

    with scripted(answer(201, message_json()), reset, answer(201, message_json())) as server:
        first, second = asyncio.run(two(gateway(server.url)))
    assert (first.kind, second.kind) == (OutcomeKind.ACCEPTED, OutcomeKind.UNKNOWN)
    assert server.posts == 2


def test_timeouts_work():
    with scripted(hang) as server:
        began = time.monotonic()
        outcome = asyncio.run(create(gateway(server.url, total_timeout=0.4)))
        assert time.monotonic() - began < 2
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert "TimeoutError" in outcome.detail


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}", "http://no-such-host.invalid", "https://127.0.0.1:{port}"],
)
def test_without_a_connection_the_message_is_released(url):
    outcome = asyncio.run(create(gateway(url.format(port=free_port()))))
    assert outcome.kind is OutcomeKind.RELEASED


def test_a_failed_tls_handshake_releases():
    with scripted(answer(201, message_json())) as server:
        outcome = asyncio.run(create(gateway(server.url.replace("http:", "https:"))))
        assert server.posts == 0
    assert outcome.kind is OutcomeKind.RELEASED


def test_a_server_that_does_not_accept_releases_after_the_connect_timeout():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        address = deaf.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for other in waiting:  # fill the backlog, so that the kernel answers nobody
            other.setblocking(False)
            other.connect_ex(address)
        try:
            twilio = gateway(f"http://127.0.0.1:{address[1]}", connect_timeout=0.3, total_timeout=5)
            outcome = asyncio.run(create(twilio))
        finally:
            for other in waiting:
                other.close()
    assert outcome.kind is OutcomeKind.RELEASED


def test_waiting_for_a_free_connection_ends_before_a_post_could_start_late():
    async def both(twilio):
        async with twilio:
            return await asyncio.gather(twilio.create(MESSAGE), twilio.create(MESSAGE))

    with scripted(hang) as server:
        twilio = gateway(server.url, max_connections=1, connect_timeout=0.3, total_timeout=1.0)
        kinds = {outcome.kind for outcome in asyncio.run(both(twilio))}
        assert server.posts == 1
    assert kinds == {OutcomeKind.UNKNOWN, OutcomeKind.RELEASED}


def test_a_proxy_that_declines_the_tunnel_releases(monkeypatch):
    with scripted(answer(403, PROXY_PAGE, "text/html")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        outcome = asyncio.run(create(gateway("https://api.twilio.invalid")))
        assert proxy.posts == 0
    assert outcome.kind is OutcomeKind.RELEASED


def test_many_at_once_over_few_connections():
    async def many(twilio):
        async with twilio:
            return await asyncio.gather(*(twilio.create(MESSAGE) for _ in range(100)))

    with scripted(answer(201, message_json())) as server:
        outcomes = asyncio.run(many(gateway(server.url, max_connections=5, total_timeout=10)))
        assert server.posts == 100
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.ACCEPTED}
    assert outcomes[0].observation.sid == MESSAGE_SID


def test_a_cancelled_create_is_the_callers_business():
    async def cancelled(twilio, server):
        async with twilio:
            task = asyncio.create_task(twilio.create(MESSAGE))
            await asyncio.to_thread(server.arrived.wait, 10)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with scripted(hang) as server:
        asyncio.run(cancelled(gateway(server.url, total_timeout=10), server))


def test_a_closed_gateway_says_so():
    with pytest.raises(RuntimeError, match="async with"):
        asyncio.run(gateway("http://127.0.0.1:1").create(MESSAGE))
