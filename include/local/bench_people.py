"""Whom the benchmarks text: recipients, campaign and run, the same for every contestant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.campaign import AudienceRules, Campaign, Message, SqlSegment
from twilio_campaigns.domain.sender import SenderProfile
from twilio_campaigns.engine.freeze import freeze_audience
from twilio_campaigns.warehouse.audience import Run
from twilio_campaigns.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE_SID: Final = "MG0123456789abcdef0123456789abcdef"
#: Rows of a segment that are read at a time.
CHUNK: Final = 5000
#: High enough to limit nobody here.
UNLIMITED: Final = 20_000.0
GREETING: Final = "spring is here. Your points wait for you. Reply STOP to opt out."
_AREAS: Final = (202, 212, 213, 305, 312)


def phone(number: int) -> str:
    """Give a valid US number, another one for each of the first four million."""
    serial = number // len(_AREAS)
    return f"+1{_AREAS[number % len(_AREAS)]}{220 + serial // 10_000}{serial % 10_000:04}"


def text(number: int) -> str:
    """Give what this recipient reads, for contestants that have no templates."""
    return f"Hi {name(number, 0)}, {GREETING}"


def name(number: int, long_every: int) -> str:
    """Give a first name; every so many people have one that makes their text a second part (0: nobody)."""
    return f"Name{number}" + ("x" * 120 if long_every and number % long_every == 0 else "")


def rows(count: int, *, first: int = 0, long_every: int = 0) -> Iterator[list[dict[str, object]]]:
    """Give a segment's rows, made as they are read."""
    for start in range(first, first + count, CHUNK):
        yield [
            {"customer_id": f"c{n:08}", "phone": phone(n), "first_name": name(n, long_every)}
            for n in range(start, min(start + CHUNK, first + count))
        ]


def campaign(campaign_id: str, parts_per_second: float, batch_size: int | None) -> Campaign:
    """Give a campaign; all of them share one sender."""
    return Campaign(
        campaign_id=campaign_id,
        sender=SenderProfile(
            name="service", messaging_service_sid=SERVICE_SID, parts_per_second=float(parts_per_second)
        ),
        segment=SqlSegment(query="select 1"),
        message=Message(body=f"Hi {{{{ first_name }}}}, {GREETING}", content_variables={}),
        audience=AudienceRules(default_region="US"),
        batch_size=batch_size,
    )


def run_of(campaign_id: str) -> Run:
    """Give the one run of a campaign."""
    key = datetime(2026, 11, 20, tzinfo=UTC)
    return Run(f"{campaign_id}/{key:%Y-%m-%d}", campaign_id, f"campaign__{campaign_id}", "manual__bench", key)


def freeze(url: str, of: Campaign, people: Iterator[list[dict[str, object]]]) -> list[int]:
    """Freeze the audience of a campaign's run; give its batches."""
    run = run_of(of.campaign_id)
    on_time = Run(run.run_key, run.campaign_id, run.dag_id, run.dag_run_id, None)
    with Warehouse(url) as warehouse:
        return freeze_audience(warehouse, on_time, of, lambda: people).batches
