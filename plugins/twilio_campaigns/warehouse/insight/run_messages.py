"""The messages of one run in a state, page by page, however large the run is.

Most states are states of accepted messages, and a run may have a million of those. How many of them each batch has
its summary tells, so that only the batches are looked into that a page is made of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.scope import Listing, Page
from twilio_campaigns.domain.status import SendState
from twilio_campaigns.warehouse.insight.rows import MESSAGE_COLUMNS, MessageRow, message_row
from twilio_campaigns.warehouse.insight.scoped import rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.scoped import Rows

#: Messages that are looked for at most where no batch tells how many there are.
MOST: Final = 10_000

_ALL: Final = "planned + claimed + unknown + accepted + enqueue_failed + skipped + too_late + held_out"
_NOT_YET: Final = "planned + claimed + unknown"

#: States of which each batch knows how many messages it has: how many, given a batch; and which they are.
_BY_BATCH: Final[dict[str | None, tuple[str, tuple[str, ...], str]]] = {
    None: (_ALL, tuple(SendState), "true"),
    "accepted": ("accepted", ("accepted",), "true"),
    "open": ("open", ("accepted",), "delivery_state in ('pending', 'sent')"),
    "pending": (
        f"{_NOT_YET} + open - sent",
        ("planned", "claimed", "unknown", "accepted"),
        "delivery_state = 'pending'",
    ),
    **{state: (state, ("accepted",), f"delivery_state = '{state}'") for state in ("sent", "unreported")},
    **{state: (state, ("accepted",), f"status = '{state}'") for state in ("delivered", "failed", "rejected")},
}
#: States of which few have any, found by themselves.
_BY_STATE: Final[dict[str, tuple[str, ...]]] = {
    **{str(state): (str(state),) for state in SendState if state is not SendState.ACCEPTED},
    "not_sent": ("skipped", "held_out", "too_late", "enqueue_failed"),
}
#: What may be asked for.
STATES: Final = (*filter(None, _BY_BATCH), *_BY_STATE)

# `before` are the messages in batches before this one.
_BATCHES: Final = """
select batch_no, before, total
from (
    select batch_no, messages, sum(messages) over () as total,
           sum(messages) over (order by batch_no) - messages as before
    from (select batch_no, {count} as messages from summary_batches
          where run_key = %(run_key)s and (%(batch_no)s::int is null or batch_no = %(batch_no)s)) as b
) as counted
where messages > 0 and before < %(offset)s + %(limit)s and before + messages > %(offset)s
order by batch_no
"""

_IN_BATCHES: Final = f"""
select {MESSAGE_COLUMNS} from message_status
where run_key = %(run_key)s and send_state = any(%(states)s) and batch_no = any(%(batches)s) and {{condition}}
order by batch_no, message_key
limit %(limit)s offset %(offset)s
"""  # noqa: S608 - built of constants

_IN_STATES: Final = f"""
with found as materialized (
    select {MESSAGE_COLUMNS} from message_status
    where run_key = %(run_key)s and send_state = any(%(states)s)
      and (%(batch_no)s::int is null or batch_no = %(batch_no)s)
    limit {MOST}
)
select *, (select count(*) from found) as total from found
order by batch_no, message_key
limit %(limit)s offset %(offset)s
"""  # noqa: S608 - the same


class RunMessages:
    """Lists messages of a run. Blocks.

    :param warehouse: where they are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def page(
        self, run_key: str, *, batch_no: int | None, state: str | None, page: Page, mask: bool
    ) -> Listing[MessageRow]:
        """List messages of a run, by batch; as :meth:`MessageSearch.of_run`."""
        values = {"run_key": run_key, "batch_no": batch_no, "limit": page.size, "offset": page.offset}
        if state in _BY_BATCH:
            rows, total = self._in_batches(*_BY_BATCH[state], values)
        elif state in _BY_STATE:
            rows = rows_of(self._warehouse, _IN_STATES, {**values, "states": list(_BY_STATE[state])})
            total = rows[0]["total"] if rows else 0
        else:
            raise ValueError(f"No message is {state!r}; there are {', '.join(STATES)}.")
        return Listing([message_row(row, mask=mask) for row in rows], total, page)

    def _in_batches(
        self, count: str, states: Sequence[str], condition: str, values: dict[str, Any]
    ) -> tuple[Rows, int]:
        batches = rows_of(self._warehouse, _BATCHES.format(count=count), values)
        if not batches:
            return [], 0
        of_page = {
            **values,
            "states": list(states),
            "batches": [row["batch_no"] for row in batches],
            "offset": values["offset"] - int(batches[0]["before"]),
        }
        rows = rows_of(self._warehouse, _IN_BATCHES.format(condition=condition), of_page)
        return rows, int(batches[0]["total"])
