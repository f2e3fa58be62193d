create view campaign_performance as
with clicks as (
    select message_key, count(*) as clicks
    from campaign_events
    where status = 'clicked'
    group by message_key
)
select
    r.campaign_id,
    r.run_key,
    r.logical_date,
    r.state,
    r.created_at,
    r.finished_at,
    count(s.message_key) as audience,
    count(*) filter (where s.send_state = 'skipped') as excluded,
    count(*) filter (where s.send_state <> 'skipped') as planned,
    count(*) filter (where s.send_state = 'too_late') as too_late,
    count(*) filter (where s.send_state in ('planned', 'claimed')) as waiting,
    count(*) filter (where s.send_state = 'unknown') as unknown,
    count(*) filter (where s.send_state = 'accepted') as enqueued,
    count(*) filter (where s.send_state = 'enqueue_failed') as enqueue_failed,
    count(*) filter (where s.sent_at is not null) as sent,
    count(*) filter (where s.delivery_state = 'delivered') as delivered,
    count(*) filter (where s.delivery_state = 'failed') as failed,
    count(*) filter (where s.delivery_state = 'rejected') as rejected,
    count(*) filter (where s.send_state = 'enqueue_failed' or s.delivery_state = 'rejected') as refused,
    count(*) filter (where s.delivery_state = 'unreported') as unreported,
    count(*) filter (where s.send_state = 'accepted' and s.delivery_state in ('pending', 'sent')) as open,
    count(*) filter (where s.settled_at is not null) as settled,
    count(c.message_key) as clicked,
    round(
        count(*) filter (where s.delivery_state = 'delivered')::numeric
        / nullif(count(*) filter (where s.send_state = 'accepted'), 0), 4
    ) as delivery_rate,
    round(
        count(*) filter (where s.delivery_state = 'delivered' and s.sends_receipts)::numeric
        / nullif(count(*) filter (where s.send_state = 'accepted' and s.sends_receipts), 0), 4
    ) as delivery_rate_with_receipts,
    round(
        count(c.message_key)::numeric
        / nullif(count(*) filter (where s.delivery_state = 'delivered' or c.message_key is not null), 0), 4
    ) as click_rate,
    percentile_cont(0.5) within group (order by s.seconds_to_delivery) as median_seconds_to_delivery,
    sum(s.number_of_message_parts) as parts,
    sum(s.price) as price,
    min(s.price_unit) as price_unit
from campaign_runs as r
left join message_status as s on s.run_key = r.run_key
left join clicks as c on c.message_key = s.message_key
group by r.run_key;

comment on view campaign_performance is
'One row per campaign run, cumulative counts: a delivered message is also counted as sent and enqueued. '
'refused = enqueue_failed + rejected. delivery_rate_with_receipts leaves out countries that never report. '
'clicked counts messages of which somebody clicked a link, previews left out; click_rate is their share of those that '
'are known to have arrived.';

comment on column campaign_performance.audience is 'Rows that the segment gave.';
comment on column campaign_performance.excluded is 'Rows that are not texted, see message_status.skip_reason.';
comment on column campaign_performance.planned is 'Rows that were to be texted.';
comment on column campaign_performance.too_late is 'Planned rows that were not sent in time, and will not be.';
comment on column campaign_performance.waiting is 'Planned rows not handed to Twilio yet.';
comment on column campaign_performance.unknown is 'Rows whose answer was lost and is being looked up.';
comment on column campaign_performance.enqueued is 'Rows that Twilio accepted.';
comment on column campaign_performance.enqueue_failed is 'Rows that Twilio refused at once.';
comment on column campaign_performance.sent is 'Messages that left Twilio, those delivered or lost later included.';
comment on column campaign_performance.refused is 'enqueue_failed and rejected together, so that number senders and service senders compare.';
comment on column campaign_performance.unreported is 'Messages whose window closed without a final status.';
comment on column campaign_performance.open is 'Messages that may still change.';
comment on column campaign_performance.settled is 'Messages that nobody asks Twilio for any more.';
comment on column campaign_performance.clicked is 'Messages of which a person opened a link.';
comment on column campaign_performance.delivery_rate is 'delivered / enqueued.';
comment on column campaign_performance.delivery_rate_with_receipts is 'The same over countries whose carriers send receipts.';
comment on column campaign_performance.click_rate is 'clicked / messages delivered or clicked.';
comment on column campaign_performance.parts is 'Text segments by Twilio''s count.';
comment on column campaign_performance.price is 'What Twilio has billed so far.';
