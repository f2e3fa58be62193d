"""Which runs changed since their summaries were made: whoever writes to a run leaves a mark in the same transaction.

A mark is a row of its own, so that no writer waits for another one or for a reader. The statements that write hundreds
of rows carry it along: that costs a few microseconds a statement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twilio_campaigns.warehouse.parameters import array_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from twilio_campaigns.warehouse.connection import Connection

_MARK: Final = "insert into summary_marks (run_key) values (%s)"

_MARK_RUNS_OF: Final = """
insert into summary_marks (run_key)
select distinct run_key from messages where message_key = any(%s::uuid[])
"""


def marking(change: str, gives: str = "*") -> str:
    """Word a statement so that it also marks the runs of the rows that it changes.

    :param change: the statement, whose ``returning`` gives ``run_key`` among others.
    :param gives: what the whole then gives of the returned rows.
    """
    return f"""
with changed as ({change}),
marked as (insert into summary_marks (run_key) select distinct run_key from changed)
select {gives} from changed
"""  # noqa: S608 - built of constants


def mark_run(connection: Connection, run_key: str) -> None:
    """Say that a run changed; inside the caller's transaction."""
    connection.execute(_MARK, (run_key,))


def mark_runs_of(connection: Connection, keys: Iterable[UUID | bytes]) -> None:
    """Say that the runs of these messages changed; inside the caller's transaction.

    :param keys: of the messages; UUIDs or their bytes.
    """
    wanted = list(keys)
    if wanted:
        connection.execute(_MARK_RUNS_OF, (array_of(wanted, "uuid"),))
