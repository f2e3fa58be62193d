"""Freezing an audience: rows are staged in chunks, then become ledger rows in one transaction (PROTOCOLS S0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, LiteralString, cast

from psycopg.types.json import Jsonb

from twilio_campaigns.domain.exceptions import TransientError
from twilio_campaigns.domain.forecast import Forecast
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.domain.steps import Step, reached
from twilio_campaigns.warehouse.connection import scalar
from twilio_campaigns.warehouse.marking import mark_run
from twilio_campaigns.warehouse.throughput import parts_ahead

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime, timedelta
    from uuid import UUID

    from twilio_campaigns.domain.audience import Recipient
    from twilio_campaigns.warehouse.connection import Connection, Warehouse

#: At most this many mapped tasks per run: `core.max_map_length` is 1,024.
MAX_BATCHES: Final = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """A campaign run as its DAG run names it.

    :param run_key: `campaign_id/<logical date>` or `campaign_id/<run_id>`.
    :param logical_date: Airflow's logical date; `None` for runs made without one.
    """

    run_key: str
    campaign_id: str
    dag_id: str
    dag_run_id: str
    logical_date: datetime | None


@dataclass(frozen=True, slots=True)
class FreezePlan:
    """What a freeze writes beside the rows themselves.

    :param scope: whose opt-outs count: the sender's Messaging Service, else its number.
    :param spec: the resolved campaign as JSON.
    :param max_lateness: a run that is later than this after its logical date is too late.
    :param send_within: rows may be claimed for this long after the freeze.
    :param repeat_after: whoever had this campaign more recently than this is left out.
    :param batch_size: rows per batch, or `None` for a size that follows the audience.
    :param parts_per_second: at which the sender is handed messages.
    :param released_per_second: at which Twilio passes them on.
    :param validity: when Twilio gives up on a queued message; `None` for Twilio's own limit.
    """

    connection: str
    channel: str
    sender: str
    from_number: str | None
    scope: str
    spec: Mapping[str, Any]
    max_lateness: timedelta
    send_within: timedelta
    repeat_after: timedelta
    batch_size: int | None
    parts_per_second: float
    released_per_second: float
    validity: timedelta | None

    def forecast(self, messages: int, parts: int, parts_ahead: int) -> Forecast:
        """Say what sending an audience will take, by the figures that :class:`Forecast` explains."""
        return Forecast(messages, parts, parts_ahead, self.parts_per_second, self.released_per_second)


_OPEN_RUN: Final = """
insert into campaign_runs (run_key, campaign_id, logical_date, dag_id, dag_run_id, state)
values (%(run_key)s, %(campaign_id)s, %(logical_date)s, %(dag_id)s, %(dag_run_id)s, 'freezing')
on conflict (run_key) do nothing
"""

# Judged here and nowhere else: neither a retry nor a resumed run is judged again once it is frozen, nor one that
# somebody decided to send late.
_JUDGE_LATENESS: Final = """
update campaign_runs
set state = 'too_late', audience_rows = 0, finished_at = now()
where run_key = %(run_key)s and state = 'freezing' and logical_date < now() - %(max_lateness)s
  and lateness_waived_at is null
"""

_COPY: Final = """
copy audience_staging (freeze_id, row_no, customer_id, input_number, to_number, country, time_zone, body,
                       media_urls, content_sid, content_variables, estimated_parts, skip_reason)
from stdin
"""

# Whom another run of the campaign has texted lately, or may text at any moment, is left out; whom a stopped run never
# reached is not. A preview asks the same of numbers that nobody has staged.
LEFT_OUT: Final[LiteralString] = """
                   when exists (select from suppressions as p
                                where p.to_number = ranked.to_number and p.scope in ('*', %(scope)s)
                                  and p.lifted_at is null)
                       then 'suppressed'
                   when exists (select from messages as m join campaign_runs as r using (run_key)
                                where m.to_number = ranked.to_number and m.campaign_id = %(campaign_id)s
                                  and m.run_key <> %(run_key)s
                                  and case m.send_state
                                      when 'planned' then r.state in ('sending', 'paused') and m.send_before > now()
                                      when 'claimed' then true
                                      when 'unknown' then true
                                      when 'accepted' then m.claimed_at > now() - %(repeat_after)s
                                      else false
                                  end)
                       then 'recently_texted'
"""

# The lowest customer_id wins a number that several rows share; collation "C" makes that the same everywhere.
# Keys come from sha256 rather than md5, which a FIPS build of PostgreSQL refuses.
_FREEZE: Final = f"""
with ranked as (
    select s.*,
           row_number() over (partition by to_number, skip_reason is null
                              order by customer_id collate "C", row_no) as place,
           row_number() over (partition by customer_id, input_number order by row_no) as occurrence
    from audience_staging as s
    where freeze_id = %(freeze_id)s
),
judged as (
    select ranked.*,
           coalesce(
               skip_reason,
               case
                   when place > 1 then 'duplicate_number'
{LEFT_OUT}
               end
           ) as reason
    from ranked
),
keyed as (
    select judged.*,
           substr(encode(sha256(convert_to(case
               when reason is null then jsonb_build_array(%(run_key)s::text, to_number)
               else jsonb_build_array(%(run_key)s::text, 'skipped', customer_id, input_number, occurrence)
           end::text, 'utf8')), 'hex'), 1, 32)::uuid as message_key
    from judged
),
sized as (
    select greatest(coalesce(%(batch_size)s, greatest(1000, ceil(count(*) / 50.0)::int)),
                    ceil(count(*) / %(max_batches)s::numeric)::int) as batch_size
    from keyed
    where reason is null
)
insert into messages (
    message_key, run_key, campaign_id, connection, customer_id, input_number, to_number, country, time_zone,
    channel, sender, from_number, body, media_urls, content_sid, content_variables, estimated_parts,
    batch_no, send_state, skip_reason, send_before
)
select message_key, %(run_key)s, %(campaign_id)s, %(connection)s, customer_id, input_number, to_number, country,
       time_zone, %(channel)s, %(sender)s, %(from_number)s, body, media_urls, content_sid, content_variables,
       estimated_parts,
       case when reason is null then
           (row_number() over (partition by reason is null order by message_key) - 1) / sized.batch_size + 1
       end,
       case when reason is null then 'planned' else 'skipped' end,
       reason,
       now() + %(send_within)s
from keyed, sized
"""  # noqa: S608 - built of constants

_PLANNED: Final = """
select count(*) as messages, coalesce(sum(estimated_parts), 0) as parts
from messages where run_key = %s and send_state = 'planned'
"""

_BATCHES: Final = """
select distinct batch_no from messages
where run_key = %s and batch_no is not null
order by batch_no
"""


class AudienceStore:
    """Ledger side of the freeze.

    :param warehouse: where ledger and staging tables are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def open_run(self, run: Run, max_lateness: timedelta) -> RunState:
        """Register the run and judge its lateness; give its state.

        A run that is frozen already keeps its state whatever the clock says.
        """
        with self._warehouse.transaction() as connection:
            _open(connection, run, max_lateness)
            return _state(connection, run.run_key)

    def stage(self, freeze_id: UUID, recipients: Iterable[tuple[int, Recipient]]) -> None:
        """Copy one chunk of recipients, each with its row number in the segment, to the staging table."""
        with (
            self._warehouse.transaction() as connection,
            connection.cursor() as cursor,
            cursor.copy(_COPY) as copy,
        ):
            for row_no, r in recipients:
                copy.write_row(
                    (
                        freeze_id,
                        row_no,
                        r.customer_id,
                        r.input_number,
                        r.to_number,
                        r.country,
                        r.time_zone,
                        r.body,
                        list(r.media_urls),
                        r.content_sid,
                        r.content_variables,
                        r.estimated_parts,
                        r.skip_reason,
                    )
                )
        reached(Step.STAGED)

    def freeze(self, run: Run, freeze_id: UUID, plan: FreezePlan, staged: int) -> None:
        """Turn the staged rows into ledger rows, all at once; a run that is frozen already, or stopped, stays as it is.

        Two runs of a campaign freeze one after the other, so that the second one sees whom the first one has.

        :param staged: how many rows were staged.
        :raises AudienceError: when the audience could not be reached in time; nothing is written then.
        :raises TransientError: when they are not all there: a server that crashed has emptied the staging table.
        """
        with self._warehouse.transaction() as connection:
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (run.campaign_id,))
            connection.execute("select from campaign_runs where run_key = %s for update", (run.run_key,))
            _open(connection, run, plan.max_lateness)
            if _state(connection, run.run_key) is RunState.FREEZING:
                self._write(connection, run, freeze_id, plan, staged)
            connection.execute("delete from audience_staging where freeze_id = %s", (freeze_id,))
            reached(Step.FREEZING)

    def state(self, run_key: str) -> RunState:
        """Give the state of a run that was opened."""
        with self._warehouse.transaction() as connection:
            return _state(connection, run_key)

    def discard(self, freeze_id: UUID) -> None:
        """Forget what an interrupted freeze staged, and what others left behind more than a day ago."""
        with self._warehouse.transaction() as connection:
            connection.execute(
                "delete from audience_staging where freeze_id = %s or staged_at < now() - interval '1 day'",
                (freeze_id,),
            )

    def batches(self, run_key: str) -> list[int]:
        """Numbers of the run's batches, the finished ones too: clearing a task must not change the map."""
        with self._warehouse.transaction() as connection:
            return [row["batch_no"] for row in connection.execute(_BATCHES, (run_key,))]

    @staticmethod
    def _write(connection: Connection, run: Run, freeze_id: UUID, plan: FreezePlan, staged: int) -> None:
        found = scalar(connection, "select count(*) from audience_staging where freeze_id = %s", freeze_id)
        if found != staged:
            raise TransientError(
                f"Of {staged:,} rows of the segment the warehouse kept {found:,} while they were being read; has it "
                "been restarted? Nobody was planned. Another try reads the segment anew."
            )
        # Freshly staged rows have no statistics; without them the planner takes the anti-joins for tiny.
        connection.execute("analyze audience_staging")
        written = connection.execute(
            _FREEZE,
            {
                "run_key": run.run_key,
                "campaign_id": run.campaign_id,
                "freeze_id": freeze_id,
                "max_batches": MAX_BATCHES,
                "connection": plan.connection,
                "channel": plan.channel,
                "sender": plan.sender,
                "from_number": plan.from_number,
                "scope": plan.scope,
                "send_within": plan.send_within,
                "repeat_after": plan.repeat_after,
                "batch_size": plan.batch_size,
            },
        ).rowcount
        connection.execute(
            "update campaign_runs set state = 'sending', spec = %s, audience_rows = %s where run_key = %s",
            (Jsonb(plan.spec), written, run.run_key),
        )
        mark_run(connection, run.run_key)
        _check_time(connection, run.run_key, plan)


def _check_time(connection: Connection, run_key: str, plan: FreezePlan) -> None:
    row = connection.execute(_PLANNED, (run_key,)).fetchone() or {}
    ahead = parts_ahead(connection, plan.sender, besides=run_key)
    forecast = plan.forecast(row["messages"], row["parts"], ahead)
    forecast.check(send_within=plan.send_within, validity=plan.validity)


def _open(connection: Connection, run: Run, max_lateness: timedelta) -> None:
    connection.execute(
        _OPEN_RUN,
        {
            "run_key": run.run_key,
            "campaign_id": run.campaign_id,
            "logical_date": run.logical_date,
            "dag_id": run.dag_id,
            "dag_run_id": run.dag_run_id,
        },
    )
    connection.execute(_JUDGE_LATENESS, {"run_key": run.run_key, "max_lateness": max_lateness})


def _state(connection: Connection, run_key: str) -> RunState:
    return RunState(cast("str", scalar(connection, "select state from campaign_runs where run_key = %s", run_key)))
