"""Questions that people ask about campaign runs, answered from the views as an analyst would."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from twilio_campaigns.warehouse.connection import Warehouse

Rows = list[dict[str, Any]]

# A campaign's name gives its last run, so that nobody has to know how a run is called.
_FIND: Final = """
select run_key from campaign_runs
where run_key = %(name)s or campaign_id = %(name)s
order by run_key = %(name)s desc, created_at desc, run_key desc
limit 1
"""

_LATEST: Final = """
select run_key, state from campaign_runs
where %(campaign_id)s::text is null or campaign_id = %(campaign_id)s
order by created_at desc, run_key desc
limit %(limit)s
"""

_STATUS: Final = """
select p.run_key, p.state, p.planned, p.excluded, p.waiting, p.unknown, p.enqueued, p.enqueue_failed, p.delivered,
       p.failed, p.rejected, p.unreported, p.open, p.clicked, p.price, p.price_unit, r.state_reason
from campaign_performance as p
join campaign_runs as r on r.run_key = p.run_key
where p.run_key = any(%(run_keys)s)
order by p.created_at desc, p.run_key desc
"""

_OPEN_DAYS: Final = """
select m.day, m.open, d.last_pass_at, p.error
from (select tracked_on as day, count(*) as open from messages
      where send_state = 'accepted' and settled_at is null group by 1) as m
left join reconcile_days as d on d.day = m.day
left join lateral (select error from reconcile_passes where day = m.day order by started_at desc limit 1) as p on true
order by m.day desc
"""

_FUNNEL: Final = "select * from campaign_performance where run_key = %(run_key)s"

_EXCLUSIONS: Final = """
select skip_reason, count(*) as rows from messages
where run_key = %(run_key)s and send_state = 'skipped'
group by skip_reason order by count(*) desc, skip_reason
"""

_COUNTRIES: Final = """
select country, sends_receipts, enqueued, delivered, failed, rejected, unreported, delivery_rate,
       round(median_seconds_to_delivery::numeric, 1) as median_seconds_to_delivery, price, price_unit
from delivery_by_country where run_key = %(run_key)s order by enqueued desc, country
"""

_ERRORS: Final = """
select status, status_code, error, messages, comment
from delivery_errors where run_key = %(run_key)s order by messages desc, status_code
"""

_RUN: Final = """
select dag_id, dag_run_id, state_reason, state_changed_by from campaign_runs where run_key = %(run_key)s
"""


@dataclass(frozen=True, slots=True)
class RunResults:
    """What became of one campaign run.

    :param funnel: the figures of `campaign_performance`, by name; who steered the run last, and why, behind them.
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
    """Answers from the warehouse; writes nothing.

    :param warehouse: where the views are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def find(self, name: str) -> str | None:
        """Give the run of this key, or the last run of the campaign of this name."""
        found = self._rows(_FIND, name=name)
        return found[0]["run_key"] if found else None

    def status(self, campaign_id: str | None = None, limit: int = 20) -> Rows:
        """Tell where the latest runs stand, the last one first."""
        latest = self._rows(_LATEST, campaign_id=campaign_id, limit=limit)
        return self._rows(_STATUS, run_keys=[row["run_key"] for row in latest])

    def open_days(self) -> Rows:
        """Tell which days have messages without an end, when each was read last, and what went wrong then."""
        return self._rows(_OPEN_DAYS)

    def report(self, run_key: str) -> RunResults:
        """Tell what became of a run.

        :param run_key: of a run that is there.
        """
        (funnel,), (run,) = self._rows(_FUNNEL, run_key=run_key), self._rows(_RUN, run_key=run_key)
        tables = (self._rows(query, run_key=run_key) for query in (_EXCLUSIONS, _COUNTRIES, _ERRORS))
        return RunResults(run_key, {**funnel, **run}, *tables)

    def _rows(self, query: str, **values: Any) -> Rows:  # noqa: ANN401 - whatever the query takes
        with self._warehouse.transaction() as connection:
            return connection.execute(cast("Any", query), values).fetchall()


def exclusions(warehouse: Warehouse, run_key: str) -> dict[str, int]:
    """Count the rows of a run's audience that are not texted, by reason, the most frequent first."""
    with warehouse.transaction() as connection:
        rows = connection.execute(_EXCLUSIONS, {"run_key": run_key})
        return {row["skip_reason"]: row["rows"] for row in rows}
