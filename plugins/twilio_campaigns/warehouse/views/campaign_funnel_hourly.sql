create view campaign_funnel_hourly as
select
    campaign_id,
    run_key,
    date_trunc('hour', occurred_at, 'UTC') as hour,
    count(*) filter (where status = 'enqueued') as enqueued,
    count(*) filter (where status = 'enqueue_failed') as enqueue_failed,
    count(*) filter (where status = 'sent') as sent,
    count(*) filter (where status = 'delivered') as delivered,
    count(*) filter (where status = 'failed') as failed,
    count(*) filter (where status = 'rejected') as rejected,
    count(*) filter (where status = 'incoming_message') as incoming_messages,
    count(*) filter (where status = 'clicked') as clicked
from campaign_events
group by campaign_id, run_key, date_trunc('hour', occurred_at, 'UTC');

comment on view campaign_funnel_hourly is
'One row per campaign run and hour (UTC) in which something happened: events by status. '
'A message that failed and was delivered after all counts in both columns.';

comment on column campaign_funnel_hourly.hour is 'Its beginning, UTC.';
comment on column campaign_funnel_hourly.clicked is 'First clicks of people, one per message and link.';
