"""What the passing of time does to ledger rows: leases end, deadlines pass, windows close (PROTOCOLS S5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from twilio_campaigns.domain.errors import OUTCOME_UNKNOWN
from twilio_campaigns.domain.steps import Step, reached
from twilio_campaigns.warehouse.events import write_events
from twilio_campaigns.warehouse.marking import marking
from twilio_campaigns.warehouse.outcomes import failed_draft

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from twilio_campaigns.warehouse.connection import Warehouse

_STALE: Final = marking("""
update messages
set send_state = 'unknown', resolve_after = claimed_at + %(list_lag)s
where message_key in (
    select message_key from messages
    where send_state = 'claimed' and claimed_at < now() - %(lease)s and connection = %(connection)s
    order by message_key limit 1000 for update skip locked
)
returning run_key
""")

_CLOSE_UNKNOWN: Final = marking("""
update messages
set send_state = 'enqueue_failed', status = 'enqueue_failed', final_at = now(), resolve_after = null
where message_key in (
    select message_key from messages
    where send_state = 'unknown' and claimed_at + %(window)s <= now() and connection = %(connection)s
    order by message_key limit 1000 for update skip locked
)
returning run_key, message_key, final_at
""")

# All rows of a run have one deadline, so one planned row tells of all; runs that wait for nobody cost one look.
_TOO_LATE: Final = marking("""
update messages
set send_state = 'too_late'
where message_key in (
    select m.message_key
    from campaign_runs as r
    cross join lateral (
        select send_before from messages where run_key = r.run_key and send_state = 'planned' limit 1
    ) as any_row
    join messages as m on m.run_key = r.run_key
    where r.state <> 'done' and any_row.send_before <= now() and m.send_state = 'planned' and m.send_before <= now()
    order by m.message_key limit 1000 for update of m skip locked
)
returning run_key
""")

# After a restore nobody knows which planned rows had been claimed since: each is treated as if it had been.
_FORGOTTEN: Final = marking("""
update messages
set send_state = 'unknown', claim_id = null, claimed_at = %(since)s, resolve_after = now() + %(list_lag)s,
    lookups = 0, looked_up_at = null
where message_key in (
    select m.message_key
    from messages as m
    join campaign_runs as r using (run_key)
    where r.state in ('sending', 'paused') and m.send_state = 'planned'
      and m.connection = %(connection)s
    order by m.message_key limit 1000 for update of m skip locked
)
returning run_key
""")

_PLANNED_CONNECTIONS: Final = """
select distinct m.connection
from campaign_runs as r
join messages as m on m.run_key = r.run_key and m.send_state = 'planned'
where r.state in ('sending', 'paused')
order by m.connection
"""


class Expiry:
    """Rows whose time is over, of all campaigns: removed and paused ones leave nothing behind.

    :param warehouse: where the ledger is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def age_claims(self, connection_id: str, lease: timedelta, list_lag: timedelta) -> int:
        """Turn claims older than their lease into `unknown`: whoever held them is gone. Give how many."""
        aged = self._repeat(_STALE, {"lease": lease, "list_lag": list_lag, "connection": connection_id})
        if aged:
            reached(Step.AGED)
        return aged

    def close_late(self) -> int:
        """Give up planned rows that may not be sent any more, of stopped and forgotten runs too; give how many."""
        return self._repeat(_TOO_LATE, {})

    def close_unknown(self, connection_id: str, window: timedelta) -> int:
        """Give up on rows whose outcome is still unknown when their window closes; give how many.

        They become `enqueue_failed` with error `outcome_unknown`, and are never sent again.
        """
        closed = 0
        while True:
            with self._warehouse.transaction() as connection:
                parameters = {"window": window, "connection": connection_id}
                rows = connection.execute(cast("Any", _CLOSE_UNKNOWN), parameters).fetchall()
                drafts = [failed_draft(row["message_key"], row["final_at"], None) for row in rows]
                write_events(connection, drafts, OUTCOME_UNKNOWN, are_new=True)
            closed += len(rows)
            if not rows:
                return closed

    def connections_of_planned(self) -> list[str]:
        """Name the Twilio connections under which runs under way still have messages to send."""
        with self._warehouse.transaction() as connection:
            return [row["connection"] for row in connection.execute(_PLANNED_CONNECTIONS)]

    def doubt_planned(self, connection_id: str, since: datetime, list_lag: timedelta) -> int:
        """Turn every planned row of runs under way into `unknown`, after a restore that forgot claims; give how many.

        :param since: the moment to which the database was taken back: from then on rows may have been posted.
        """
        return self._repeat(_FORGOTTEN, {"since": since, "list_lag": list_lag, "connection": connection_id})

    def _repeat(self, statement: str, parameters: dict[str, Any]) -> int:
        changed = 0
        while True:
            with self._warehouse.transaction() as connection:
                count = connection.execute(cast("Any", statement), parameters).rowcount
            changed += count
            if not count:
                return changed
