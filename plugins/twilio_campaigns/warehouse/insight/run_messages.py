"""The messages of one run in a state, page by page, however large the run is.

A run may have a million messages in one state. How many of them each batch has its summary tells, so that only the
batches are looked into that a page is made of. States in which most runs have few are counted themselves, for as long
as they are few: somebody who looks for a lost answer wants those of now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twilio_campaigns.domain.scope import Listing, Page
from twilio_campaigns.domain.status import SendState
from twilio_campaigns.warehouse.insight.rows import MESSAGE_COLUMNS, MessageRow, message_row
from twilio_campaigns.warehouse.insight.scoped import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.scoped import Rows

#: Messages that are counted one by one at most.
FEW: Final = 10_000


class _State(NamedTuple):
    """What may be asked for.

    :param tally: how many of them a batch has, by its summary.
    :param send_states: in which they are.
    :param condition: and which of those they are.
    :param may_be_few: whether they are counted themselves where that is quickly done.
    """

    tally: str
    send_states: tuple[str, ...]
    condition: str = "true"
    may_be_few: bool = False


_ALL: Final = "planned + claimed + unknown + accepted + enqueue_failed + skipped + too_late + held_out"
_OPEN: Final = ("planned", "claimed", "unknown", "accepted")
_NOT_SENT: Final = ("skipped", "held_out", "too_late", "enqueue_failed")

_STATES: Final[dict[str | None, _State]] = {
    None: _State(_ALL, tuple(SendState)),
    "accepted": _State("accepted", ("accepted",)),
    "open": _State("open", ("accepted",), "delivery_state in ('pending', 'sent')"),
    "pending": _State("planned + claimed + unknown + open - sent", _OPEN, "delivery_state = 'pending'"),
    **{state: _State(state, ("accepted",), f"delivery_state = '{state}'") for state in ("sent", "unreported")},
    **{state: _State(state, ("accepted",), f"status = '{state}'") for state in ("delivered", "failed", "rejected")},
    **{
        str(state): _State(str(state), (str(state),), may_be_few=True)
        for state in SendState
        if state is not SendState.ACCEPTED
    },
    "not_sent": _State(" + ".join(_NOT_SENT), _NOT_SENT, may_be_few=True),
}
#: What may be asked for.
STATES: Final = tuple(filter(None, _STATES))

_OF_RUN: Final = """
run_key = %(run_key)s and send_state = any(%(states)s) and (%(batch_no)s::int is null or batch_no = %(batch_no)s)
"""

_COUNT: Final = f"""
select count(*) as total from (select from messages where {_OF_RUN} limit {FEW + 1}) as found
"""  # noqa: S608 - built of constants

_FEW_ROWS: Final = f"""
select {MESSAGE_COLUMNS} from message_status where {_OF_RUN}
order by batch_no, message_key limit %(limit)s offset %(offset)s
"""  # noqa: S608 - the same

_BATCHES: Final = """
select batch_no, {tally} as messages from summary_batches
where run_key = %(run_key)s and (%(batch_no)s::int is null or batch_no = %(batch_no)s)
order by batch_no
"""

_IN_BATCHES: Final = f"""
select {MESSAGE_COLUMNS} from message_status
where run_key = %(run_key)s and send_state = any(%(states)s) and batch_no = any(%(batches)s) and {{condition}}
order by batch_no, message_key limit %(limit)s offset %(offset)s
"""  # noqa: S608 - the same

# Whom the audience left out is in no batch.
_LEFT_OUT: Final = """
select (select coalesce(sum(excluded), 0) from summary_counts where run_key = %(run_key)s)
     - (select coalesce(sum(skipped), 0) from summary_batches where run_key = %(run_key)s) as messages
"""

_LEFT_OUT_ROWS: Final = f"""
select {MESSAGE_COLUMNS} from message_status
where message_key in (select message_key from messages
                      where run_key = %(run_key)s and send_state = 'skipped' and batch_no is null
                      order by message_key limit %(limit)s offset %(offset)s)
order by message_key
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
        wanted = _STATES.get(state)
        if wanted is None:
            raise ValueError(f"No message is {state!r}; there are {', '.join(STATES)}.")
        values = {"run_key": run_key, "batch_no": batch_no, "states": list(wanted.send_states)}
        total = self._few(values) if wanted.may_be_few else None
        if total is None:
            rows, total = self._of_many(wanted, page, values)
        else:
            rows = self._rows(_FEW_ROWS, values, limit=page.size, offset=page.offset)
        return Listing([message_row(row, mask=mask) for row in rows], total, page)

    def _few(self, values: dict[str, Any]) -> int | None:
        """Count them, if there are not too many for that."""
        total = int(self._rows(_COUNT, values)[0]["total"])
        return total if total <= FEW else None

    def _of_many(self, wanted: _State, page: Page, values: dict[str, Any]) -> tuple[Rows, int]:
        """Give a page of them, and how many there are by the run's summary."""
        batches = [
            (row["batch_no"], row["messages"]) for row in self._rows(_BATCHES.format(tally=wanted.tally), values)
        ]
        in_batches = sum(messages for _, messages in batches)
        numbers, offset = _of_page(batches, page)
        rows: Rows = []
        if numbers:
            query = _IN_BATCHES.format(condition=wanted.condition)
            rows = self._rows(query, values, batches=numbers, limit=page.size, offset=offset)
        if not wanted.may_be_few or "skipped" not in wanted.send_states or values["batch_no"] is not None:
            return rows, in_batches
        left_out = int(self._rows(_LEFT_OUT, values)[0]["messages"])
        # They follow upon those in batches.
        begin, end = max(page.offset - in_batches, 0), max(page.offset + page.size - in_batches, 0)
        if begin < min(end, left_out):
            rows += self._rows(_LEFT_OUT_ROWS, values, limit=end - begin, offset=begin)
        return rows, in_batches + left_out

    def _rows(self, query: str, values: dict[str, Any], **more: Any) -> Rows:  # noqa: ANN401 - whatever the query takes
        return rows_of(self._warehouse, query, {**values, **more})


def _of_page(batches: Iterable[tuple[int, int]], page: Page) -> tuple[list[int], int]:
    """Give the batches that a page is made of, and how many of their messages stand before it.

    :param batches: each with its number and its messages, in order.
    """
    numbers: list[int] = []
    seen = before = 0
    for number, messages in batches:
        if messages and seen < page.offset + page.size and seen + messages > page.offset:
            before = before if numbers else seen
            numbers.append(number)
        seen += messages
    return numbers, page.offset - before
