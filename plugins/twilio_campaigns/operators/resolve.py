"""The task that finds out what became of messages whose answer got lost."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger

from twilio_campaigns.domain.exceptions import RunPausedError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.resolve import RunResolver
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.loop import run
from twilio_campaigns.hooks.errors import no_retry
from twilio_campaigns.hooks.warehouse import WarehouseHook
from twilio_campaigns.operators.sending import SendingOperator, run_of

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context

    from twilio_campaigns.warehouse.connection import Warehouse


class TwilioResolveUnknownOperator(SendingOperator):
    """Look lost answers up in Twilio; adopt what it took, send again what it never took; go on after a pause.

    Runs whatever became of the batches (`trigger_rule="all_done"`). A message counts as never taken after two
    look-ups, half an hour apart, once Twilio's list must show it (`list_lag_seconds` of the connection). Waiting
    for that, or for somebody to resume a paused run, the task holds no worker slot. It ends when nothing of the run is
    in doubt, or when what is may not be sent any more; reconciling goes on looking until the tracking window closes.
    """

    def execute(self, context: Context) -> None:
        """Look until nothing is in doubt, or nothing more can be done."""
        self._follow(run_of(context, self.campaign_id).run_key)

    def resume(self, context: Context, event: Any = None) -> None:  # noqa: ANN401, ARG002
        """Go on after a deferral; the trigger's event says nothing that we need."""
        self._follow(run_of(context, self.campaign_id).run_key)

    def _follow(self, run_key: str) -> None:
        with no_retry(), WarehouseHook(self.warehouse_conn_id).get_conn() as warehouse:
            settings = Settings.from_environ(os.environ)
            while True:
                wake_at = run(self._look(warehouse, run_key, settings))
                if wake_at is None:
                    return
                pause = wake_at - warehouse.now()
                if pause > settings.wait_in_place:
                    break
                time.sleep(max(settings.min_wait, pause).total_seconds())
        self.log.info("The run is looked at again at %s.", wake_at.isoformat(timespec="seconds"))
        self.defer(trigger=DateTimeTrigger(moment=wake_at), method_name="resume")

    async def _look(self, warehouse: Warehouse, run_key: str, settings: Settings) -> datetime | None:
        resolver = RunResolver(warehouse, run_key, settings)
        campaign = await resolver.campaign()
        if campaign is None:
            return None
        async with await self.gateway(campaign.connection) as twilio:
            for batch_no in await resolver.look(twilio):
                sender = BatchSender(warehouse, twilio, campaign, settings, width=self.width)
                try:
                    await self.send_with(sender, run_key, batch_no)
                except RunPausedError as error:
                    self.log.error("%s", error)  # noqa: TRY400 - it says all; and it is this task that waits
                    break
        return await resolver.wake_at()
