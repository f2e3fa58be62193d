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
