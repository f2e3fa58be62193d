"""The Airflow plugin of this package."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from airflow.sdk.plugins_manager import AirflowPlugin


class TwilioCampaignsPlugin(AirflowPlugin):
    """Announces the package to Airflow, and mounts its webhooks in the API server under ``/twilio``.

    Registered by the entry point ``airflow.plugins``, or by ``plugins/twilio_campaigns_plugin.py`` where the
    package is mounted and not installed; never by both.
    """

    name = "twilio_campaigns"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow reads it from the instance
        """Give the webhooks' app. Made when it is asked for: workers load plugins, too, and serve nothing."""
        from twilio_campaigns.web.app import PREFIX, create_app

        return [{"app": create_app(prefixes=("",)), "url_prefix": PREFIX, "name": "Twilio webhooks"}]
