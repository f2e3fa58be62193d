"""Small things that many tests build."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

from twilio_campaigns.domain.campaign import AudienceRules, Campaign, Message, SqlSegment
from twilio_campaigns.domain.message import Observation
from twilio_campaigns.domain.sender import SenderProfile
from twilio_campaigns.domain.status import Source
from twilio_campaigns.engine.freeze import freeze_audience
from twilio_campaigns.warehouse.audience import Run

ACCOUNT_SID = "AC" + "0" * 31 + "1"
TOKEN = "a-token-of-the-simulator"


def sender(**changes):
    values = {
        "name": "service",
        "messaging_service_sid": "MG" + "0" * 32,
        "parts_per_second": 5000.0,
    }
    return SenderProfile(**{**values, **changes})


def campaign(**changes):
    values = {
        "campaign_id": "spring",
        "sender": sender(),
        "segment": SqlSegment(query="select 1"),
        "message": Message(body="Hi {{ first_name }}"),
        "audience": AudienceRules(default_region="US"),
    }
    return Campaign(**{**values, **changes})


def run(key="2026-11-20", campaign_id="spring", logical_date=None):
    return Run(f"{campaign_id}/{key}", campaign_id, f"campaign__{campaign_id}", f"manual__{key}", logical_date)


def in_run(logical_date=None, run_id="manual__one", **changes):
    """Give the part of Airflow's context that our tasks read."""
    values = {
        "dag_id": "campaign__spring",
        "run_id": run_id,
        "logical_date": logical_date,
        "run_after": datetime.now(UTC),
        "run_type": "manual",
    }
    return {"dag_run": SimpleNamespace(**{**values, **changes})}


def people(count, first=0):
    """Rows of a segment: valid US numbers."""
    return [
        {"customer_id": f"c{n:06}", "phone": f"+1202555{n:04}", "first_name": f"Name{n}"}
        for n in range(first, first + count)
    ]


def freeze(warehouse, rows, *, of=None, as_run=None):
    """Freeze rows as the audience of a run."""
    return freeze_audience(warehouse, as_run or run(), of or campaign(), lambda: iter([rows]))


def observation(sid=None, status="queued", *, at=None, **changes):
    at = at or datetime(2026, 11, 20, 12, tzinfo=UTC)
    values = {
        "sid": sid or "SM" + uuid4().hex,
        "provider_status": status,
        "direction": "outbound-api",
        "created_at": at,
        "updated_at": at + timedelta(seconds=5),
        "source": Source.LIST,
    }
    return Observation(**{**values, **changes})
