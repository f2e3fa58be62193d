import asyncio
import json
import logging

import pytest
from airflow.sdk import BaseHook, Connection

from gateway.independent_twilio import ACCOUNT_SID, AUTH_TOKEN, independent_twilio
from gateway.scripted_server import answer, scripted
from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.hooks.twilio import EXTRAS, TwilioHook, run_async

KEY = {"api_key_sid": "SK" + "1" * 32, "api_key_secret": "key-secret"}


@pytest.fixture
def connect(monkeypatch):
    """Define ``twilio_default``; what is not given is as a person would fill it in."""

    def define(conn_id="twilio_default", **given):
        known = {"conn_type": "twilio", "login": ACCOUNT_SID, "password": AUTH_TOKEN}
        extra = given.pop("extra", None)
        if extra is not None:
            given["extra"] = extra if isinstance(extra, str) else json.dumps(extra)
        text = json.dumps({**known, **given})
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", text)

    return define


DEFAULTS = {"region": None, "edge": None, "list_lag_seconds": 14_400, "public_url": None, "base_url": None}


@pytest.mark.parametrize(
    ("name", "in_connection", "argument", "expected"),
    [
        (name, extra, given, expected)
        for name, written, passed, default in [
            ("region", "ie1", "au1", None),
            ("edge", "dublin", "sydney", None),
            ("list_lag_seconds", 60, 5, 14_400),
            ("list_lag_seconds", "60", 0, 14_400),
            ("public_url", "https://a.example", "https://b.example", None),
        ]
        for extra, given, expected in [
            ({}, None, default),
            ({name: ""}, None, default),
            ({name: None}, None, default),
            ({name: written}, None, int(written) if name == "list_lag_seconds" else written),
            ({name: written}, passed, passed),
            ({}, passed, passed),
        ]
    ],
)
def test_argument_then_extra_then_default(connect, name, in_connection, argument, expected):
    connect(extra=in_connection)
    assert getattr(TwilioHook(**{name: argument}).get_settings(), name) == expected


@pytest.mark.parametrize(
    ("host", "argument", "expected"),
    [
        (None, None, None),
        ("http://127.0.0.1:8010", None, "http://127.0.0.1:8010"),
        ("http://127.0.0.1:8010", "http://127.0.0.1:9", "http://127.0.0.1:9"),
        (None, "http://127.0.0.1:9", "http://127.0.0.1:9"),
    ],
)
def test_argument_then_host_then_default(connect, host, argument, expected):
    connect(host=host)
    assert TwilioHook(base_url=argument).get_settings().base_url == expected


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ({}, None),
        ({"host": " "}, None),
        ({"schema": "http"}, None),
        ({"port": 443}, None),
        ({"port": 0}, None),
        ({"host": "http://127.0.0.1:8010"}, "http://127.0.0.1:8010"),
        ({"host": "http://127.0.0.1:8010/"}, "http://127.0.0.1:8010"),
        ({"host": "http://127.0.0.1", "port": 8010}, "http://127.0.0.1:8010"),
        ({"host": "127.0.0.1:8010", "schema": "http"}, "http://127.0.0.1:8010"),
        ({"host": "127.0.0.1", "port": 8010, "schema": "http"}, "http://127.0.0.1:8010"),
        ({"host": "127.0.0.1:8010", "port": 8010}, "http://127.0.0.1:8010"),
        ({"host": "localhost", "port": 8010}, "http://localhost:8010"),
        ({"host": "http://localhost:8010", "port": 0}, "http://localhost:8010"),
        ({"host": "twilio.example"}, "https://twilio.example"),
        ({"host": "twilio.example", "schema": "http"}, "http://twilio.example"),
        ({"host": "https://twilio.example/base", "port": 8443}, "https://twilio.example:8443/base"),
    ],
)
def test_the_address_as_people_write_it(connect, written, address):
    connect(**written)
    assert TwilioHook().get_settings().base_url == address


def test_a_connection_written_as_uri(monkeypatch):
    uri = f"twilio://{ACCOUNT_SID}:tok%2Fen@127.0.0.1:8010/?list_lag_seconds=30"
    monkeypatch.setenv("AIRFLOW_CONN_TWILIO_DEFAULT", uri)
    settings = TwilioHook().get_settings()
    assert settings.credentials() == (ACCOUNT_SID, "tok/en")
    assert (settings.base_url, settings.list_lag_seconds) == ("http://127.0.0.1:8010", 30)


def test_the_uri_that_the_test_button_makes(monkeypatch):
    written = Connection(
        conn_id="shown",
        conn_type="twilio",
        login=ACCOUNT_SID,
        password=AUTH_TOKEN,
        host="http://127.0.0.1:8010",
        extra=json.dumps({"list_lag_seconds": 30, "region": None}),
    )
    monkeypatch.setenv("AIRFLOW_CONN_TWILIO_DEFAULT", written.get_uri())
    settings = TwilioHook().get_settings()
    assert (settings.base_url, settings.list_lag_seconds) == ("http://127.0.0.1:8010", 30)


def test_the_api_key_is_used_when_present(connect):
    connect(extra=KEY)
    settings = TwilioHook().get_settings()
    assert settings.credentials() == (KEY["api_key_sid"], "key-secret")
    assert settings.auth_token.get_secret_value() == AUTH_TOKEN


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"login": ""}, ["account_sid (login)", "Console"]),
        ({"login": "AC1"}, ["account_sid (login)"]),
        ({"password": ""}, ["auth_token (password)", "api_key_sid"]),
        ({"extra": {"regoin": "ie1"}}, ["regoin", *EXTRAS]),
        ({"extra": {"base_url": "http://127.0.0.1:1"}}, ["base_url", "host"]),
        ({"extra": {"api_key_sid": KEY["api_key_sid"]}}, ["api_key_secret"]),
        ({"extra": "{broken"}, ["extra is not a JSON object"]),
        ({"extra": "[1]"}, ["extra is not a JSON object"]),
        ({"extra": {"list_lag_seconds": "soon"}}, ["list_lag_seconds", "whole number"]),
        ({"host": "http://127.0.0.1:8010", "extra": {"region": "ie1"}}, ["host", "region", "Leave"]),
        ({"host": "http://127.0.0.1:8010", "schema": "https"}, ["schema https", "contradict"]),
        ({"host": "http://127.0.0.1:8010", "port": 9}, ["8010", "9"]),
        ({"host": "http://127.0.0.1:port"}, ["host"]),
        ({"port": 8010}, ["port is 8010 without host"]),
        ({"host": "ftp://example.com"}, ["base_url (host)"]),
    ],
)
def test_one_clear_error_names_connection_field_and_remedy(connect, given, says):
    connect("twilio_shop", **given)
    with pytest.raises(ConfigurationError) as caught:
        TwilioHook("twilio_shop").get_settings()
    text = str(caught.value)
    assert text.startswith("Connection twilio_shop: ")
    for word in says:
        assert word in text
    assert AUTH_TOKEN not in text


def test_a_contradicting_argument_is_refused_too(connect):
    connect(extra={"region": "ie1"})
    with pytest.raises(ConfigurationError, match="contradict"):
        TwilioHook(base_url="http://127.0.0.1:9").get_settings()


def test_secrets_are_masked(connect, monkeypatch):
    masked = []
    monkeypatch.setattr("twilio_campaigns.hooks.twilio.mask_secret", masked.append)

    async def note(secret):
        masked.append(secret)

    monkeypatch.setattr("twilio_campaigns.hooks.twilio.amask_secret", note)
    connect(extra=KEY)
    TwilioHook().get_settings()
    assert masked == [AUTH_TOKEN, "key-secret"]
    asyncio.run(TwilioHook().aget_settings())
    assert masked == [AUTH_TOKEN, "key-secret"] * 2


def test_settings_inside_a_running_loop_use_the_asynchronous_look_up(connect, monkeypatch):
    connect(extra={"region": "ie1"})
    monkeypatch.setattr(BaseHook, "get_connection", None)  # the synchronous one may block the loop for ever
    assert asyncio.run(TwilioHook().aget_settings()).region == "ie1"


def test_the_test_button_says_yes(connect):
    with independent_twilio() as server:
        connect(host=server.url)
        ok, text = TwilioHook().test_connection()
        assert (ok, TwilioHook().get_conn().api.base_url) == (True, server.url)
    assert "'Independent' (ACaa…aaaa)" in text
    assert "Auth Token" in text
    assert ACCOUNT_SID not in text


def test_the_test_button_inside_a_running_loop(connect):
    async def press():
        return TwilioHook().test_connection()

    with independent_twilio() as server:
        connect(host=server.url)
        assert asyncio.run(press())[0] is True


def test_the_test_button_says_no_to_bad_credentials(connect):
    with independent_twilio() as server:
        connect(host=server.url, password="wrong-token")
        ok, text = TwilioHook().test_connection()
    assert not ok
    assert "Account SID and Auth Token" in text
    assert "wrong-token" not in text


@pytest.mark.parametrize(
    ("account", "ok", "says"),
    [
        ({"status": "suspended"}, False, "suspended"),
        ({"status": "closed"}, False, "closed"),
        ({"status": "active", "type": "Trial"}, True, "trial account"),
    ],
)
def test_the_test_button_looks_at_the_accounts_state(connect, account, ok, says):
    body = {"sid": ACCOUNT_SID, "friendly_name": "Shop"} | account
    with scripted(answer(200, body)) as server:
        connect(host=server.url)
        said, text = TwilioHook().test_connection()
    assert (said, says in text) == (ok, True)


def test_the_test_button_with_a_standard_api_key(connect):
    denied = answer(401, {"code": 20003, "message": "no"})
    with scripted(denied, answer(200, {"messages": [], "next_page_uri": None})) as server:
        connect(host=server.url, extra=KEY)
        ok, text = TwilioHook().test_connection()
    assert ok
    assert "API key" in text


@pytest.mark.parametrize("given", [{"host": "http://127.0.0.1:1"}, {"login": "AC1"}, {"extra": {"colour": "red"}}])
def test_the_test_button_says_no_and_why(connect, given):
    connect(**given)
    ok, text = TwilioHook().test_connection()
    assert not ok
    assert text.endswith(".")


def test_the_connection_ids_case_and_name_are_the_usual_ones(connect):
    connect("other")
    assert TwilioHook.default_conn_name == "twilio_default"
    assert TwilioHook("other").get_settings().account_sid == ACCOUNT_SID


def test_a_gateway_from_the_hook_sends(connect, caplog):
    caplog.set_level(logging.DEBUG)

    async def create(gateway):
        from twilio_campaigns.domain.message import OutgoingMessage

        async with gateway as twilio:
            message = OutgoingMessage(to_number="+15005550010", from_number="+15005550006", body="hi")
            return await twilio.create(message)

    with independent_twilio() as server:
        connect(host=server.url)
        outcome = run_async(create(TwilioHook().gateway(max_connections=2)))
        assert [sent["sid"] for sent in server.account.messages] == [outcome.observation.sid]
    assert AUTH_TOKEN not in caplog.text
