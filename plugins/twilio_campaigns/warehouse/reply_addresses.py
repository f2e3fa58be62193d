"""Which numbers people write to when they answer our senders, and how far each has been read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from twilio_campaigns.warehouse.suppressions import RUN_SCOPE

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from twilio_campaigns.warehouse.connection import Warehouse

#: Campaign runs of this long ago are looked through for senders. What was learnt once stays.
MEMORY: Final = "interval '30 days'"

_CONNECTIONS: Final = f"""
select distinct spec ->> 'connection' as connection
from campaign_runs
where created_at > now() - {MEMORY} and spec ->> 'connection' is not null
order by 1
"""  # noqa: S608 - built of constants

_STATE: Final = """
select now() as now, max(read_at) as read_at from inbound_reads where connection = %(connection)s
"""

# A sender's own address is known from its runs. What numbers a Messaging Service sends from only its messages tell,
# mostly a while after they were sent: so the last two days are looked through again.
_LEARN: Final = f"""
with runs as materialized (
    select r.run_key, r.created_at, r.spec -> 'sender' ->> 'messaging_service_sid' as service, {RUN_SCOPE} as scope
    from campaign_runs as r
    where r.created_at > now() - {MEMORY} and r.spec ->> 'connection' = %(connection)s
),
used as (
    select scope as address, scope, created_at as used_at
    from runs
    where scope is not null
    union all
    select m.from_number, r.scope, min(m.accepted_at)
    from messages as m
    join runs as r on r.run_key = m.run_key
    where r.service is not null and m.connection = %(connection)s and m.send_state = 'accepted'
      and m.tracked_on >= coalesce(%(read_at)s::timestamptz - interval '2 days', now() - {MEMORY})::date
      and m.from_number is not null
    group by m.from_number, r.scope
)
insert into reply_addresses (connection, address, scope, used_at, learnt_at)
select %(connection)s, address, scope, min(used_at), now()
from used
group by address, scope
order by address, scope
on conflict (connection, address, scope) do nothing
"""  # noqa: S608 - the same

# A number learnt since the last read is read from its first use: what was answered to it meanwhile nobody has seen.
# Services and alphanumeric senders cannot be asked for.
_NUMBERS: Final = r"""
select address as number,
       bool_or(is_new) as is_new,
       min(case when is_new then greatest(used_at - %(overlap)s, now() - %(first_read)s)
                else %(read_at)s::timestamptz - %(overlap)s end) as since
from (
    select address, used_at, %(read_at)s::timestamptz is null or learnt_at > %(read_at)s as is_new
    from reply_addresses
    where connection = %(connection)s and address ~ '^\+?[0-9]{3,15}$'
) as known
group by address
order by address
"""

_NOTE: Final = """
insert into inbound_reads as r (connection, read_at)
values (%s, %s)
on conflict (connection) do update set read_at = greatest(r.read_at, excluded.read_at)
"""


@dataclass(frozen=True, slots=True)
class ReplyNumber:
    """A number of ours.

    :param since: replies to it are known up to this moment.
    :param is_new: it was learnt after the last read.
    """

    number: str
    since: datetime
    is_new: bool


@dataclass(frozen=True, slots=True)
class InboundRead:
    """What one read of replies has to cover.

    :param started_at: what replies will be known up to, once it has succeeded.
    :param is_first: nobody has read the account's replies before.
    """

    connection_id: str
    started_at: datetime
    is_first: bool
    numbers: tuple[ReplyNumber, ...]


class ReplyAddresses:
    """Tables `reply_addresses` and `inbound_reads`.

    :param warehouse: where they are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def connections(self) -> list[str]:
        """Airflow connections of the accounts that campaigns used lately: people answer after the last message, too."""
        with self._warehouse.transaction() as connection:
            return [row["connection"] for row in connection.execute(cast("Any", _CONNECTIONS))]

    def is_due(self, connection_id: str, every: timedelta) -> bool:
        """Whether an account's replies have not been read for so long."""
        with self._warehouse.transaction() as connection:
            row = connection.execute(_STATE, {"connection": connection_id}).fetchone() or {}
        return row["read_at"] is None or row["now"] - row["read_at"] >= every

    def begin(self, connection_id: str, *, overlap: timedelta, first_read: timedelta) -> InboundRead:
        """Learn what numbers our senders use by now, and say from when on each is to be read.

        :param overlap: how far each read reaches back before the last one: lists show messages late.
        :param first_read: how far back a number is read that was not known before, at most.
        """
        parameters: dict[str, Any] = {"connection": connection_id, "overlap": overlap, "first_read": first_read}
        with self._warehouse.transaction() as connection:
            state = connection.execute(_STATE, parameters).fetchone() or {}
            parameters["read_at"] = state["read_at"]
            connection.execute(cast("Any", _LEARN), parameters)
            rows = connection.execute(_NUMBERS, parameters).fetchall()
        numbers = tuple(ReplyNumber(**row) for row in rows)
        return InboundRead(connection_id, state["now"], state["read_at"] is None, numbers)

    def end(self, reading: InboundRead) -> None:
        """Note that it succeeded."""
        with self._warehouse.transaction() as connection:
            connection.execute(_NOTE, (reading.connection_id, reading.started_at))
