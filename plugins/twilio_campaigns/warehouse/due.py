"""Which messages are to be looked at, and what lists of their time cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import tuple_row
from psycopg.types.multirange import TimestamptzMultirange
from psycopg.types.range import TimestamptzRange

from twilio_campaigns.domain.chunks import chunks
from twilio_campaigns.domain.planning import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date, timedelta

    from twilio_campaigns.warehouse.connection import Warehouse

#: Rows that come from the server at a time.
ROWS_AT_ONCE: Final = 2000
#: Volumes that are remembered for an account, two weeks of them: what was usual a month ago tells little.
VOLUMES_KEPT: Final = 14 * 86_400 // BUCKET

# date_part() gives a binary number, extract() a decimal one: that takes ten times as long.
_SECOND: Final = "date_part('epoch', coalesce(sent_at, accepted_at))::bigint as second"

# A row is due when a point of the ladder lies between the last pass and now, when its window closes, or when the time
# for its price is up. What is final waits for nothing but its price.
_DUE: Final = f"""
select message_sid as sid, {_SECOND}
from messages
where tracked_on = %(day)s and connection = %(connection)s and send_state = 'accepted' and settled_at is null
  and (accepted_at <@ case when final_at is null then %(open)s else %(unpriced)s end
       or tracking_closes_at <= now()
       or final_at <= now() - %(unpriced_after)s::interval)
"""  # noqa: S608 - built of constants

_WHOLE_DAY: Final = f"""
select message_sid as sid, {_SECOND}
from messages
where tracked_on = %(day)s and connection = %(connection)s and send_state = 'accepted'
"""  # noqa: S608 - the same

_UNSEEN: Final = f"""
select message_sid as sid, accepted_at, {_SECOND}, settled_at is not null as settled,
       settled_at is null
       and (tracking_closes_at <= now() or final_at <= now() - %(unpriced_after)s::interval) is true as closing
from messages
where message_sid = any(%(sids)s)
order by closing desc, asked_at nulls first, accepted_at
"""  # noqa: S608 - the same

_KEEP_VOLUMES: Final = """
insert into list_volumes as v (connection, starts_at, messages, read_at)
select %(connection)s, to_timestamp(starts_at), messages, now()
from unnest(%(starts)s::bigint[], %(messages)s::int[]) as o(starts_at, messages)
on conflict (connection, starts_at) do update set messages = excluded.messages, read_at = excluded.read_at
"""


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A message to be asked for alone.

    :param second: when it was sent or, where that is not known, accepted; seconds since 1970.
    :param settled: nobody would look at it any more, if it were not for a repair.
    :param closing: its window or the wait for its price is over, and this is its last look.
    """

    sid: str
    accepted_at: datetime
    second: int
    settled: bool
    closing: bool


@dataclass(frozen=True, slots=True)
class Ages:
    """Times of acceptance of the messages that are due.

    :param open: of those whose fate is not known.
    :param unpriced: of those that only lack their price.
    """

    open: Sequence[tuple[datetime | None, datetime]]
    unpriced: Sequence[tuple[datetime | None, datetime]]


class DueStore:
    """Messages to be looked at, of one account.

    :param warehouse: where the ledger is.
    :param connection_id: Airflow connection of the account.
    :param unpriced_after: how long after its final status a message waits for its price.
    """

    def __init__(self, warehouse: Warehouse, connection_id: str, unpriced_after: timedelta) -> None:
        self._warehouse = warehouse
        self._connection_id = connection_id
        self._unpriced_after = unpriced_after

    def due(self, day: date, ages: Ages) -> Iterator[list[tuple[str, int]]]:
        """Give SID and second, many at a time, of the open messages of a day that are to be looked at now."""
        return self._stream(
            _DUE,
            {
                "day": day,
                "unpriced_after": self._unpriced_after,
                "open": _multirange(ages.open),
                "unpriced": _multirange(ages.unpriced),
            },
        )

    def whole_day(self, day: date) -> Iterator[list[tuple[str, int]]]:
        """Give SID and second, many at a time, of every accepted message of a day, the settled ones too."""
        return self._stream(_WHOLE_DAY, {"day": day})

    def unseen(self, sids: Sequence[str]) -> list[DueMessage]:
        """Give messages that no list showed, first those whose last look it is, then whom nobody asked for longest."""
        with self._warehouse.transaction() as connection:
            rows = connection.execute(_UNSEEN, {"sids": list(sids), "unpriced_after": self._unpriced_after})
            return [DueMessage(**row) for row in rows]

    def note_asked(self, sids: Sequence[str]) -> None:
        """Take note that Twilio was asked for these, so that others have their turn first next time."""
        with self._warehouse.transaction() as connection:
            connection.execute(
                "update messages set asked_at = now() where message_sid = any(%s) and settled_at is null", (list(sids),)
            )

    def volumes(self) -> dict[int, int]:
        """Messages that lists of five minutes gave, by the second at which these begin."""
        with self._warehouse.transaction() as connection:
            rows = connection.execute(
                """
                select extract(epoch from starts_at)::bigint as second, messages from list_volumes
                where connection = %s order by starts_at desc limit %s
                """,
                (self._connection_id, VOLUMES_KEPT),
            )
            return {row["second"]: row["messages"] for row in rows}

    def keep_volumes(self, volumes: Mapping[int, int]) -> None:
        """Remember what lists gave; forget what is long ago."""
        if not volumes:
            return
        oldest = datetime.fromtimestamp(max(volumes) - BUCKET * VOLUMES_KEPT, UTC)
        values = {"connection": self._connection_id, "starts": list(volumes), "messages": list(volumes.values())}
        with self._warehouse.transaction() as connection:
            connection.execute(_KEEP_VOLUMES, values)
            connection.execute(
                "delete from list_volumes where connection = %s and starts_at < %s", (self._connection_id, oldest)
            )

    def _stream(self, query: Any, values: Mapping[str, Any]) -> Iterator[list[tuple[str, int]]]:  # noqa: ANN401 - SQL
        """Give rows as they come, while the server looks for the next ones: a day may have a million."""
        with (
            self._warehouse.transaction() as connection,
            connection.cursor(row_factory=tuple_row, binary=True) as cursor,
        ):
            rows = cursor.stream(query, {**values, "connection": self._connection_id}, size=ROWS_AT_ONCE)
            yield from chunks(rows, ROWS_AT_ONCE)


def _multirange(ranges: Iterable[tuple[datetime | None, datetime]]) -> TimestamptzMultirange:
    return TimestamptzMultirange(TimestamptzRange(after, before, "(]") for after, before in ranges)
