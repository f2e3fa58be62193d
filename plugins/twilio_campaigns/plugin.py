"""The Airflow plugin of this package."""

from __future__ import annotations

from airflow.sdk.plugins_manager import AirflowPlugin


class TwilioCampaignsPlugin(AirflowPlugin):
    """Announces the package to Airflow, so that ``airflow plugins`` and the UI show that it is there.

    Registered by the entry point ``airflow.plugins``, or by ``plugins/twilio_campaigns_plugin.py`` where the
    package is mounted and not installed; never by both.
    """

    name = "twilio_campaigns"
