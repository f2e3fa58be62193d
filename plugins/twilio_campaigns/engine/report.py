"""What a campaign run came to, in tables for a log and in figures for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.log_table import log_figures, log_table
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.domain.values import as_json
from twilio_campaigns.engine.telling import error_row
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.reports import Reports
from twilio_campaigns.warehouse.runs import RunStore
from twilio_campaigns.warehouse.telling import day_figures

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from twilio_campaigns.engine.reconcile import Look
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.ledger import Progress
    from twilio_campaigns.warehouse.reports import RunResults

#: States in which nothing of a run is sent any more.
OVER: Final = frozenset({RunState.DONE, RunState.STOPPED})
#: Figures of view `campaign_performance`, in the order in which a run goes through them, what is not billed yet, and
#: what they hold for.
_FUNNEL: Final = (
    *("excluded", "planned", "too_late", "waiting", "unknown", "enqueued", "enqueue_failed", "sent", "delivered"),
    *("failed", "rejected", "unreported", "open", "clicked", "parts", "price", "price_unit", "unpriced"),
    "refreshed_at",
)


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run's figures after sending.

    :param results: what the views say of it.
    """

    run_key: str
    state: RunState
    audience_rows: int
    progress: Progress
    results: RunResults

    @property
    def left(self) -> int:
        """Messages without an outcome."""
        return self.progress.left

    @property
    def is_over(self) -> bool:
        """Whether nothing of the run is sent any more: it is done, or somebody stopped it."""
        return self.state in OVER

    def figures(self) -> dict[str, int]:
        """Give the figures for whoever reads the task's XCom."""
        return {
            "audience": self.audience_rows,
            "excluded": self.progress.skipped,
            "enqueued": self.progress.accepted,
            "enqueue_failed": self.progress.enqueue_failed,
            "too_late": self.progress.too_late,
            "undecided": self.progress.undecided,
            "left": self.left,
        }

    def event(self) -> dict[str, Any]:
        """Give the figures for whoever waits for the run's asset, as JSON has them; `None`: could not be counted."""
        funnel = {name: as_json(self.results.funnel[name]) for name in _FUNNEL}
        return {"run_key": self.run_key, "state": str(self.state), "audience_rows": self.audience_rows, **funnel}

    def lines(self) -> Iterator[str]:
        """Give the tables: the funnel, whom the audience left out, and what went wrong."""
        yield f"Run {self.run_key} is {self.state}."
        funnel = {name: self.results.funnel[name] for name in _FUNNEL}
        yield from log_figures("Funnel so far", {"audience": self.audience_rows, **funnel})
        yield from log_table(
            "Left out", [{"reason": row["skip_reason"], "rows": row["rows"]} for row in self.results.exclusions]
        )
        yield from log_table("Errors", [error_row(row) for row in self.results.errors])

    def unfinished(self) -> str:
        """Say what is left and what to do about it."""
        p = self.progress
        undecided = (
            f" {p.undecided} of the unknown ones may be one of several messages at Twilio: compare the rows of table "
            "messages with undecided_at with Twilio's message log; they are neither adopted nor sent again."
            if p.undecided
            else ""
        )
        return (
            f"Run {self.run_key}: {p.planned} messages are planned, {p.claimed} claimed, {p.unknown} unknown. "
            "Planned ones go out when `send_batch` is cleared, failed or not. Of claimed and unknown ones nobody "
            "knows whether Twilio has them: clear `resolve_unknown` to look again before it is too late to send "
            "them; reconciling goes on looking until their window closes, and texts nobody." + undecided
        )


def report_on(warehouse: Warehouse, run_key: str) -> RunReport:
    """Count the run, and mark it `done` if nothing of it is left.

    No run fails because its figures cannot be counted now: what is left of it the ledger itself says.

    :raises ConfigurationError: for a run whose audience was never frozen: a failed freeze must not look green.
    """
    runs = RunStore(warehouse)
    runs.finish(run_key)
    run = runs.run(run_key)
    if run is None or run.state is RunState.FREEZING:
        raise ConfigurationError(f"Run {run_key} has no frozen audience. Clear its task `prepare_audience`.")
    return RunReport(
        run_key,
        run.state,
        run.audience_rows or 0,
        Ledger(warehouse).progress(run_key),
        Reports(warehouse).report(run_key, quietly=True),
    )


def day_event(warehouse: Warehouse, day: date, look: Look) -> dict[str, Any]:
    """Give the figures of a reconciled day for whoever waits for the asset of days, as JSON has them.

    :param look: the last one at the day.
    """
    figures = {name: as_json(value) for name, value in day_figures(warehouse, day).items()}
    return {"day": day.isoformat(), **figures, "unresolved": look.unresolved}
