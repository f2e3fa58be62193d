"""What each summary of a run is made of: one statement, one snapshot, one look at each message of the run."""

from __future__ import annotations

from typing import Final

from twilio_campaigns.domain.delays import GROWTH
from twilio_campaigns.warehouse.inbound import OPTED_OUT
from twilio_campaigns.warehouse.tables.summaries import COUNTERS

#: How long after a run's beginning its timeline has five minutes to a step.
FINE: Final = "interval '1 day'"

_MESSAGES: Final = """
messages_of_run as materialized (
    select s.message_key, coalesce(s.country, '') as country, coalesce(s.price_unit, '') as price_unit, s.send_state,
           s.skip_reason, s.delivery_state, s.status, s.status_code, s.number_of_message_parts,
           s.batch_no, s.claimed_at, s.accepted_at, s.sent_at, s.final_at, s.price, s.tracked_on, s.settled_at,
           s.tracking_closes_at, s.sender, s.channel, s.connection,
           s.send_state = 'accepted' and s.delivery_state in ('pending', 'sent') as is_open,
           doubtful.message_key is not null as is_undecided,
           clicked.message_key is not null as is_clicked
    from message_status as s
    left join (select message_key from messages
               where run_key = %(run_key)s and send_state = 'unknown' and undecided_at is not null) as doubtful
           on doubtful.message_key = s.message_key
    left join (select distinct message_key from campaign_events
               where run_key = %(run_key)s and status = 'clicked') as clicked
           on clicked.message_key = s.message_key
    where s.run_key = %(run_key)s
)
"""

#: What each counter counts, of a message.
_COUNTS: Final = {
    "audience": "true",
    "excluded": "send_state = 'skipped'",
    "planned": "send_state <> 'skipped'",
    "too_late": "send_state = 'too_late'",
    "held_out": "send_state = 'held_out'",
    "waiting": "send_state in ('planned', 'claimed')",
    "unknown": "send_state = 'unknown'",
    "undecided": "is_undecided",
    "enqueued": "send_state = 'accepted'",
    "enqueue_failed": "send_state = 'enqueue_failed'",
    "sent": "sent_at is not null",
    "delivered": "delivery_state = 'delivered'",
    "failed": "delivery_state = 'failed'",
    "rejected": "delivery_state = 'rejected'",
    "unreported": "delivery_state = 'unreported'",
    "open": "is_open",
    "settled": "settled_at is not null",
    "clicked": "is_clicked",
    "arrived": "delivery_state = 'delivered' or is_clicked",
    "priced": "price is not null",
}

_COUNTS_OF_RUN: Final = f"""
select country, price_unit,
       {", ".join(f"count(*) filter (where {_COUNTS[name]}) as {name}" for name in COUNTERS)},
       coalesce(sum(number_of_message_parts), 0) as parts,
       coalesce(sum(price), 0) as price
from messages_of_run
group by country, price_unit
"""  # noqa: S608 - built of constants

# Of a message that never got a SID and has no code, its event says whether its outcome was never known.
_REASONS_OF_RUN: Final = """
select country,
       case when send_state = 'skipped' then 'skipped' else status end as status,
       case when send_state = 'skipped' then 0 else coalesce(status_code, 0) end as status_code,
       case when send_state = 'skipped' then skip_reason
            when status = 'enqueue_failed' and status_code is null
                then coalesce((select min(e.error) from campaign_events as e
                               where e.message_key = m.message_key and e.status = 'enqueue_failed'), '')
            else '' end as reason,
       count(*) as messages
from messages_of_run as m
where send_state = 'skipped' or status in ('enqueue_failed', 'failed', 'rejected')
group by 1, 2, 3, 4
"""

_TIMELINE_OF_RUN: Final = f"""
select date_bin(case when at < r.created_at + {FINE} then interval '5 minutes' else interval '1 hour' end,
                at, timestamptz '2000-01-01 00:00+00') as starts_at,
       status, country, count(*) as messages
from (select accepted_at as at, 'enqueued' as status, country from messages_of_run
      union all
      select sent_at, 'sent', country from messages_of_run
      union all
      select final_at, status, country from messages_of_run
      where status in ('enqueue_failed', 'delivered', 'failed', 'rejected')
      union all
      select occurred_at, status, coalesce(country, '') from campaign_events
      where run_key = %(run_key)s and status in ('clicked', 'incoming_message')) as moments
join campaign_runs as r on r.run_key = %(run_key)s
where at is not null
group by 1, 2, 3
"""  # noqa: S608 - the same

_DELAYS_OF_RUN: Final = f"""
select country,
       case when seconds < 1 then 0 else floor(ln(seconds) / ln({GROWTH}::float8)) + 1 end as bucket,
       count(*) as messages
from (select country, extract(epoch from final_at - accepted_at)::float8 as seconds
      from messages_of_run where status = 'delivered') as delivered
where seconds is not null
group by 1, 2
"""  # noqa: S608 - the same

_RESPONSES_OF_RUN: Final = f"""
select coalesce(e.country, '') as country,
       coalesce(sum(c.clicks), 0) as clicks,
       count(*) filter (where e.status = 'incoming_message') as replies,
       count(*) filter (where e.status = 'incoming_message' and e.comment = '{OPTED_OUT}') as opt_outs
from campaign_events as e
left join lateral (
    select count(*) as clicks from link_clicks
    where message_key = e.message_key and event_id = e.event_id and not is_bot
) as c on e.status = 'clicked'
where e.run_key = %(run_key)s and e.status in ('clicked', 'incoming_message')
group by 1
"""  # noqa: S608 - the same

_BATCHES_OF_RUN: Final = """
select batch_no,
       count(*) filter (where send_state = 'planned') as planned,
       count(*) filter (where send_state = 'claimed') as claimed,
       count(*) filter (where send_state = 'unknown') as unknown,
       count(*) filter (where is_undecided) as undecided,
       count(*) filter (where send_state = 'accepted') as accepted,
       count(*) filter (where send_state = 'enqueue_failed') as enqueue_failed,
       count(*) filter (where send_state = 'skipped') as skipped,
       count(*) filter (where send_state = 'too_late') as too_late,
       count(*) filter (where send_state = 'held_out') as held_out,
       count(*) filter (where delivery_state = 'sent') as sent,
       count(*) filter (where delivery_state = 'delivered') as delivered,
       count(*) filter (where delivery_state = 'failed') as failed,
       count(*) filter (where delivery_state = 'rejected') as rejected,
       count(*) filter (where delivery_state = 'unreported') as unreported,
       count(*) filter (where is_open) as open,
       min(claimed_at) as first_claimed_at,
       max(claimed_at) as last_claimed_at
from messages_of_run
where batch_no is not null
group by batch_no
"""

_DAYS_OF_RUN: Final = """
select tracked_on, count(*) as messages, count(*) filter (where settled_at is null) as open
from messages_of_run
where send_state = 'accepted' and tracked_on is not null
group by tracked_on
"""

#: Each summary table: what is to stand there of a run, and the columns of its key beside the run.
_SUMMARIES: Final = {
    "summary_counts": (_COUNTS_OF_RUN, ("country", "price_unit"), (*COUNTERS, "parts", "price")),
    "summary_reasons": (_REASONS_OF_RUN, ("country", "status", "status_code", "reason"), ("messages",)),
    "summary_timeline": (_TIMELINE_OF_RUN, ("starts_at", "status", "country"), ("messages",)),
    "summary_delays": (_DELAYS_OF_RUN, ("country", "bucket"), ("messages",)),
    "summary_responses": (_RESPONSES_OF_RUN, ("country",), ("clicks", "replies", "opt_outs")),
    "summary_batches": (
        _BATCHES_OF_RUN,
        ("batch_no",),
        (
            "planned",
            "claimed",
            "unknown",
            "undecided",
            "accepted",
            "enqueue_failed",
            "skipped",
            "too_late",
            "held_out",
            "sent",
            "delivered",
            "failed",
            "rejected",
            "unreported",
            "open",
            "first_claimed_at",
            "last_claimed_at",
        ),
    ),
    "summary_days": (_DAYS_OF_RUN, ("tracked_on",), ("messages", "open")),
}


def _merge(table: str, query: str, key: tuple[str, ...], figures: tuple[str, ...]) -> str:
    """Word how a table comes to say what a query gives, with no more writing than there is news."""
    of_key, of_all = ", ".join(key), ", ".join((*key, *figures))
    mine, theirs = (", ".join(f"{name}.{column}" for column in figures) for name in ("t", "excluded"))
    return f"""
fresh_{table} as materialized ({query}),
gone_{table} as (
    delete from {table} as t
    where run_key = %(run_key)s
      and not exists (select from fresh_{table} as f
                      where {" and ".join(f"f.{column} = t.{column}" for column in key)})
),
kept_{table} as (
    insert into {table} as t (run_key, {of_all})
    select %(run_key)s, {of_all} from fresh_{table}
    on conflict (run_key, {of_key}) do update
    set {", ".join(f"{column} = excluded.{column}" for column in figures)}
    where ({mine}) is distinct from ({theirs})
)"""  # noqa: S608 - the same


#: Makes all summaries of a run anew; gives what the run's own row says.
MAKE: Final = f"""
with {_MESSAGES},
{",".join(_merge(table, *parts) for table, parts in _SUMMARIES.items())}
select min(m.sender) as sender, min(m.channel) as channel, min(m.connection) as connection,
       min(m.tracking_closes_at) filter (where m.is_open) as closes_at
from messages_of_run as m
"""  # noqa: S608 - the same
