import pytest

from gateway.scripted_server import ACCOUNT_SID
from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.gateway.settings import TwilioSettings

KEY = {"api_key_sid": "SK" + "1" * 32, "api_key_secret": "key-secret"}
TOKEN = {"auth_token": "token-secret"}


def settings(**given):
    return TwilioSettings(**{"account_sid": ACCOUNT_SID, **given})


def test_defaults():
    made = settings(**TOKEN)
    assert (made.list_lag_seconds, made.connect_timeout, made.total_timeout) == (14_400, 5.0, 30.0)
    assert made.credentials() == (ACCOUNT_SID, "token-secret")
    assert not made.uses_api_key


def test_an_api_key_wins_over_the_token():
    made = settings(**TOKEN, **KEY)
    assert made.credentials() == ("SK" + "1" * 32, "key-secret")
    assert made.uses_api_key


def test_secrets_do_not_show():
    shown = repr(settings(**TOKEN, **KEY))
    assert "token-secret" not in shown
    assert "key-secret" not in shown


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({**TOKEN, "account_sid": "AC123"}, "account_sid (login)"),
        ({**TOKEN, "account_sid": ""}, "account_sid (login)"),
        ({}, "auth_token (password) is missing, and so is an API key"),
        ({"auth_token": ""}, "auth_token (password)"),
        ({**TOKEN, "api_key_sid": KEY["api_key_sid"]}, "api_key_sid is set without api_key_secret"),
        ({**TOKEN, "api_key_secret": "x"}, "api_key_secret is set without api_key_sid"),
        ({**TOKEN, **KEY, "api_key_sid": "AC" + "1" * 32}, "api_key_sid"),
        (
            {**TOKEN, "base_url": "http://127.0.0.1:1", "region": "ie1"},
            "base_url (host) and region contradict",
        ),
        (
            {**TOKEN, "base_url": "http://127.0.0.1:1", "edge": "dublin"},
            "base_url (host) and edge contradict",
        ),
        ({**TOKEN, "base_url": "127.0.0.1:8010"}, "base_url (host) is not valid"),
        ({**TOKEN, "base_url": "ftp://example.com"}, "base_url (host) is not valid"),
        ({**TOKEN, "base_url": "https://u:p@example.com"}, "base_url (host) is not valid"),
        ({**TOKEN, "base_url": "https://example.com:port"}, "base_url (host) is not valid"),
        ({**TOKEN, "public_url": "example.com"}, "public_url is not valid"),
        ({**TOKEN, "region": "ie1.twilio.com"}, "region is not valid"),
        ({**TOKEN, "list_lag_seconds": -1}, "list_lag_seconds is not valid"),
        ({**TOKEN, "list_lag_seconds": "soon"}, "list_lag_seconds is not valid"),
        ({**TOKEN, "total_timeout": 0}, "total_timeout is not valid"),
        ({**TOKEN, "regoin": "ie1"}, "regoin is not a setting"),
    ],
)
def test_every_mistake_is_one_clear_error(given, named):
    with pytest.raises(ConfigurationError) as caught:
        settings(**given)
    assert named in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "secret" not in str(caught.value).replace("api_key_secret", "")


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigurationError) as caught:
        settings(account_sid="x", auth_token="t", list_lag_seconds="y", colour="z")
    for name in ("account_sid", "list_lag_seconds", "colour"):
        assert name in str(caught.value)


def test_the_last_slash_of_an_address_does_not_matter():
    assert settings(**TOKEN, base_url="http://127.0.0.1:8010/").base_url == "http://127.0.0.1:8010"
