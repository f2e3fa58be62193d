"""Previewing: the freeze of a campaign run, without the freeze. Same segment, same rules, nothing written."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from twilio_campaigns.domain.audience import RecipientReader
from twilio_campaigns.domain.preview import Preview, PreviewedRow
from twilio_campaigns.engine.freeze import plan_of
from twilio_campaigns.warehouse.preview import Candidate, LedgerView, Scratch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from twilio_campaigns.domain.audience import Recipient
    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.domain.preview import Tally
    from twilio_campaigns.warehouse.audience import FreezePlan
    from twilio_campaigns.warehouse.connection import Warehouse


def preview_audience(
    campaign: Campaign,
    chunks: Iterable[list[dict[str, object]]],
    warehouse: Warehouse | None = None,
    *,
    show: int = 10,
) -> Preview:
    """Say what a run of the campaign would plan if it began now.

    Memory does not grow with the audience: rows are counted chunk by chunk, and duplicates found in a file.

    :param chunks: rows of the segment, as :func:`twilio_campaigns.hooks.segment.read_segment` gives them.
    :param warehouse: its ledger is read for opt-outs, earlier runs, other runs of the sender and prices; ``None``: they
        are left out of account.
    :param show: how many of the first rows to give.
    """
    plan = plan_of(campaign)
    ledger = LedgerView(warehouse, campaign.campaign_id, plan) if warehouse else None
    with closing(Scratch()) as scratch:
        kept = _read(campaign, chunks, ledger, scratch, show)
        scratch.judge()
        tallies = tuple(scratch.tallies())
        reasons = scratch.reasons(show)
    return foresee(tallies, plan, ledger, [PreviewedRow(number, found, reasons[number]) for number, found in kept])


def foresee(
    tallies: Iterable[Tally], plan: FreezePlan, ledger: LedgerView | None, rows: Sequence[PreviewedRow] = ()
) -> Preview:
    """Say how long a counted audience takes and what it costs, whether it is frozen or not.

    :param ledger: asked for other runs of the sender and for prices; ``None``: they are left out of account.
    :param rows: the first rows of the segment, where they are to be shown.
    """
    counted = tuple(tallies)
    planned = [tally for tally in counted if tally.reason is None]
    forecast = plan.forecast(
        messages=sum(tally.rows for tally in planned),
        parts=sum(tally.parts for tally in planned),
        parts_ahead=ledger.parts_ahead() if ledger else 0,
    )
    found = forecast.problem(send_within=plan.send_within, validity=plan.validity)
    return Preview(
        tallies=counted,
        rows=tuple(rows),
        forecast=forecast,
        prices=ledger.prices() if ledger else {},
        refusal=" ".join(found) if found else None,
    )


def _read(
    campaign: Campaign,
    chunks: Iterable[list[dict[str, object]]],
    ledger: LedgerView | None,
    scratch: Scratch,
    show: int,
) -> list[tuple[int, Recipient]]:
    reader = RecipientReader(campaign)
    kept: list[tuple[int, Recipient]] = []
    read = 0
    for chunk in chunks:
        recipients = [reader.read(row) for row in chunk]
        left_out = ledger.left_out({r.to_number for r in recipients if r.skip_reason is None}) if ledger else {}
        scratch.add(_candidates(recipients, left_out, read))
        kept += [(read + n, r) for n, r in enumerate(recipients[: max(0, show - read)], 1)]
        read += len(chunk)
    return kept


def _candidates(recipients: list[Recipient], left_out: Mapping[str | None, str], read: int) -> Iterator[Candidate]:
    for number, recipient in enumerate(recipients, read + 1):
        yield Candidate(number, recipient, left_out.get(recipient.to_number))
