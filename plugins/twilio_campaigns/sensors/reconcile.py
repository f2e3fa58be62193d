"""The sensor that follows one UTC day's messages until every one is settled."""

from __future__ import annotations

import os
import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseSensorOperator

from twilio_campaigns.assets import emit, reconciled_days
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.engine.report import day_event
from twilio_campaigns.engine.telling import tell_look
from twilio_campaigns.gateway.loop import ROWS_INTERVAL, run
from twilio_campaigns.hooks.errors import no_retry
from twilio_campaigns.hooks.logs import tell
from twilio_campaigns.hooks.twilio import gateways
from twilio_campaigns.hooks.warehouse import DEFAULT_CONNECTION, WarehouseHook
from twilio_campaigns.links.pages import MessagingHealthLink

if TYPE_CHECKING:
    from airflow.sdk import Context


class TwilioReconcileSensor(BaseSensorOperator):
    """Reconcile the messages that Twilio accepted on one UTC day, until all are settled.

    The day is that of the run's logical date. A fresh start reads the whole day and repairs its events, so that
    a backfill, a cleared task and a retry mean the same; afterwards only what is due is read. Between two looks
    it waits in place when the pause is short and defers to the triggerer when it is long: it holds no worker
    slot then.

    When it succeeds, that is, once nothing more is found out about the day, it emits an event of
    :func:`~twilio_campaigns.assets.reconciled_days` with the day's figures.

    :param warehouse_conn_id: connection of ledger and events. The Twilio connections are those under which the
        messages were sent.
    """

    operator_extra_links = (MessagingHealthLink(),)

    def __init__(
        self,
        *,
        warehouse_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's own
    ) -> None:
        super().__init__(**{"outlets": [reconciled_days()], **kwargs})
        self.warehouse_conn_id = warehouse_conn_id

    def execute(self, context: Context) -> None:
        """Read the whole day, then follow it."""
        self._follow(context, full_read=True)

    def resume(self, context: Context, event: Any = None, *, full_read: bool = False) -> None:  # noqa: ANN401, ARG002
        """Follow the day on after a deferral; the trigger's event says nothing that we need.

        :param full_read: the read of the whole day is still owed.
        """
        self._follow(context, full_read=full_read)

    def _follow(self, context: Context, *, full_read: bool) -> None:
        day = _day_of(context)
        with no_retry(), WarehouseHook(self.warehouse_conn_id).get_conn() as warehouse:
            settings = Settings.from_environ(os.environ)
            reconciler = Reconciler(warehouse, gateways(settings.fetch_concurrency), settings)
            while True:
                look = run(reconciler.look(day, full_read=full_read), switch_interval=ROWS_INTERVAL)
                full_read = full_read and not look.was_read
                tell(self.log, tell_look(day, look))
                if look.finished:
                    emit(self, context, reconciled_days(), day_event(warehouse, day, look))
                    return
                pause = look.wake_at - warehouse.now()
                if pause > settings.wait_in_place:
                    break
                time.sleep(max(0.0, pause.total_seconds()))
        self.defer(trigger=DateTimeTrigger(moment=look.wake_at), method_name="resume", kwargs={"full_read": full_read})


def _day_of(context: Context) -> date:
    """Give the UTC day of the run's logical date; of its start for runs made without one."""
    dag_run = context["dag_run"]
    moment: datetime = dag_run.logical_date or dag_run.run_after
    return moment.astimezone(UTC).date()
