"""Campaigns become DAGs: from YAML files or from Python, by the same function.

::

    from twilio_campaigns.dag_builder import campaign_dag
    dag = campaign_dag(Campaign(campaign_id="spring_sale", ...))
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from airflow.sdk import DAG, CronTriggerTimetable, Param

from twilio_campaigns.domain.campaign_files import load_campaigns
from twilio_campaigns.domain.exceptions import CampaignFileError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.hooks.warehouse import DEFAULT_CONNECTION
from twilio_campaigns.operators.audit import TwilioAuditOperator
from twilio_campaigns.operators.campaign import (
    TwilioCampaignReportOperator,
    TwilioCampaignSendOperator,
    TwilioPrepareAudienceOperator,
)
from twilio_campaigns.operators.resolve import TwilioResolveUnknownOperator
from twilio_campaigns.operators.warehouse import WarehouseUpgradeOperator
from twilio_campaigns.sensors.reconcile import TwilioReconcileSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twilio_campaigns.domain.campaign import Campaign

#: Our own DAGs begin here; `catchup=False` keeps it from mattering.
EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
#: A new campaign's first slot is still due for this long: a parse between the slot and the scheduler must not lose it.
SLOT_GRACE: Final = timedelta(minutes=1)
#: Mapped sending tasks at a time: they share the sender's throughput, so more would only wait for each other.
BATCHES_AT_ONCE: Final = 4

_ABOUT_THE_AUDIT: Final = """
A run with logical date **D** audits the messages that Twilio accepted on **D - 5 days** (UTC): every window of that
day is over, and so is its run of `reconcile_messages`. Where `TWILIO_CAMPAIGNS__TRACKING_WINDOW` is longer than 4 days,
it is so many days more. The log's first line names the day. A backfill of D audits the same day again; param `day`
names any.

Green: nothing is missing. Red without a retry: a gap; the error says how many messages of which kind and what to do,
table `reconcile_audit_findings` which. It only reads. More: `docs/audit.md`.
"""


def include_folder(beside: str | Path | None = None) -> Path:
    """Find the folder of campaigns, segments and senders.

    :param beside: a DAG file; `include/` lies beside its folder unless `TWILIO_CAMPAIGNS__INCLUDE` says else.
    """
    configured = Settings.from_environ(os.environ).include
    if configured is not None:
        return configured
    return (Path(beside).resolve().parent.parent if beside else Path.cwd()) / "include"


def campaign_dag(campaign: Campaign, include: str | Path | None = None) -> DAG:
    """Build the DAG `campaign__<campaign_id>`.

    :param campaign: what to send to whom.
    :param include: folder against which the segment's file is found; not needed for SQL segments.
    """
    retry_delay = Settings.from_environ(os.environ).retry_delay
    with DAG(
        dag_id=f"campaign__{campaign.campaign_id}",
        description=campaign.description or f"{campaign.action_type().upper()} campaign {campaign.campaign_id}",
        schedule=_timetable(campaign),
        start_date=campaign.start_date,  # none of our own: see _timetable
        catchup=False,
        max_active_runs=4,
        tags=["campaign", campaign.action_type(), *campaign.tags],
        default_args={
            "retry_delay": retry_delay,
            "retry_exponential_backoff": True,
            "max_retry_delay": 20 * retry_delay,
        },
    ) as dag:
        prepare = TwilioPrepareAudienceOperator(
            task_id="prepare_audience",
            campaign=campaign,
            include=str(include) if include else None,
            retries=3,
        )
        send = TwilioCampaignSendOperator.partial(
            task_id="send_batch",
            campaign_id=campaign.campaign_id,
            retries=5,
            max_active_tis_per_dagrun=BATCHES_AT_ONCE,
        ).expand(batch_no=prepare.output)
        resolve = TwilioResolveUnknownOperator(
            task_id="resolve_unknown",
            campaign_id=campaign.campaign_id,
            trigger_rule="all_done",
            retries=5,
        )
        report = TwilioCampaignReportOperator(
            task_id="report",
            campaign_id=campaign.campaign_id,
            trigger_rule="all_done",
            retries=0,
        )
        send >> resolve >> report
        prepare >> report
    return dag


def campaign_dags(include: Path) -> dict[str, DAG]:
    """Build the DAG of every readable file in `include/campaigns`, by DAG id.

    A broken file is left out here; :func:`raise_broken_campaigns` shows it.
    """
    campaigns, _ = load_campaigns(include)
    return {dag.dag_id: dag for dag in (campaign_dag(campaign, include) for campaign in campaigns)}


def raise_broken_campaigns(include: Path) -> None:
    """Raise one error that names every broken campaign file, with its lines and remedies.

    Airflow shows it as the import error of the DAG file that calls this, which must not be the file that makes
    the DAGs: Airflow stops scheduling every DAG of a file with an import error.

    :raises CampaignFileError: if any file is broken.
    """
    _, errors = load_campaigns(include)
    if errors:
        raise CampaignFileError(*(problem for error in errors for problem in error.problems))


def reconcile_dag(warehouse_conn_id: str = DEFAULT_CONNECTION) -> DAG:
    """Build `reconcile_messages`: one run per UTC day, green when every message of the day is settled."""
    retry_delay = Settings.from_environ(os.environ).retry_delay
    with DAG(
        dag_id="reconcile_messages",
        description="Follows every message of one UTC day until its fate is known or 4 days have passed.",
        schedule=CronTriggerTimetable("0 0 * * *", timezone="UTC"),
        start_date=EPOCH,
        catchup=False,
        max_active_runs=16,
        tags=["twilio", "reconcile"],
    ) as dag:
        TwilioReconcileSensor(
            task_id="reconcile",
            warehouse_conn_id=warehouse_conn_id,
            retries=20,
            retry_delay=retry_delay,
            retry_exponential_backoff=True,
            max_retry_delay=60 * retry_delay,
        )
    return dag


def audit_dag(warehouse_conn_id: str = DEFAULT_CONNECTION, other_senders: Sequence[str] = ()) -> DAG:
    """Build `reconcile_audit`: every morning the day that has just closed, ledger against Twilio's list.

    :param other_senders: From numbers and Messaging Services that not only campaigns use: their messages are not
        called orphans.
    """
    retry_delay = Settings.from_environ(os.environ).retry_delay
    with DAG(
        dag_id="reconcile_audit",
        description="Compares the ledger of the day that has just closed with Twilio's list; red where they differ.",
        doc_md=_ABOUT_THE_AUDIT,
        # By then the run of `reconcile_messages` of a day whose windows ended at midnight is over.
        schedule=CronTriggerTimetable("0 6 * * *", timezone="UTC"),
        start_date=EPOCH,
        catchup=False,
        max_active_runs=2,
        params={
            "day": Param(
                None,
                type=["null", "string"],
                format="date",
                description="UTC day to audit. Empty: the latest that is closed at the run's logical date.",
            )
        },
        tags=["twilio", "reconcile"],
    ) as dag:
        TwilioAuditOperator(
            task_id="audit",
            day="{{ params.day or '' }}",
            other_senders=other_senders,
            warehouse_conn_id=warehouse_conn_id,
            retries=5,
            retry_delay=retry_delay,
            retry_exponential_backoff=True,
            max_retry_delay=60 * retry_delay,
        )
    return dag


def warehouse_upgrade_dag(warehouse_conn_id: str = DEFAULT_CONNECTION) -> DAG:
    """Build `warehouse_upgrade`: started by a person after an installation or an update."""
    with DAG(
        dag_id="warehouse_upgrade",
        description="Creates or migrates the tables and views of schema messaging.",
        schedule=None,
        start_date=EPOCH,
        catchup=False,
        max_active_runs=1,
        tags=["twilio"],
    ) as dag:
        WarehouseUpgradeOperator(task_id="upgrade", warehouse_conn_id=warehouse_conn_id)
    return dag


def _timetable(campaign: Campaign) -> CronTriggerTimetable | None:
    """Give an explicit timetable: `schedule="0 9 * * *"` would mean what the site's settings make of it.

    A new campaign waits for its next slot instead of making up for the last one, which nobody asked for: Airflow
    looks at `run_immediately` only where the DAG has no start date. One that ran before and was paused makes up for
    its last slot if that is no older than `max_lateness`.
    """
    if campaign.cron is None:
        return None
    return CronTriggerTimetable(campaign.cron, timezone=campaign.timezone, run_immediately=SLOT_GRACE)
