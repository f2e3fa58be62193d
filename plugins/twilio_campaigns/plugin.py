"""The Airflow plugin of this package."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

from airflow.sdk.plugins_manager import AirflowPlugin

from twilio_campaigns.domain.page_urls import MOUNT, ROUTE


class TwilioCampaignsPlugin(AirflowPlugin):
    """Announces the package to Airflow, and mounts its webhooks and pages in the API server under ``/twilio``.

    The pages stand in Airflow's navigation, and as a tab beside each DAG and DAG run: Airflow knows no tab of some
    DAGs only, so other people's DAGs have it, too, and it says that they send no campaign.

    Registered by the entry point ``airflow.plugins``, or by ``plugins/twilio_campaigns_plugin.py`` where the
    package is mounted and not installed; never by both.
    """

    name = "twilio_campaigns"
    _ICONS: ClassVar[dict[str, str]] = {
        "icon": f"{MOUNT[1:]}/static/campaigns.svg",
        "icon_dark_mode": f"{MOUNT[1:]}/static/campaigns-dark.svg",
    }
    # Addresses without a slash in front: they count from Airflow's own base path.
    external_views: ClassVar[list[Any]] = [  # type: ignore[misc]  # Airflow annotates it as an instance's
        {
            "name": "Campaigns",
            "href": f"{MOUNT[1:]}/campaigns",
            "destination": "nav",
            "url_route": ROUTE,
            **_ICONS,
            "nav_top_level": True,
        },
        {
            "name": "Campaign",
            "href": f"{MOUNT[1:]}/dags/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "campaign",
            **_ICONS,
        },
        {
            "name": "Campaign run",
            "href": f"{MOUNT[1:]}/dags/{{DAG_ID}}/runs/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "campaign_run",
            **_ICONS,
        },
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow reads it from the instance
        """Give the app. Made when it is asked for: workers load plugins, too, and serve nothing."""
        from twilio_campaigns.web.app import PREFIX, airflow_app

        return [{"app": airflow_app(), "url_prefix": PREFIX, "name": "Twilio webhooks and pages"}]
