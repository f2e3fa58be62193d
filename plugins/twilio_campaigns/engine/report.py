"""What a campaign run came to, in lines for a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.reports import exclusions
from twilio_campaigns.warehouse.runs import RunStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.ledger import Progress


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run's figures after sending.

    :param excluded: rows of the audience that are not texted, by reason.
    """

    run_key: str
    state: RunState
    audience_rows: int
    progress: Progress
    excluded: Mapping[str, int]

    @property
    def left(self) -> int:
        """Messages without an outcome."""
        return self.progress.left

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

    def lines(self) -> Iterator[str]:
        """Give one line per figure."""
        yield f"Run {self.run_key} is {self.state}."
        for name, value in self.figures().items():
            yield f"  {name:<16}{value:>10,}"
        for reason, rows in self.excluded.items():
            yield f"  excluded: {reason:<24}{rows:>10,}"

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

    :raises ConfigurationError: for a run whose audience was never frozen: a failed freeze must not look green.
    """
    runs = RunStore(warehouse)
    runs.finish(run_key)
    run = runs.run(run_key)
    if run is None or run.state is RunState.FREEZING:
        raise ConfigurationError(f"Run {run_key} has no frozen audience. Clear its task `prepare_audience`.")
    return RunReport(
        run_key, run.state, run.audience_rows or 0, Ledger(warehouse).progress(run_key), exclusions(warehouse, run_key)
    )
