"""One run in detail: batches, lost answers, and the reconcile passes over its days."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.warehouse.insight.answers import filled
from twilio_campaigns.warehouse.insight.campaigns import CampaignIndex
from twilio_campaigns.warehouse.insight.rows import (
    MESSAGE_COLUMNS,
    BatchRow,
    PassRow,
    RunDay,
    RunDetail,
    message_row,
)
from twilio_campaigns.warehouse.insight.scoped import rows_of

if TYPE_CHECKING:
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.scoped import Rows

#: Lost answers shown at most.
UNKNOWNS: Final = 100
#: Passes shown at most.
PASSES: Final = 50

_RUN: Final = "select spec, resumed_at, lateness_waived_at from campaign_runs where run_key = %(run_key)s"

_BATCHES: Final = "select * from summary_batches where run_key = %(run_key)s order by batch_no"

_UNKNOWNS: Final = f"""
select {MESSAGE_COLUMNS} from message_status
where run_key = %(run_key)s and send_state = 'unknown'
order by claimed_at, message_key
limit {UNKNOWNS}
"""  # noqa: S608 - built of constants

_DAYS: Final = """
select s.tracked_on as day, s.messages, s.open, d.last_pass_at, d.full_read_at, d.closed_at
from summary_days as s
left join reconcile_days as d on d.day = s.tracked_on
where s.run_key = %(run_key)s
order by s.tracked_on desc
"""

# The latest of each day first: a run has few days, and a day has thousands of passes.
_PASSES: Final = f"""
select p.*
from summary_days as s
cross join lateral (
    select * from reconcile_passes where day = s.tracked_on order by started_at desc limit {PASSES}
) as p
where s.run_key = %(run_key)s
order by p.started_at desc, p.pass_id
limit {PASSES}
"""  # noqa: S608 - the same


class RunInsight:
    """What there is to know of one run. Blocks.

    :param warehouse: where it is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._index = CampaignIndex(warehouse)

    def detail(self, run_key: str, *, mask: bool = True) -> RunDetail | None:
        """Give everything about a run; `None` if there is none of this key.

        :param mask: whether numbers are shown in part only.
        """
        run = self._index.run(run_key)
        if run is None:
            return None
        (more,) = self._rows(_RUN, run_key)
        return RunDetail(
            run=run,
            **more,
            batches=[filled(BatchRow, row) for row in self._rows(_BATCHES, run_key)],
            unknowns=[message_row(row, mask=mask) for row in self._rows(_UNKNOWNS, run_key)],
            days=[filled(RunDay, row) for row in self._rows(_DAYS, run_key)],
            passes=[filled(PassRow, row) for row in self._rows(_PASSES, run_key)],
        )

    def _rows(self, query: Any, run_key: str) -> Rows:  # noqa: ANN401 - one of the constants
        return rows_of(self._warehouse, query, {"run_key": run_key})
