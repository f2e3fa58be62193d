"""What Airflow's provider manager reads: the connection type with its form, and where our classes are."""

from __future__ import annotations

from typing import Any

from twilio_campaigns import __version__

_INTEGRATION = "Twilio Campaigns"
_LINKS = (
    "console.TwilioMessageLink",
    "console.TwilioMessageLogLink",
    "pages.CampaignLink",
    "pages.CampaignRunLink",
    "pages.MessagingHealthLink",
)
_TEXT = {"type": ["string", "null"]}
_SECRET = {**_TEXT, "format": "password"}


def get_provider_info() -> dict[str, Any]:
    """Describe this provider; entry point ``apache_airflow_provider``.

    The plugin is not named here: it comes by the entry point ``airflow.plugins``, and Airflow takes the same
    plugin registered twice amiss.
    """
    return {
        "package-name": "airflow-provider-twilio-campaigns",
        "name": "Twilio Campaigns",
        "description": "SMS and MMS campaigns over Twilio, with every message's fate in the warehouse.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _INTEGRATION,
                "external-doc-url": "https://www.twilio.com/docs/messaging",
                "tags": ["service"],
            }
        ],
        "hooks": [_modules("hooks.twilio")],
        "operators": [_modules("operators.campaign", "operators.resolve", "operators.message", "operators.audit")],
        "sensors": [_modules("sensors.reconcile")],
        "extra-links": [f"twilio_campaigns.links.{name}" for name in _LINKS],
        "notifications": ["twilio_campaigns.notifications.twilio.TwilioNotifier"],
        "connection-types": [_connection_type()],
    }


def _modules(*names: str) -> dict[str, Any]:
    return {
        "integration-name": _INTEGRATION,
        "python-modules": [f"twilio_campaigns.{name}" for name in names],
    }


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "twilio",
        "hook-name": "Twilio",
        "hook-class-name": "twilio_campaigns.hooks.twilio.TwilioHook",
        "ui-field-behaviour": {
            # The port stays visible: the test button of Airflow 3.3.2 refuses a saved connection without one
            # (apache/airflow#73298, mended after that release).
            "hidden-fields": ["schema", "extra"],
            "relabeling": {"host": "API base URL", "login": "Account SID", "password": "Auth Token"},
            "placeholders": {
                "host": "empty for Twilio itself",
                "port": "443; Airflow 3.3.2 cannot test a connection without a port",
                "login": "AC…, from the Twilio Console",
                "password": "from the Twilio Console",
            },
        },
        "conn-fields": {
            "api_key_sid": _field("API key SID", "SK…; with it, API calls use the key, not the Auth Token."),
            "api_key_secret": _field("API key secret", "Shown by Twilio once, when the key is made.", _SECRET),
            "region": _field("Region", "Where Twilio processes the calls, such as ie1. Empty: us1."),
            "edge": _field("Edge", "Where the calls enter Twilio's network, such as dublin. Empty: nearest."),
            "list_lag_seconds": _field(
                "List lag (seconds)",
                "How late Twilio's message list may show a message. Empty: 14400, four hours.",
                {"type": ["integer", "null"], "minimum": 0},
            ),
            "public_url": _field(
                "Public URL",
                "Where Twilio reaches this Airflow's webhooks, from outside: https://airflow.example.com/twilio.",
            ),
            "previous_auth_token": _field(
                "Previous Auth Token",
                "Webhooks that it signed are still taken; empty the field once the token is changed.",
                _SECRET,
            ),
            "webhook_shared_key": _field(
                "Webhook SharedKey", "Its secret, where Twilio signs webhooks with one (HMAC-SHA256).", _SECRET
            ),
        },
    }


def _field(label: str, description: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": dict(schema or _TEXT)}
