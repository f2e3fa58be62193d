"""Links to our own pages in Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from twilio_campaigns.domain.page_urls import MOUNT, campaign_path, framed, run_path
from twilio_campaigns.links.kept import KeptLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey


def page_url(path: str) -> str:
    """Give the address of one of our pages, without a host: people reach one Airflow under several.

    Where this worker knows ``[api] base_url``, it is the page with Airflow's navigation beside it. A worker need not
    know it; then it is the page alone, relative to Airflow's base path, which Airflow's UI puts in front.

    :param path: below the mount, as :mod:`~twilio_campaigns.domain.page_urls` gives it.
    """
    base_url = conf.get("api", "base_url", fallback=None)
    return framed(urlsplit(base_url).path, path) if base_url else f"{MOUNT}{path}".removeprefix("/")


class CampaignLink(BaseOperatorLink):
    """The campaign's page: its runs, and what became of them."""

    name = "Campaign"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's own
        """Give the address."""
        return page_url(campaign_path(cast("str", operator.campaign_id)))  # type: ignore[attr-defined]


class CampaignRunLink(KeptLink):
    """The page of the campaign run that this DAG run is."""

    name = "Campaign run"

    def keep_run(self, operator: BaseOperator, context: Context, run_key: str) -> None:
        """Show the link to this run from now on."""
        self.keep(operator, context, page_url(run_path(run_key)))


class MessagingHealthLink(BaseOperatorLink):
    """The page of health: what each day's passes read, what is open, which errors there were."""

    name = "Messaging health"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's own
        """Give the address."""
        return page_url("/health-page")
