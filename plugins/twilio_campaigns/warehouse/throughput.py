"""A sender's capacity, shared by every task, DAG and worker through reservations (PROTOCOLS S2)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from twilio_campaigns.warehouse.connection import scalar, scalar_of

if TYPE_CHECKING:
    from twilio_campaigns.warehouse.connection import Connection, Warehouse

#: A run that has not asked for this long is no longer waiting, and nobody waits for it.
ASKS_AGAIN_WITHIN: Final = timedelta(seconds=2)

# Locks the sender: what follows sees what others have committed. Nobody waits for the disk: what a crash of the server
# forgets had been given away for seconds that are over when it is back.
_LOCK: Final = """
insert into sender_throughput as t (sender, next_free_at)
values (%(sender)s, clock_timestamp())
on conflict (sender) do update set next_free_at = t.next_free_at
returning next_free_at < clock_timestamp() + %(depth)s as is_open, set_config('synchronous_commit', 'off', true)
"""

# Who has had least is next. Whoever comes new or comes back begins where the others are: nobody saves up turns.
_ASK: Final = """
with others as (
    select min(served) as least
    from sender_shares
    where sender = %(sender)s and run_key <> %(run_key)s and asked_at > clock_timestamp() - %(again)s
)
insert into sender_shares as s (sender, run_key, served, asked_at)
select %(sender)s, %(run_key)s, coalesce(least, interval '0'), clock_timestamp() from others
on conflict (sender, run_key) do update
set asked_at = excluded.asked_at,
    served = case when s.asked_at > clock_timestamp() - %(again)s then s.served
                  else greatest(s.served, excluded.served) end
returning coalesce(served <= (select least from others), true) as is_turn
"""

_TAKE: Final = """
with served as (
    update sender_shares set served = served + %(takes)s where sender = %(sender)s and run_key = %(run_key)s
)
update sender_throughput
set next_free_at = greatest(next_free_at, clock_timestamp()) + %(takes)s
where sender = %(sender)s
returning greatest(next_free_at - %(takes)s - clock_timestamp(), interval '0') as wait
"""

_SLOW_DOWN: Final = """
update sender_throughput
set next_free_at = greatest(next_free_at, clock_timestamp() + %(pause)s)
where sender = %(sender)s
"""

_PARTS_AHEAD: Final = """
select coalesce(sum(m.estimated_parts), 0)
from campaign_runs as r
join messages as m on m.run_key = r.run_key and m.send_state = 'planned' and m.send_before > now()
where r.state = 'sending' and r.spec -> 'sender' ->> 'name' = %s and r.run_key <> %s
"""


@dataclass(frozen=True, slots=True)
class Demand:
    """Who wants to send how much.

    :param sender: profile whose capacity is shared.
    :param run_key: the run; capacity is shared evenly among runs, however many tasks each has.
    :param takes: how long the sender is busy with it: parts ÷ rate.
    """

    sender: str
    run_key: str
    takes: timedelta


class Throughput:
    """Table `sender_throughput`: everything before `next_free_at` is given away.

    :param warehouse: where the table is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def reserve(self, demand: Demand, depth: timedelta) -> timedelta | None:
        """Reserve capacity; give how long to wait before the first message.

        :param depth: how far ahead of now capacity may be given away; what a dead worker can take with it.
        :return: `None` when others have reserved that far already, or when it is another run's turn.
        """
        parameters: dict[str, Any] = {
            "sender": demand.sender,
            "run_key": demand.run_key,
            "takes": demand.takes,
            "depth": depth,
            "again": ASKS_AGAIN_WITHIN,
        }
        with self._warehouse.transaction() as connection:
            is_open = _only(connection, _LOCK, parameters)
            is_turn = _only(connection, _ASK, parameters)
            return cast("timedelta", _only(connection, _TAKE, parameters)) if is_open and is_turn else None

    def slow_down(self, sender: str, pause: timedelta) -> None:
        """Let nobody send from this sender for a while: Twilio said that it is too much."""
        with self._warehouse.transaction() as connection:
            connection.execute(_SLOW_DOWN, {"sender": sender, "pause": pause})


def parts_ahead(connection: Connection, sender: str, *, besides: str = "") -> int:
    """Count planned parts of a sender; inside the caller's transaction.

    :param besides: a run that is not counted.
    """
    return int(scalar(connection, _PARTS_AHEAD, sender, besides))


def _only(connection: Connection, statement: Any, parameters: dict[str, Any]) -> Any:  # noqa: ANN401 - a literal, any SQL type
    return scalar_of(connection.execute(statement, parameters).fetchone())
