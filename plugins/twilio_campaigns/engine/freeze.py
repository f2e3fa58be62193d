"""Freezing: a segment becomes the audience of one run, once (PROTOCOLS S0)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING
from uuid import uuid4

from twilio_campaigns.domain.audience import RecipientReader
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.domain.steps import Step, reached
from twilio_campaigns.warehouse.audience import AudienceStore, FreezePlan
from twilio_campaigns.warehouse.insight.keeping import SummaryKeeper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.warehouse.audience import Run
    from twilio_campaigns.warehouse.connection import Warehouse

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A run after its freeze.

    :param state: `sending`, or whatever an earlier freeze and later work made of it.
    :param batches: numbers of its batches; empty when nobody is to be texted.
    """

    state: RunState
    batches: list[int]


def freeze_audience(
    warehouse: Warehouse,
    run: Run,
    campaign: Campaign,
    read_rows: Callable[[], Iterator[list[dict[str, object]]]],
) -> Frozen:
    """Read the segment once and freeze it into the ledger; a run that is frozen already is left as it is.

    :param read_rows: opens the segment and gives its rows in chunks; not called for a frozen or late run.
    :raises AudienceError: when the segment cannot be read, or its people not be reached in time; the ledger is then
        unchanged.
    """
    store = AudienceStore(warehouse)
    state = store.open_run(run, campaign.max_lateness)
    if state is RunState.FREEZING:
        state = _freeze(store, run, campaign, read_rows())
        reached(Step.FROZEN)
        SummaryKeeper(warehouse).catch_up([run.run_key])
    else:
        log.info("Run %s is %s already: its audience stays as it was frozen.", run.run_key, state)
    return Frozen(state, store.batches(run.run_key))


def _freeze(store: AudienceStore, run: Run, campaign: Campaign, rows: Iterator[list[dict[str, object]]]) -> RunState:
    freeze_id = uuid4()
    reader = RecipientReader(campaign)
    numbers = count(1)
    try:
        for chunk in rows:
            store.stage(freeze_id, [(next(numbers), reader.read(row)) for row in chunk])
        staged = next(numbers) - 1
        log.info("Segment read: %d rows.", staged)
        store.freeze(run, freeze_id, plan_of(campaign), staged)
    finally:
        store.discard(freeze_id)
    return store.state(run.run_key)


def plan_of(campaign: Campaign) -> FreezePlan:
    """Give what the ledger keeps of a campaign: later tasks read this and never the file again."""
    return FreezePlan(
        connection=campaign.connection,
        channel=campaign.action_type(),
        sender=campaign.sender.name,
        from_number=campaign.sender.from_number,
        scope=campaign.sender.scope,
        spec=campaign.model_dump(mode="json"),
        max_lateness=campaign.max_lateness,
        send_within=campaign.send_within,
        repeat_after=campaign.repeat_after,
        batch_size=campaign.batch_size,
        parts_per_second=campaign.sender.parts_per_second,
        released_per_second=campaign.sender.released_per_second or campaign.sender.parts_per_second,
        validity=timedelta(seconds=campaign.validity_period) if campaign.validity_period else None,
    )
