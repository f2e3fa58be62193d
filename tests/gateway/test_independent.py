"""The gateway against a Twilio that knows nothing of ours."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from gateway.independent_twilio import ACCOUNT_SID, AUTH_TOKEN, independent_twilio
from twilio_campaigns.domain.exceptions import TwilioRejectedError
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.outcome import OutcomeKind
from twilio_campaigns.gateway.settings import TwilioSettings


@pytest.fixture
def server():
    with independent_twilio() as server:
        yield server


def message(number=10, **changes):
    known = {"to_number": f"+1500555{number:04}", "from_number": "+15005550006", "body": "hello"}
    return OutgoingMessage(**{**known, **changes})


def run(server, work, token=AUTH_TOKEN):
    settings = TwilioSettings(account_sid=ACCOUNT_SID, auth_token=token, base_url=server.url)

    async def inside():
        async with TwilioGateway(settings) as twilio:
            return await work(twilio)

    return asyncio.run(inside())


def test_created_then_fetched(server):
    async def work(twilio):
        outcome = await twilio.create(message(media_urls=("https://example.com/a.png",)))
        return outcome, await twilio.fetch(outcome.observation.sid)

    outcome, seen = run(server, work)
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert outcome.observation.sid.startswith("MM")
    assert (outcome.observation.provider_status, outcome.observation.price) == ("queued", None)
    assert (seen.provider_status, seen.price, seen.parts) == ("delivered", Decimal("0.00790"), 1)
    assert seen.sid == outcome.observation.sid


def test_two_thousand_and_more_are_listed_once_each(server):
    created = {
        server.account.create({"To": [f"+1500{n:07}"], "From": ["+15005550006"], "Body": ["x"]})["sid"]
        for n in range(2345)
    }
    now = datetime.now(UTC)

    async def work(twilio):
        pages = [page.messages async for page in twilio.list(sent_after=now - timedelta(hours=1), sent_before=now)]
        return pages, twilio.calls

    pages, calls = run(server, work)
    assert [len(page) for page in pages] == [1000, 1000, 345]
    assert {seen.sid for page in pages for seen in page} == created
    assert calls == 3


def test_filters(server):
    async def work(twilio):
        for number in (10, 11, 11):
            await twilio.create(message(number))
        later = datetime.now(UTC) + timedelta(hours=1)
        return (
            [len(page.messages) async for page in twilio.list(to="+15005550011")],
            [len(page.messages) async for page in twilio.list(sent_after=later)],
            await twilio.fetch("SM" + "f" * 32),
        )

    assert run(server, work) == ([2], [0], None)


def test_refusals(server):
    async def work(twilio):
        outcomes = [
            await twilio.create(message(to_number="12")),
            await twilio.create(message(from_number=None)),
            await twilio.create(message(body=None)),
        ]
        return [(outcome.kind, outcome.code) for outcome in outcomes]

    kinds = run(server, work)
    assert kinds[0] == (OutcomeKind.REFUSED, 21211)
    assert kinds[1] == (OutcomeKind.STOPPED, 21603)
    assert kinds[2] == (OutcomeKind.REFUSED, 21619)
    assert server.account.messages == []


def test_bad_credentials(server):
    async def create(twilio):
        return await twilio.create(message())

    assert run(server, create, "wrong").kind is OutcomeKind.STOPPED
    with pytest.raises(TwilioRejectedError, match="credentials"):
        run(server, lambda twilio: twilio.account(), "wrong")
    assert run(server, lambda twilio: twilio.account()).friendly_name == "Independent"
