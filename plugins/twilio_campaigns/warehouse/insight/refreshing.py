"""When summaries are made anew: by whoever writes, now and then, and not more often than they are worth.

The marks of a run are taken away before its messages are counted: whatever is committed later leaves a mark that
stays. All of it is one transaction, so a crash leaves the old summary and its marks. It locks nothing but marks and
summaries of its run, and nobody else touches those meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from psycopg.errors import LockNotAvailable, QueryCanceled

from twilio_campaigns.domain.exceptions import TransientError
from twilio_campaigns.warehouse.connection import scalar
from twilio_campaigns.warehouse.insight.making import MAKE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from twilio_campaigns.warehouse.connection import Connection, Warehouse

#: Seconds between two refreshes of a run while it changes all the time.
EVERY: Final = 10.0
#: For how long whoever wants to have it exact waits for somebody else who is at it, and how long one may take: no task
#: hangs because a page's figures are not there.
LOCK_TIMEOUT: Final = "5s"
STATEMENT_TIMEOUT: Final = "10min"
#: A refresh may take this share of the time: one that took a second is not repeated within twenty.
SHARE: Final = 0.05

_TRY_LOCK: Final = "select pg_try_advisory_xact_lock(hashtextextended('summary ' || %s, 0))"
_WAIT_LOCK: Final = "select pg_advisory_xact_lock(hashtextextended('summary ' || %s, 0))"

# A summary goes out of date by itself when the window of an open message closes.
_MARKED: Final = """
select run_key from summary_marks where %(run_keys)s::text[] is null or run_key = any(%(run_keys)s)
union
select run_key from summary_runs
where closes_at <= now() and (%(run_keys)s::text[] is null or run_key = any(%(run_keys)s))
order by run_key
"""

_DUE: Final = """
select run_key
from (select run_key from summary_marks
      union
      select run_key from summary_runs where closes_at <= now()) as marked
left join summary_runs as s using (run_key)
where s.run_key is null or s.refreshed_at <= now() - make_interval(secs => greatest(%(every)s, s.took / %(share)s))
order by s.refreshed_at nulls first, run_key
"""

_TAKE_MARKS: Final = "delete from summary_marks where run_key = %s"

_SIGN: Final = """
insert into summary_runs as s (run_key, campaign_id, sender, channel, connection, refreshed_at, took, closes_at)
select r.run_key, r.campaign_id, coalesce(%(sender)s, r.spec -> 'sender' ->> 'name'), %(channel)s,
       coalesce(%(connection)s, r.spec ->> 'connection'), %(began_at)s,
       extract(epoch from clock_timestamp() - %(began_at)s), %(closes_at)s
from campaign_runs as r
where r.run_key = %(run_key)s
on conflict (run_key) do update
set sender = excluded.sender, channel = excluded.channel, connection = excluded.connection,
    refreshed_at = excluded.refreshed_at, took = excluded.took, closes_at = excluded.closes_at
"""

_OLDEST: Final = "select min(marked_at) from summary_marks"


class _UncountedError(TransientError):
    """One run could not be counted; others may be."""


class Summaries:
    """The tables `summary_*`.

    :param warehouse: where they are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def refresh_due(self) -> int:
        """Make the summaries anew whose time has come; give how many. May be called at any time.

        A run at which somebody else is, is left to them.
        """
        with self._warehouse.transaction() as connection:
            due = connection.execute(_DUE, {"every": EVERY, "share": SHARE}).fetchall()
        return self._refresh_all([row["run_key"] for row in due], wait=False)

    def refresh_marked(self, run_keys: Collection[str] | None = None) -> int:
        """Make every summary anew that is out of date, however lately it was made; give how many.

        What was committed before this call is in them afterwards.

        :param run_keys: only those of these runs.
        :raises TransientError: when somebody else is at one for longer than :data:`LOCK_TIMEOUT`, or it takes longer
            than :data:`STATEMENT_TIMEOUT`, or the warehouse is away.
        """
        wanted = None if run_keys is None else list(run_keys)
        with self._warehouse.transaction() as connection:
            marked = connection.execute(_MARKED, {"run_keys": wanted}).fetchall()
        return self._refresh_all([row["run_key"] for row in marked], wait=True)

    def refresh(self, run_key: str) -> None:
        """Make the summary of a run anew, whether it is marked or not; errors as for :meth:`refresh_marked`."""
        self._refresh(run_key, wait=True)

    def oldest_mark_at(self) -> datetime | None:
        """Tell since when something waits to be counted; `None` where nothing does."""
        with self._warehouse.transaction() as connection:
            return cast("datetime | None", scalar(connection, _OLDEST))

    def _refresh_all(self, run_keys: Sequence[str], *, wait: bool) -> int:
        """Make some anew. One that cannot be counted keeps nobody from counting the others; it is raised at the end."""
        made, failure = 0, None
        for run_key in run_keys:
            try:
                made += self._refresh(run_key, wait=wait)
            except _UncountedError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return made

    def _refresh(self, run_key: str, *, wait: bool) -> bool:
        try:
            return self._refresh_in_one(run_key, wait=wait)
        except TransientError as error:
            # Where the warehouse is away, it is for the next run too.
            of_this_run = isinstance(error.__cause__, LockNotAvailable | QueryCanceled)
            raise (_UncountedError if of_this_run else TransientError)(
                f"The figures of run {run_key} could not be counted: {str(error).rstrip('.')}. Somebody else may be at "
                "it; ask again in a minute. Sending and reconciling do not depend on them."
            ) from error

    def _refresh_in_one(self, run_key: str, *, wait: bool) -> bool:
        with self._warehouse.transaction() as connection:
            if wait:
                connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
                connection.execute(_WAIT_LOCK, (run_key,))
            elif not scalar(connection, _TRY_LOCK, run_key):
                return False
            _make(connection, run_key)
        return True


def _make(connection: Connection, run_key: str) -> None:
    # Whoever calls may have little patience with its own statements: the webhooks have.
    connection.execute(f"set local statement_timeout = '{STATEMENT_TIMEOUT}'")
    began_at = scalar(connection, "select clock_timestamp()")
    connection.execute(_TAKE_MARKS, (run_key,))
    found: dict[str, Any] = connection.execute(cast("Any", MAKE), {"run_key": run_key}).fetchone() or {}
    connection.execute(_SIGN, {"run_key": run_key, "began_at": began_at, **found})
