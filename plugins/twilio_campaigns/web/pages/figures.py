"""What the pages of a campaign and of a run have in common: funnel, timeline, countries, errors, delays, cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.warehouse.insight.figures import Figures
from twilio_campaigns.web.pages.advice import country

if TYPE_CHECKING:
    from datetime import datetime

    from twilio_campaigns.domain.scope import Scope
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.answers import Counts, DelayBucket, Timeline

#: Statuses of the chart over time, in the order of a message's life.
_STATUSES: Final = ("enqueued", "sent", "delivered", "failed", "rejected", "enqueue_failed", "clicked")
#: Countries that are shown at once; beside them those that want a look.
_COUNTRIES: Final = 10
#: Upper ends, in seconds, of what the histogram shows: as people tell time.
_ENDS: Final = (1, 2, 5, 10, 30, 60, 300, 1800, 3600, 6 * 3600, 86400)


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the funnel.

    :param label: what it is called.
    :param count: how many came so far.
    :param of: how many the bar is measured against.
    :param note: who did not come so far, and why.
    """

    label: str
    count: int
    of: int
    note: str = ""


def figures_of(warehouse: Warehouse, scope: Scope, *, stopped: bool = False) -> dict[str, Any]:
    """Ask everything that the figures' part of a page shows.

    :param stopped: whether it is of one run that was stopped for good.
    """
    figures = Figures(warehouse)
    # Before all others: whatever is counted meanwhile makes them newer than is said.
    as_of = figures.as_of(scope)
    counts = figures.counts(scope)
    countries = figures.countries(scope)
    delays = figures.delays(scope)
    costs = figures.costs(scope)
    told = [(each, country(each)) for each in countries if each.sends_receipts]
    shown = told[:_COUNTRIES] + [(each, advice) for each, advice in told[_COUNTRIES:] if advice.tone == "bad"]
    return {
        "counts": counts,
        "as_of": as_of,
        "pending": as_of.pending,
        "funnel": funnel(counts, stopped=stopped),
        "timeline": timeline(figures.timeline(scope)),
        "reporting": shown,
        "further": [each for each in told if each not in shown],
        "silent": [(each, country(each)) for each in countries if not each.sends_receipts],
        "errors": figures.errors(scope),
        "delays": delays,
        "histogram": histogram(delays.buckets),
        "costs": costs,
        "billed": [cost for cost in costs if cost.currency and cost.priced],
        "unbilled": sum(cost.unpriced for cost in costs),
        "exclusions": figures.exclusions(scope),
    }


def funnel(counts: Counts, *, stopped: bool = False) -> list[Stage]:
    """Give the steps from the segment to a click.

    :param stopped: what waits is never sent.
    """
    of = counts.audience
    return [
        Stage("audience", of, of, "rows of the segment"),
        Stage("planned", counts.planned, of, _less(counts.excluded, "left out")),
        Stage(
            "enqueued",
            counts.enqueued,
            of,
            _all(
                _less(counts.waiting, "never sent" if stopped else "waiting"),
                _less(counts.unknown, "unknown"),
                _less(counts.enqueue_failed, "refused at once"),
                _less(counts.too_late, "too late"),
                _less(counts.held_out, "held out"),
            ),
        ),
        Stage("sent", counts.sent, of, _less(counts.enqueued - counts.sent, "not sent, or not yet")),
        Stage(
            "delivered",
            counts.delivered,
            of,
            _all(
                _less(counts.failed, "failed"),
                _less(counts.rejected, "rejected"),
                _less(counts.unreported, "unreported"),
            ),
        ),
        Stage("clicked", counts.clicked, of, _less(counts.clicks, "clicks")),
    ]


def _less(count: int, what: str) -> str:
    return f"{count:,} {what}" if count > 0 else ""


def _all(*notes: str) -> str:
    return ", ".join(note for note in notes if note)


def timeline(found: Timeline) -> dict[str, Any]:
    """Give a table: one row per step of time, one column per status that occurs; empty steps are filled in."""
    statuses = [status for status in _STATUSES if any(point.status == status for point in found.points)]
    rows: dict[datetime, dict[str, int]] = {}
    for point in found.points:
        rows.setdefault(point.starts_at, {})[point.status] = point.messages
    if rows:
        at, last = min(rows), max(rows)
        while at < last:
            at += found.step
            rows.setdefault(at, {})
    return {"step": found.step, "statuses": statuses, "rows": sorted(rows.items())}


def histogram(buckets: list[DelayBucket]) -> list[tuple[str, int]]:
    """Put fine buckets together to those that people know: up to 1 s, 2 s … a day, and more."""
    counts = [0] * (len(_ENDS) + 1)
    for bucket in buckets:
        middle = (bucket.from_seconds + bucket.to_seconds) / 2
        counts[next((n for n, end in enumerate(_ENDS) if middle < end), len(_ENDS))] += bucket.messages
    labels = [f"< {_short(end)}" for end in _ENDS] + [f"≥ {_short(_ENDS[-1])}"]
    filled = [n for n, count in enumerate(counts) if count]
    shown = slice(filled[0], filled[-1] + 1) if filled else slice(0)
    return list(zip(labels, counts, strict=True))[shown]


def _short(seconds: int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
