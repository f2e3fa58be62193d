import asyncio
import base64
import logging

import pytest

from gateway.scripted_server import ACCOUNT_SID, answer, message_json, scripted
from twilio_campaigns import __version__
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.settings import TwilioSettings
from twilio_campaigns.gateway.transport import base_address, proxy_for, sdk_client

MESSAGE = OutgoingMessage(
    to_number="+15005550010",
    from_number="+15005550006",
    body="Grüße & 100 % 🎉",
    media_urls=("https://example.com/a.png", "https://example.com/b.png"),
    validity_period=60,
)


def settings(**given):
    return TwilioSettings(**{"account_sid": ACCOUNT_SID, "auth_token": "token", **given})


@pytest.fixture
def stray_environment(monkeypatch):
    for name, value in {
        "TWILIO_ACCOUNT_SID": "AC" + "9" * 32,
        "TWILIO_AUTH_TOKEN": "stray",
        "TWILIO_REGION": "ie1",
        "TWILIO_EDGE": "dublin",
    }.items():
        monkeypatch.setenv(name, value)


def send(url, message=MESSAGE, **kwargs):
    async def run():
        async with TwilioGateway(settings(base_url=url)) as twilio:
            return await twilio.create(message, **kwargs)

    return asyncio.run(run())


@pytest.mark.usefixtures("stray_environment")
def test_the_create_request_on_the_wire():
    with scripted(answer(201, message_json())) as server:
        send(server.url, status_callback="https://example.com/hook?x=1")
    (request,) = server.seen
    assert request.path == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
    assert request.form == {
        "To": ["+15005550010"],
        "From": ["+15005550006"],
        "Body": ["Grüße & 100 % 🎉"],
        "MediaUrl": ["https://example.com/a.png", "https://example.com/b.png"],
        "ValidityPeriod": ["60"],
        "StatusCallback": ["https://example.com/hook?x=1"],
    }
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.headers["Authorization"] == "Basic " + base64.b64encode(f"{ACCOUNT_SID}:token".encode()).decode()
    assert f"twilio-campaigns/{__version__}" in request.headers["User-Agent"]
    assert request.headers["User-Agent"].startswith("twilio-python/")


@pytest.mark.usefixtures("stray_environment")
@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "https://api.twilio.com"),
        ({"region": "ie1"}, "https://api.ie1.twilio.com"),
        ({"region": "ie1", "edge": "dublin"}, "https://api.dublin.ie1.twilio.com"),
        ({"edge": "sydney"}, "https://api.sydney.us1.twilio.com"),
        ({"base_url": "http://127.0.0.1:8010"}, "http://127.0.0.1:8010"),
    ],
)
def test_the_address_follows_the_settings_and_not_the_environment(given, address):
    assert base_address(settings(**given)) == address


def test_no_number_reaches_a_log_at_any_level(caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("twilio", "twilio.http_client", "twilio.async_http_client", "aiohttp.client"):
        caplog.set_level(logging.DEBUG, logger=name)

    async def read(url):
        async with TwilioGateway(settings(base_url=url)) as twilio:
            return [page async for page in twilio.list(to="+15005550010")]

    with scripted(answer(201, message_json()), answer(200, {"messages": [], "next_page_uri": None})) as server:
        send(server.url)
        asyncio.run(read(server.url))
        sdk = sdk_client(settings(base_url=server.url))
        assert sdk.messages.list(to="+15005550010", page_size=5) == []
    assert len(server.seen) == 3
    assert "5005550010" not in caplog.text


def test_the_synchronous_client_has_a_timeout():
    assert sdk_client(settings(total_timeout=7)).http_client.timeout == 7


@pytest.mark.parametrize(
    ("environment", "address", "proxy"),
    [
        ({}, "https://api.twilio.com", None),
        ({"https_proxy": "http://proxy:3128"}, "https://api.twilio.com", "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "https://api.twilio.com", "http://proxy:3128"),
        ({"http_proxy": "http://proxy:3128"}, "https://api.twilio.com", None),
        ({"https_proxy": "http://proxy:3128", "no_proxy": ".twilio.com"}, "https://api.twilio.com", None),
        ({"http_proxy": "http://proxy:3128"}, "http://127.0.0.1:8010", None),
    ],
)
def test_the_proxy_of_the_environment(monkeypatch, environment, address, proxy):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(address) == proxy
