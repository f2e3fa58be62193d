"""Settings from the environment: readable, and refused with a remedy when they are not."""

from datetime import timedelta
from pathlib import Path

import pytest

from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.settings import Settings


def test_defaults_are_those_of_the_protocols():
    settings = Settings.from_environ({"HOME": "/"})
    assert settings.post_window == timedelta(seconds=20)
    assert settings.lease == timedelta(minutes=10)
    assert settings.tracking_window == timedelta(days=4)
    assert settings.ladder[-1] == settings.tracking_window


def test_durations_are_written_as_people_write_them():
    settings = Settings.from_environ(
        {
            "TWILIO_CAMPAIGNS__TRACKING_WINDOW": "4d",
            "TWILIO_CAMPAIGNS__MAX_WAIT": "90",
            "TWILIO_CAMPAIGNS__LADDER": "5s,1m,2h",
            "TWILIO_CAMPAIGNS__SCHEMA": "texting",
            "TWILIO_CAMPAIGNS__INCLUDE": "/somewhere",
        }
    )
    assert settings.tracking_window == timedelta(days=4)
    assert settings.max_wait == timedelta(seconds=90)
    assert settings.ladder == (timedelta(seconds=5), timedelta(minutes=1), timedelta(hours=2))
    assert settings.db_schema == "texting"
    assert settings.include == Path("/somewhere")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("TRAKING_WINDOW", "4d", "TWILIO_CAMPAIGNS__TRAKING_WINDOW is no setting of ours.*TRACKING_WINDOW"),
        ("TRACKING_WINDOW", "soon", "TRACKING_WINDOW"),
        ("TRACKING_WINDOW", "-1h", "TRACKING_WINDOW"),
        ("LADDER", "1m,never", "LADDER"),
        ("SCHEMA", 'x"; drop', "SCHEMA"),
        ("FETCH_CONCURRENCY", "0", "FETCH_CONCURRENCY"),
        ("TRUSTED_PROXIES", "10.0.0.0/40", "TRUSTED_PROXIES"),
        ("TRUSTED_PROXIES", "proxy.example.com", "TRUSTED_PROXIES"),
        ("WEBHOOK_BUDGET", "0", "WEBHOOK_BUDGET"),
    ],
)
def test_a_setting_that_cannot_be_read_is_named(name, value, says):
    with pytest.raises(ConfigurationError, match=f"(?s){says}"):
        Settings.from_environ({f"TWILIO_CAMPAIGNS__{name}": value})


def test_proxies_and_connections_of_webhooks():
    settings = Settings.from_environ(
        {
            "TWILIO_CAMPAIGNS__TRUSTED_PROXIES": "10.0.0.5, 10.1.0.0/16,2001:db8::/32",
            "TWILIO_CAMPAIGNS__WEBHOOK_CONNECTIONS": "twilio_default, twilio_marketing",
        }
    )
    assert [str(network) for network in settings.trusted_proxies] == ["10.0.0.5/32", "10.1.0.0/16", "2001:db8::/32"]
    assert settings.webhook_connections == ("twilio_default", "twilio_marketing")
    assert Settings.from_environ({}).webhook_connections == ("twilio_default",)
    assert Settings.from_environ({}).webhook_budget < timedelta(seconds=15)
