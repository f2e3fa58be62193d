"""How a request meets its fault: the answer that lies, the answer that is late, the connection that ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from twilio_campaigns.simulator.answers import TwilioError, answer
from twilio_campaigns.simulator.faults import PROCESSED, CreateFault, ReadFault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from twilio_campaigns.simulator.account import Account

#: Where :mod:`serve` puts the connection's transport into a request's state.
TRANSPORT: Final = "transport"

_TOO_MANY: Final = (20429, 429)
_ERROR: Final = (20500, 500)
_UNAVAILABLE: Final = (20503, 503)
_ANSWERS: Final = {
    CreateFault.THROTTLED: _TOO_MANY,
    CreateFault.THROTTLED_WITH_RETRY_AFTER: _TOO_MANY,
    CreateFault.ERROR: _ERROR,
    CreateFault.ERROR_AFTER: _ERROR,
    CreateFault.UNAVAILABLE: _UNAVAILABLE,
    CreateFault.UNAVAILABLE_AFTER: _UNAVAILABLE,
    ReadFault.THROTTLED: _TOO_MANY,
    ReadFault.UNAVAILABLE: _UNAVAILABLE,
}


class Disconnect(Response):
    """No answer: the connection is closed.

    :raises ConnectionResetError: into the client, where it runs in this process and there is no connection.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI
        """Close the connection and see it gone, so that the server does not answer in our place."""
        transport = scope.get("state", {}).get(TRANSPORT)
        if transport is None:
            raise ConnectionResetError("the simulator closed the connection without an answer")
        transport.abort()
        await _client_is_gone(receive)


async def create_under(
    fault: CreateFault, account: Account, request: Request, process: Callable[[], Awaitable[Response]]
) -> Response:
    """Answer a create that meets a fault.

    :param process: does what was asked for; called only where the fault lets it.
    :raises TwilioError: the fault's answer, or what Twilio refuses.
    """
    if fault in PROCESSED:
        try:
            response = await process()
        except TwilioError as error:
            response = refusal(error)
        if fault is CreateFault.DELAYED:
            await _while_the_client_waits(request, account.faults.faults.delay_seconds)
            return response
    if fault in _ANSWERS:
        asks_to_wait = fault is CreateFault.THROTTLED_WITH_RETRY_AFTER
        raise TwilioError(*_ANSWERS[fault], account.faults.faults.retry_after_seconds if asks_to_wait else None)
    return Disconnect()


def read_under(fault: ReadFault) -> Response:
    """Answer a GET that meets a fault.

    :raises TwilioError: the fault's answer.
    """
    if fault in _ANSWERS:
        raise TwilioError(*_ANSWERS[fault])
    return Disconnect()


def refusal(error: TwilioError) -> Response:
    """Give the answer that an error is."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    return answer(error.body(), error.status, headers)


async def _while_the_client_waits(request: Request, seconds: float) -> None:
    """Wait, but no longer than until the client hangs up: nothing is left to end with the server."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await _client_is_gone(request.receive)


async def _client_is_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
