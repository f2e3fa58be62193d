"""What every task that texts people has in common."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from twilio_campaigns.domain.console_urls import messages_log_url
from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.hooks.twilio import TwilioHook
from twilio_campaigns.hooks.warehouse import DEFAULT_CONNECTION
from twilio_campaigns.links.console import TwilioMessageLogLink
from twilio_campaigns.links.pages import CampaignLink, CampaignRunLink
from twilio_campaigns.warehouse.audience import Run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.engine.send import BatchSender
    from twilio_campaigns.warehouse.ledger import Progress


def run_of(context: Context, campaign_id: str) -> Run:
    """Name the campaign run that this DAG run is.

    Keyed by the logical date, which clearing and re-running keep; by the run id where Airflow gives none. The
    run's type is no key: a reprocessing backfill rewrites it.
    """
    dag_run = context["dag_run"]
    logical_date = dag_run.logical_date
    moment = logical_date.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if logical_date else dag_run.run_id
    return Run(
        run_key=f"{campaign_id}/{moment}",
        campaign_id=campaign_id,
        dag_id=dag_run.dag_id,
        dag_run_id=dag_run.run_id,
        logical_date=logical_date.astimezone(UTC) if logical_date else None,
    )


class SendingOperator(BaseOperator):
    """A task that posts messages of a campaign, and that stops in an orderly way when Airflow ends it.

    :param campaign_id: the campaign.
    :param warehouse_conn_id: connection of the ledger.
    :param width: requests under way at a time.
    """

    ui_color = "#f9d7dc"
    operator_extra_links = (CampaignLink(), CampaignRunLink(), TwilioMessageLogLink())

    def __init__(
        self,
        *,
        campaign_id: str,
        warehouse_conn_id: str = DEFAULT_CONNECTION,
        width: int = 100,
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's own
    ) -> None:
        super().__init__(**kwargs)
        self.campaign_id = campaign_id
        self.warehouse_conn_id = warehouse_conn_id
        self.width = width
        self._kill_sender: Any = None
        self._is_killed = False

    async def gateway(self, connection_id: str) -> TwilioGateway:
        """Make an unopened gateway of a connection."""
        return TwilioGateway(await TwilioHook(connection_id).aget_settings(), max_connections=self.width)

    async def send_with(self, sender: BatchSender, run_key: str, batch_no: int) -> Progress:
        """Send what is planned of a batch, and stop when Airflow ends the task meanwhile."""
        loop = asyncio.get_running_loop()
        self._kill_sender = lambda: loop.call_soon_threadsafe(sender.kill)
        if self._is_killed:
            sender.kill()
        try:
            return await sender.send(run_key, batch_no)
        finally:
            self._kill_sender = None

    def show_links(self, context: Context, run_key: str, campaign: Campaign) -> None:
        """Show the links to the run's page and to Twilio's log, from now on.

        Only outside a running event loop: Airflow stores them synchronously.
        """
        CampaignRunLink().keep_run(self, context, run_key)
        with suppress(ConfigurationError):  # whoever sends with this connection says so
            region = TwilioHook(campaign.connection).get_settings().region
            TwilioMessageLogLink().keep(self, context, messages_log_url(campaign.sender.from_number, region))

    def on_kill(self) -> None:
        """Stop claiming and posting, record what is known; Airflow ends the task 5 s later.

        It may come before the first chunk is claimed, too.
        """
        self._is_killed = True
        if self._kill_sender is not None:
            self._kill_sender()
