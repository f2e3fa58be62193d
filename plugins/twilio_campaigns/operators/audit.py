"""The task that compares a closed day's ledger with Twilio's list."""

from __future__ import annotations

import os
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from twilio_campaigns.domain.auditing import audited_day
from twilio_campaigns.domain.exceptions import ConfigurationError, UnfinishedError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.audit import Auditor
from twilio_campaigns.gateway.loop import ROWS_INTERVAL, run
from twilio_campaigns.hooks.errors import no_retry
from twilio_campaigns.hooks.logs import tell
from twilio_campaigns.hooks.twilio import gateways
from twilio_campaigns.hooks.warehouse import DEFAULT_CONNECTION, WarehouseHook
from twilio_campaigns.links.pages import MessagingHealthLink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from twilio_campaigns.domain.audit_result import AuditResult


class TwilioAuditOperator(BaseOperator):
    """Compare the ledger of one closed UTC day with what Twilio lists of it.

    Green: every accepted message is at Twilio, its last status is in the ledger, and no other message looks like a
    campaign's. A gap fails the task without a retry, with the figures and what to do in its message; SIDs are in table
    `reconcile_audit_findings`. Where Twilio or the warehouse is out of reach the task is retried. It reads only, texts
    nobody, and may be run for any day, any number of times.

    Returns the figures: accepted, matched, missing, orphans, different, listed, fetched, api_calls.

    :param day: UTC day of acceptance, `2026-11-20`; empty: five days before the run's logical date, more where the
        tracking window is longer, which is the latest day that is closed. (templated)
    :param other_senders: From numbers and Messaging Services that campaigns share with something that keeps no
        ledger, `TwilioSendMessageOperator` for example: their messages are not called orphans.
    :param warehouse_conn_id: connection of the ledger. The Twilio connections are those under which the messages were
        sent.
    """

    template_fields: Sequence[str] = ("day",)
    operator_extra_links = (MessagingHealthLink(),)

    def __init__(
        self,
        *,
        day: str | None = None,
        other_senders: Sequence[str] = (),
        warehouse_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's own
    ) -> None:
        super().__init__(**kwargs)
        self.day = day
        self.other_senders = other_senders
        self.warehouse_conn_id = warehouse_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Audit the day.

        :raises AirflowFailException: for a gap, or an account or setting that a person has to mend.
        :raises UnfinishedError: when not everything could be read; another try may.
        """
        with no_retry(), WarehouseHook(self.warehouse_conn_id).get_conn() as warehouse:
            settings = Settings.from_environ(os.environ)
            day = self._day(context, settings)
            self.log.info("Auditing the messages that Twilio accepted on %s.", day)
            auditor = Auditor(
                warehouse, gateways(settings.fetch_concurrency), settings, other_senders=self.other_senders
            )
            result = run(auditor.audit(day), switch_interval=ROWS_INTERVAL)
        return self._judge(result)

    def _day(self, context: Context, settings: Settings) -> date:
        if not self.day:
            dag_run = context["dag_run"]
            moment: datetime = dag_run.logical_date or dag_run.run_after
            return audited_day(moment, settings.tracking_window)
        try:
            return date.fromisoformat(self.day)
        except ValueError:
            raise ConfigurationError(f"day is {self.day!r}. Write it as 2026-11-20, or leave it empty.") from None

    def _judge(self, result: AuditResult) -> dict[str, int]:
        tell(self.log, result.lines())
        tell(self.log, result.table())
        if result.needs_a_person:
            raise AirflowFailException(result.problem())
        if not result.is_clean:
            raise UnfinishedError(result.problem())
        return result.figures()
