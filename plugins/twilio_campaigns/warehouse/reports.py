"""What people ask of campaign runs at the shell and at the end of tasks: the pages' own figures, made anew before.

A run without any figures is never shown as one in which nothing happened: what nobody could count is `None`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from twilio_campaigns.domain.scope import Page, Scope
from twilio_campaigns.warehouse.insight.campaigns import CampaignIndex
from twilio_campaigns.warehouse.insight.figures import Figures
from twilio_campaigns.warehouse.insight.keeping import SummaryKeeper
from twilio_campaigns.warehouse.insight.open_days import open_days
from twilio_campaigns.warehouse.insight.refreshing import Summaries

if TYPE_CHECKING:
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.answers import RunRow

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RunResults:
    """What became of one campaign run.

    :param funnel: figures named as in view `campaign_performance`; `unpriced`: accepted messages not billed yet; who
        steered the run last, and why, behind them; last `refreshed_at`: what they hold for. All are `None` before the
        first count.
    :param exclusions: whom the audience left out, by reason, the most frequent first.
    :param countries: delivery by country, the largest first; where carriers send no receipts its rate says nothing.
    :param errors: what went wrong, what it means and what to do, the most frequent first.
    """

    run_key: str
    funnel: dict[str, Any]
    exclusions: Rows
    countries: Rows
    errors: Rows

    def tables(self) -> dict[str, Rows]:
        """Give everything as tables, by title."""
        funnel = [{"figure": name, "value": value} for name, value in self.funnel.items()]
        return {"funnel": funnel, **{f.name: getattr(self, f.name) for f in fields(self)[2:]}}


class Reports:
    """Answers from the summaries, which are brought up to date before; nothing else is written.

    :param warehouse: where they are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._index = CampaignIndex(warehouse)
        self._figures = Figures(warehouse)
        self._warehouse = warehouse
        self._summaries = Summaries(warehouse)
        self._keeper = SummaryKeeper(warehouse)

    def find(self, name: str) -> str | None:
        """Give the run of this key, or the last run of the campaign of this name."""
        return self._index.find(name)

    def status(self, campaign_id: str | None = None, limit: int = 20) -> Rows:
        """Tell where the latest runs stand, the last one first, each by the figures of `refreshed_at`.

        That a run could not be counted now is logged: of the others people learn all the same.
        """
        self._keeper.catch_up()
        return [_status(run) for run in self._index.runs(Scope(campaign_id=campaign_id), Page(size=limit)).rows]

    def open_days(self, campaign_id: str | None = None) -> Rows:
        """Tell which days have messages that are not settled, when each was read last, and what went wrong then.

        :param campaign_id: count only this campaign's messages.
        """
        self._keeper.catch_up()
        return [asdict(day) for day in open_days(self._warehouse, campaign_id)]

    def report(self, run_key: str, *, quietly: bool = False) -> RunResults:
        """Tell what became of a run.

        :param run_key: of a run that is there.
        :param quietly: where it cannot be counted now, log that, and give the figures of its last count.
        :raises TransientError: when it cannot be counted now.
        """
        (self._keeper.count if quietly else self._summaries.refresh)(run_key)
        run, scope = self._index.run(run_key), Scope(run_key=run_key)
        if run is None:
            raise LookupError(f"There is no run {run_key}.")
        return RunResults(
            run_key,
            _funnel(run, self._figures.delays(scope).median, sum(cost.unpriced for cost in self._figures.costs(scope))),
            [{"skip_reason": found.reason, "rows": found.messages} for found in self._figures.exclusions(scope)],
            [_country(asdict(found), found.delivery_rate) for found in self._figures.countries(scope)],
            [
                {name: getattr(found, name) for name in ("status", "status_code", "error", "messages", "comment")}
                for found in self._figures.errors(scope)
            ],
        )


def _counts(run: RunRow) -> dict[str, int | None]:
    counts: dict[str, int | None] = asdict(run.counts)
    return counts if run.refreshed_at else dict.fromkeys(counts)


def _status(run: RunRow) -> dict[str, Any]:
    counts = _counts(run)
    figures = ("planned", "excluded", "waiting", "unknown", "enqueued", "enqueue_failed", "delivered", "failed")
    return {
        "run_key": run.run_key,
        "state": run.state,
        **{name: counts[name] for name in (*figures, "rejected", "unreported", "open", "clicked")},
        "price": run.price,
        "price_unit": run.price_unit,
        "state_reason": run.state_reason,
        "refreshed_at": run.refreshed_at,
    }


def _funnel(run: RunRow, median: float | None, unpriced: int) -> dict[str, Any]:
    counts = _counts(run)
    figures = ("audience", "excluded", "planned", "too_late", "waiting", "unknown", "enqueued", "enqueue_failed")
    more = ("sent", "delivered", "failed", "rejected")
    return {
        **{name: getattr(run, name) for name in ("campaign_id", "run_key", "logical_date", "state")},
        **{name: getattr(run, name) for name in ("created_at", "finished_at")},
        **{name: counts[name] for name in (*figures, *more)},
        "refused": run.counts.refused if run.refreshed_at else None,
        **{name: counts[name] for name in ("unreported", "open", "settled", "clicked", "replies", "opt_outs")},
        "delivery_rate": _rounded(run.counts.delivery_rate, 4),
        "delivery_rate_with_receipts": _rounded(run.counts.delivery_rate_with_receipts, 4),
        "click_rate": _rounded(run.counts.click_rate, 4),
        "median_seconds_to_delivery": _rounded(median, 1),
        "parts": counts["parts"],
        **{name: getattr(run, name) for name in ("price", "price_unit")},
        "unpriced": unpriced if run.refreshed_at else None,
        **{name: getattr(run, name) for name in ("dag_id", "dag_run_id")},
        **{name: getattr(run, name) for name in ("state_reason", "state_changed_by", "refreshed_at")},
    }


def _country(figures: dict[str, Any], rate: float | None) -> dict[str, Any]:
    counts = ("country", "sends_receipts", "enqueued", "delivered", "failed", "rejected", "unreported")
    return {
        **{name: figures[name] for name in counts},
        "delivery_rate": _rounded(rate, 4),
        "median_seconds_to_delivery": _rounded(figures["median_seconds"], 1),
        "price": figures["price"],
        "price_unit": figures["price_unit"],
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
