"""The task that finds out what became of messages whose answer got lost."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger

from twilio_campaigns.domain.exceptions import RunPausedError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.chunk import Tally
from twilio_campaigns.engine.resolve import RunResolver
from twilio_campaigns.engine.send import BatchSender, campaign_of
from twilio_campaigns.engine.telling import tell_resolving
from twilio_campaigns.gateway.loop import run
from twilio_campaigns.hooks.errors import no_retry
from twilio_campaigns.hooks.logs import tell
from twilio_campaigns.hooks.warehouse import WarehouseHook
from twilio_campaigns.operators.sending import SendingOperator, run_of
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.runs import RunStore

if TYPE_CHECKING:
    from collections.abc import Iterator
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
        self._follow(context)

    def resume(self, context: Context, event: Any = None) -> None:  # noqa: ANN401, ARG002
        """Go on after a deferral; the trigger's event says nothing that we need."""
        self._follow(context)

    def _follow(self, context: Context) -> None:
        run_key = run_of(context, self.campaign_id).run_key
        with no_retry(), WarehouseHook(self.warehouse_conn_id).get_conn() as warehouse:
            settings = Settings.from_environ(os.environ)
            resolver = RunResolver(warehouse, run_key, settings)
            frozen = RunStore(warehouse).run(run_key)
            if frozen is not None and frozen.spec:
                self.show_links(context, run_key, campaign_of(frozen.spec))
            sent = Tally()
            while True:
                wake_at = run(self._look(warehouse, resolver, sent, settings))
                pause = wake_at - warehouse.now() if wake_at else None
                if pause is None or pause > settings.wait_in_place:
                    break
                time.sleep(max(settings.min_wait, pause).total_seconds())
            tell(self.log, self._table(warehouse, run_key, resolver, sent, wake_at))
        if wake_at is not None:
            self.defer(trigger=DateTimeTrigger(moment=wake_at), method_name="resume")

    async def _look(
        self, warehouse: Warehouse, resolver: RunResolver, sent: Tally, settings: Settings
    ) -> datetime | None:
        campaign = await resolver.campaign()
        if campaign is None:
            return None
        async with await self.gateway(campaign.connection) as twilio:
            for batch_no in await resolver.look(twilio):
                sender = BatchSender(warehouse, twilio, campaign, settings, width=self.width, tally=sent)
                try:
                    await self.send_with(sender, resolver.run_key, batch_no)
                except RunPausedError as error:
                    self.log.error("%s", error)  # noqa: TRY400 - it says all; and it is this task that waits
                    break
        return await resolver.wake_at()

    @staticmethod
    def _table(
        warehouse: Warehouse, run_key: str, resolver: RunResolver, sent: Tally, wake_at: datetime | None
    ) -> Iterator[str]:
        left = Ledger(warehouse).progress(run_key)
        yield from tell_resolving(run_key, resolver.found, resolver.freed, sent, left, wake_at)
