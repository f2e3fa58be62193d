"""What the benchmark of the pages reads: a million messages of thirty runs, as months of campaigns leave them behind.

Made by the database itself, from numbers alone: the same scene every time. Summaries are made as they are in
production, by what the writers leave marked.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, LiteralString

import psycopg

from twilio_campaigns.warehouse.connection import Warehouse
from twilio_campaigns.warehouse.inbound import OPTED_OUT
from twilio_campaigns.warehouse.insight.refreshing import Summaries
from twilio_campaigns.warehouse.schema import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS: Final = 30
CAMPAIGNS: Final = ("spring_sale", "product_launch", "vip_preview", "newsletter", "reminder")
#: Share of all messages that the largest run has.
LARGEST: Final = 0.2

_RUN: Final = """
insert into campaign_runs (run_key, campaign_id, logical_date, dag_id, dag_run_id, spec, audience_rows, state,
                           created_at, finished_at, state_reason, state_changed_by, state_changed_at)
select campaign_id || '/run-' || n, campaign_id, at, 'campaign__' || campaign_id, 'scheduled__' || n,
       jsonb_build_object('campaign_id', campaign_id, 'connection', 'twilio_default',
                          'sender', jsonb_build_object('name', 'sender_' || n %% 3)),
       rows, case when n = 0 then 'sending' else 'done' end, at, case when n > 0 then at + interval '2 hours' end,
       case when n %% 7 = 3 then 'resumed' end, case when n %% 7 = 3 then 'somebody' end,
       case when n %% 7 = 3 then at + interval '20 minutes' end
from (select n, (%(campaigns)s::text[])[1 + n %% cardinality(%(campaigns)s::text[])] as campaign_id,
             now() - interval '2 hours' - n * interval '2 days' as at,
             case when n = 1 then %(largest)s else %(others)s end as rows
      from generate_series(0, %(last)s) as n) as o
"""

# What became of a message follows from its number. One of eight goes to a country without receipts, one of a thousand
# has no outcome yet, and the newest run is still on its way.
_MESSAGES: Final = """
insert into messages (message_key, run_key, campaign_id, connection, customer_id, input_number, to_number, country,
    channel, sender, from_number, body, estimated_parts, batch_no, send_state, skip_reason, send_before, claim_id,
    attempts, claimed_at, resolve_after, message_sid, sid_source, accepted_at, tracked_on, tracking_closes_at,
    provider_status, status, status_code, number_of_message_parts, sent_at, final_at, price, price_unit, settled_at)
select md5(run_key || ' ' || n)::uuid, run_key, campaign_id, 'twilio_default',
    'c' || lpad((n * 7 %% 500000)::text, 8, '0'),
    number, case when skip_reason is distinct from 'invalid_number' then number end,
    case when skip_reason is distinct from 'invalid_number' then country end,
    'sms', 'sender_' || run_no %% 3, '+12025550100', 'Hi, spring is here until Sunday. Reply STOP to opt out.', 1,
    case when skip_reason is null then n / 1000 + 1 end,
    send_state, skip_reason, created_at + interval '1 day',
    case when send_state in ('accepted', 'unknown', 'enqueue_failed') then md5(n::text)::uuid end,
    (send_state in ('accepted', 'unknown', 'enqueue_failed'))::int,
    case when send_state in ('accepted', 'unknown', 'enqueue_failed') then at end,
    case when send_state = 'unknown' then at + interval '4 hours' end,
    case when send_state = 'accepted' then 'SM' || md5(run_key || ' ' || n) end,
    case when send_state = 'accepted' then 'answer' end,
    case when send_state = 'accepted' then at end,
    case when send_state = 'accepted' then at::date end,
    case when send_state = 'accepted' then at + interval '4 days' end,
    case when send_state = 'accepted' then provider_status end,
    case when send_state = 'accepted' then status when send_state = 'enqueue_failed' then 'enqueue_failed' end,
    case when send_state = 'enqueue_failed' then 21211 when send_state = 'accepted' then status_code end,
    case when send_state = 'accepted' then 1 + (n %% 10 = 0)::int end,
    case when send_state = 'accepted' and status not in ('enqueued', 'rejected') then at + interval '2 seconds' end,
    case when send_state = 'enqueue_failed' then at
         when send_state = 'accepted' and status in ('delivered', 'failed', 'rejected') then ended_at end,
    case when send_state = 'accepted' and not is_fresh then 0.0079 * (1 + (n %% 10 = 0)::int) end,
    case when send_state = 'accepted' and not is_fresh then 'USD' end,
    case when send_state = 'accepted' and not is_fresh
              and (status not in ('sent', 'enqueued') or created_at < now() - interval '5 days')
         then ended_at + interval '1 hour' end
from (
    select o.*, created_at + (n::float8 / audience_rows) * interval '90 minutes' as at,
        created_at + (n::float8 / audience_rows) * interval '90 minutes'
            + (2 + power(hash %% 97, 2) / 20) * interval '1 second' as ended_at,
        created_at > now() - interval '1 day' as is_fresh,
        '+1' || (2000000000 + n * 31) as number,
        (array['US','CA','GB','DE','FR','BR','ES','IT','NL','PL','MX','AU','IN','SE','CH','AT','BE','PT','IE','NZ',
               'ZA','JP','SG','HK','ID'])[1 + least(24, power(hash %% 1000, 2) / 40000)::int] as country,
        case when n %% 40 = 7
             then (array['invalid_number', 'duplicate_number', 'suppressed', 'not_mobile'])[1 + n / 40 %% 4]
        end as skip_reason,
        case when n %% 40 = 7 then 'skipped'
             when run_no = 0 and n > audience_rows * 0.7 then 'planned'
             when n %% 1000 = 13 then case when run_no < 2 then 'unknown' else 'enqueue_failed' end
             when n %% 250 = 17 then 'enqueue_failed'
             else 'accepted' end as send_state,
        case when run_no = 0 and hash %% 3 = 0 then 'enqueued'
             when hash %% 8 = 0 then 'sent'
             when hash %% 25 = 1 then 'failed'
             when hash %% 33 = 2 then 'rejected'
             else 'delivered' end as status,
        case when run_no = 0 and hash %% 3 = 0 then 'queued'
             when hash %% 8 = 0 then 'sent'
             when hash %% 25 = 1 then 'undelivered'
             when hash %% 33 = 2 then 'failed'
             else 'delivered' end as provider_status,
        case when run_no = 0 and hash %% 3 = 0 or hash %% 8 = 0 then null
             when hash %% 25 = 1 then (array[30003, 30005, 30006, 30008])[1 + hash / 25 %% 4]
             when hash %% 33 = 2 then (array[30007, 30034, 21610])[1 + hash / 33 %% 3] end as status_code
    from (select r.run_key, r.campaign_id, r.created_at, r.audience_rows, n,
                 split_part(r.run_key, '-', 2)::int as run_no,
                 abs(hashint8(n::bigint * 1000003 + split_part(r.run_key, '-', 2)::int))::bigint as hash
          from campaign_runs as r, generate_series(0, r.audience_rows - 1) as n
          where r.run_key = %(run_key)s) as o
) as p
"""

_EVENTS: Final = """
insert into campaign_events (event_id, action_type, status, number_of_message_parts, status_code, error, occurred_at,
    campaign_id, run_key, message_key, message_sid, customer_id, to_number, country, tracked_on, provider_status,
    source)
select md5(m.message_key::text || o.status)::uuid, 'sms', o.status, m.number_of_message_parts, o.code,
       case when o.code is not null then 'error_' || o.code end, o.at,
       m.campaign_id, m.run_key, m.message_key, m.message_sid, m.customer_id, m.to_number, m.country, m.tracked_on,
       m.provider_status, 'list'
from messages as m
cross join lateral (values ('enqueued', m.accepted_at, null::int),
                           ('sent', m.sent_at, null),
                           (case when m.final_at is not null then m.status end, m.final_at, m.status_code))
    as o(status, at, code)
where m.run_key = %(run_key)s and o.status is not null and o.at is not null
"""

_CLICKS: Final = """
with told as (
    insert into campaign_events (event_id, action_type, status, number_of_message_parts, occurred_at, campaign_id,
        run_key, message_key, message_sid, customer_id, to_number, country, tracked_on, source)
    select md5(message_key::text || 'clicked')::uuid, 'sms', 'clicked', number_of_message_parts,
           final_at + interval '7 minutes', campaign_id, run_key, message_key, message_sid, customer_id, to_number,
           country, tracked_on, 'webhook'
    from messages
    where run_key = %(run_key)s and status = 'delivered' and get_byte(uuid_send(message_key), 0) < 8
    returning event_id, message_key, message_sid, occurred_at
)
insert into link_clicks (click_id, event_id, message_key, message_sid, link, clicked_at, is_bot)
select md5(event_id::text || n)::uuid, event_id, message_key, message_sid, 'https://example.com/spring',
       occurred_at + n * interval '1 minute', n = 2
from told, generate_series(0, 2) as n
"""

_REPLIES: Final = """
with received as (
    insert into inbound_messages (message_sid, from_number, to_number, body, received_at, source, message_key)
    select 'SM' || md5('in' || message_key), to_number, from_number, 'STOP', final_at + interval '11 minutes', 'list',
           message_key
    from messages
    where run_key = %(run_key)s and status = 'delivered' and get_byte(uuid_send(message_key), 1) < 3
    returning message_sid, received_at, message_key
)
insert into campaign_events (event_id, action_type, status, comment, occurred_at, campaign_id, run_key, message_key,
    message_sid, customer_id, to_number, country, tracked_on, source)
select md5(r.message_sid)::uuid, 'sms', 'incoming_message',
       case when get_byte(uuid_send(m.message_key), 2) < 128 then %(opted_out)s end, r.received_at, m.campaign_id,
       m.run_key, m.message_key, r.message_sid, m.customer_id, m.to_number, m.country, m.tracked_on, 'list'
from received as r
join messages as m on m.message_key = r.message_key
"""

_READING: Final = """
insert into reconcile_days (day, last_pass_at, full_read_at)
select distinct tracked_on, now() - interval '3 minutes', now() - interval '1 hour' from summary_days;
insert into reconcile_passes (pass_id, day, full_read, started_at, finished_at, complete, api_calls, list_pages,
                              fetches, observed, changed, events_written, settled, open_left, error)
select gen_random_uuid(), d.day, n = 0, at, at + interval '4 seconds', n % 11 <> 5, 12, 10, 2, 9000, 400, 700, 100, 50,
       case when n % 11 = 5 then 'TwilioUnavailableError: Twilio answered 503.' end
from reconcile_days as d, generate_series(0, 199) as n,
     lateral (select least(now(), d.day + interval '4 days') - n * interval '25 minutes' as at) as o;
insert into webhook_rejections (day, reason, requests, last_at)
select (now() - n * interval '1 day')::date, reason, 3 + n, now() - n * interval '1 day'
from generate_series(0, 13) as n, unnest(array['signature', 'too_large']) as reason;
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """What was made.

    :param summarised: seconds that the summaries of all runs took.
    """

    messages: int
    runs: int
    summarised: float


def database(server_url: str) -> str:
    """Make a database with our schema and nothing else; give its URL.

    :param server_url: of the server's database `postgres`.
    """
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("create database pages")
    url = server_url.replace("/postgres?", "/pages?", 1)
    upgrade(url)
    return url


def make(url: str, messages: int, tell: Callable[[str], None]) -> Scene:
    """Fill a warehouse that has our schema and nothing else.

    :param messages: rows of the ledger over all runs.
    :param tell: told what is done now.
    """
    largest = round(messages * LARGEST)
    others = (messages - largest) // (RUNS - 1)
    with psycopg.connect(url, autocommit=True, options="-c search_path=messaging -c TimeZone=UTC") as connection:
        connection.execute("set synchronous_commit to off")
        connection.execute(_RUN, {"campaigns": list(CAMPAIGNS), "largest": largest, "others": others, "last": RUNS - 1})
        # The oldest first, as they came.
        rows = connection.execute("select run_key from campaign_runs order by created_at").fetchall()
        for number, (run_key,) in enumerate(rows, 1):
            if number % 10 == 1:
                tell(f"messages of run {number} of {len(rows)}")
            parameters = {"run_key": run_key, "opted_out": OPTED_OUT}
            statements: tuple[LiteralString, ...] = (_MESSAGES, _EVENTS, _CLICKS, _REPLIES)
            for statement in statements:
                connection.execute(statement, parameters)
        connection.execute("insert into summary_marks (run_key) select run_key from campaign_runs")
        tell("vacuum")
        connection.execute("vacuum analyze")
        tell("summaries")
        began = time.monotonic()
        with Warehouse(url) as warehouse:
            Summaries(warehouse).refresh_marked()
        summarised = time.monotonic() - began
        connection.execute(_READING)
        connection.execute("vacuum analyze")
        (made,) = connection.execute("select count(*) from messages").fetchone() or (0,)
    return Scene(made, len(rows), summarised)
