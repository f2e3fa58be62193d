"""The tasks of a campaign's DAG: freeze the audience, send its batches, report."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from twilio_campaigns.assets import campaign_asset, emit
from twilio_campaigns.domain.campaign_files import resolve_segment
from twilio_campaigns.domain.exceptions import ConfigurationError, TwilioUnavailableError, UnfinishedError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.engine.freeze import freeze_audience
from twilio_campaigns.engine.report import report_on
from twilio_campaigns.engine.send import BatchSender, campaign_of
from twilio_campaigns.engine.telling import tell_audience, tell_batch
from twilio_campaigns.gateway.loop import run
from twilio_campaigns.hooks.errors import no_retry
from twilio_campaigns.hooks.logs import tell
from twilio_campaigns.hooks.segment import read_segment
from twilio_campaigns.hooks.twilio import TwilioHook
from twilio_campaigns.hooks.warehouse import DEFAULT_CONNECTION, WarehouseHook
from twilio_campaigns.links.pages import CampaignLink, CampaignRunLink
from twilio_campaigns.operators.sending import SendingOperator, run_of
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.runs import RunStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow.sdk import Context

    from twilio_campaigns.domain.campaign import Campaign, Segment
    from twilio_campaigns.engine.chunk import Tally
    from twilio_campaigns.engine.report import RunReport
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.ledger import Progress
    from twilio_campaigns.warehouse.runs import RunRecord

#: How long after its post window a try that lives takes at most to record: Twilio's answer, and PostgreSQL coming back.
OUTLASTED: Final = timedelta(seconds=60)
#: Seconds between two looks at what others have claimed.
LOOK_EVERY: Final = 2.0


class TwilioPrepareAudienceOperator(BaseOperator):
    """Freeze a campaign's audience into the ledger, once per run; gives the numbers of its batches.

    Re-running it changes nothing: a frozen run keeps its audience, whatever segment and file say by then.

    :param campaign: the campaign.
    :param include: folder against which the segment's files are found.
    :param warehouse_conn_id: connection of the ledger.
    """

    operator_extra_links = (CampaignLink(), CampaignRunLink())

    def __init__(
        self,
        *,
        campaign: Campaign,
        include: str | None = None,
        warehouse_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's own
    ) -> None:
        super().__init__(**kwargs)
        self.campaign = campaign
        self.include = include
        self.warehouse_conn_id = warehouse_conn_id

    @property
    def campaign_id(self) -> str:
        """The campaign's name."""
        return self.campaign.campaign_id

    def execute(self, context: Context) -> list[int]:
        """Freeze the audience.

        :raises AirflowSkipException: for a run that is too late to text anybody.
        :raises AirflowFailException: for a segment or setting that a person has to mend.
        """
        run = run_of(context, self.campaign_id)
        CampaignRunLink().keep_run(self, context, run.run_key)
        include = Path(self.include) if self.include else Path.cwd()
        with no_retry(), WarehouseHook(self.warehouse_conn_id).get_conn() as warehouse:
            # A campaign made in Python may name an SQL file: the spec that is frozen holds the text itself.
            segment = resolve_segment(self.campaign.segment, include)
            campaign = self.campaign.model_copy(update={"segment": segment})
            frozen = freeze_audience(warehouse, run, campaign, lambda: self._read(segment, include))
            tell(self.log, tell_audience(warehouse, run.run_key))
        if frozen.state is RunState.TOO_LATE:
            raise AirflowSkipException(
                f"Run {run.run_key} is later than max_lateness ({campaign.max_lateness}) after its logical date. "
                "Nobody is texted."
            )
        self.log.info("Run %s is %s: %d batches.", run.run_key, frozen.state, len(frozen.batches))
        return frozen.batches

    def _read(self, segment: Segment, include: Path) -> Iterator[list[dict[str, object]]]:
        """Read the segment; before that make sure that Twilio would take messages at all.

        One error here is better than one in every batch. That Twilio cannot be asked is none: it may be there again
        when the first batch is.
        """
        try:
            TwilioHook(self.campaign.connection).require_account()
        except TwilioUnavailableError as error:
            self.log.warning("Whether Twilio accepts the account could not be seen: %s", error)
        yield from read_segment(segment, include)


class TwilioCampaignSendOperator(SendingOperator):
    """Send one batch of a frozen audience, each message at most once.

    What is sent, and by whom, was fixed when the audience was frozen; nothing is read from the campaign's file
    here. A retry and a cleared task go on with what is still planned.

    :param batch_no: which batch; mapped over what `prepare_audience` gives.
    """

    template_fields: Sequence[str] = ("batch_no",)

    def __init__(self, *, batch_no: int, **kwargs: Any) -> None:  # noqa: ANN401 - BaseOperator's own
        super().__init__(**kwargs)
        self.batch_no = batch_no

    def execute(self, context: Context) -> dict[str, int]:
        """Send what is planned; give how many messages this try sent.

        :raises UnfinishedError: when rows of the batch are left that another try may send.
        :raises AirflowFailException: when Twilio refuses the account or the sender.
        """
        run_key = run_of(context, self.campaign_id).run_key
        with no_retry(), WarehouseHook(self.warehouse_conn_id).get_conn() as warehouse:
            frozen = RunStore(warehouse).run(run_key)
            if frozen is None:
                raise ConfigurationError(f"Run {run_key} has no frozen audience. Clear its task `prepare_audience`.")
            campaign = campaign_of(frozen.spec)
            self.show_links(context, run_key, campaign)
            return run(self._send(warehouse, run_key, campaign, Settings.from_environ(os.environ)))

    async def _send(self, warehouse: Warehouse, run_key: str, campaign: Campaign, settings: Settings) -> dict[str, int]:
        started = time.monotonic()
        async with await self.gateway(campaign.connection) as twilio:
            sender = BatchSender(warehouse, twilio, campaign, settings, width=self.width)
            try:
                left = await self.send_with(sender, run_key, self.batch_no)
                left = await self._outlast_others(sender, left, warehouse, run_key, settings)
            finally:
                took = timedelta(seconds=time.monotonic() - started)
                await asyncio.to_thread(tell, self.log, self._table(warehouse, run_key, sender.tally, took))
        frozen = await asyncio.to_thread(RunStore(warehouse).run, run_key)
        self._judge(frozen, left, killed=sender.stopped)
        return {"sent": sender.tally.accepted, "refused": sender.tally.refused}

    def _table(self, warehouse: Warehouse, run_key: str, tally: Tally, took: timedelta) -> Iterator[str]:
        left = Ledger(warehouse).progress(run_key, self.batch_no)
        yield from tell_batch(f"Batch {self.batch_no} of run {run_key}", tally, left, took)

    async def _outlast_others(
        self, sender: BatchSender, left: Progress, warehouse: Warehouse, run_key: str, settings: Settings
    ) -> Progress:
        """Wait until nobody else has claims of the batch, and send what is given back.

        An earlier try that Airflow has given up may still be at work, and give rows back after its successor has found
        none to claim: the batch would be a success with people whom nobody texts. Whoever lives records its claims soon
        after its post window; what is claimed longer belongs to the dead, and is looked up when its lease is over.
        """
        ledger = Ledger(warehouse)
        until = time.monotonic() + min(settings.lease, settings.post_window + OUTLASTED).total_seconds()
        while left.claimed and not sender.stopped and time.monotonic() < until:
            await asyncio.sleep(LOOK_EVERY)
            left = await asyncio.to_thread(ledger.progress, run_key, self.batch_no)
            if left.planned:
                left = await self.send_with(sender, run_key, self.batch_no)
        return left

    def _judge(self, run: RunRecord | None, left: Progress, *, killed: bool) -> None:
        if killed:
            raise UnfinishedError(f"The task was told to end; {left.planned} messages of the batch stay planned.")
        if left.planned and run is not None:
            self.log.warning(
                "Run %s is %s: %d messages of the batch stay planned.", run.run_key, run.state, left.planned
            )


class TwilioCampaignReportOperator(BaseOperator):
    """Say what became of a campaign run, and fail while anybody's message has no outcome.

    Runs whatever became of the batches (`trigger_rule="all_done"`), so that a green run means what it says.

    When nothing of the run is sent any more, it emits an event of :func:`~twilio_campaigns.assets.campaign_asset` with
    the run's figures; not for a run that is paused, or that was too late to text anybody.

    :param campaign_id: the campaign.
    :param warehouse_conn_id: connection of the ledger.
    """

    operator_extra_links = (CampaignLink(), CampaignRunLink())

    def __init__(
        self,
        *,
        campaign_id: str,
        warehouse_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,  # noqa: ANN401 - BaseOperator's own
    ) -> None:
        super().__init__(**{"outlets": [campaign_asset(campaign_id)], **kwargs})
        self.campaign_id = campaign_id
        self.warehouse_conn_id = warehouse_conn_id

    def execute(self, context: Context) -> dict[str, int]:
        """Log the run's figures and give them.

        :raises UnfinishedError: while rows are planned, claimed or unknown.
        """
        run_key = run_of(context, self.campaign_id).run_key
        CampaignRunLink().keep_run(self, context, run_key)
        with no_retry(), WarehouseHook(self.warehouse_conn_id).get_conn() as warehouse:
            report = self._report(warehouse, run_key)
        emit(self, context, campaign_asset(self.campaign_id), report.event() if report.is_over else None)
        return report.figures()

    def _report(self, warehouse: Warehouse, run_key: str) -> RunReport:
        report = report_on(warehouse, run_key)
        tell(self.log, report.lines())
        if report.left and report.state not in {RunState.STOPPED, RunState.PAUSED}:
            raise UnfinishedError(report.unfinished())
        return report
