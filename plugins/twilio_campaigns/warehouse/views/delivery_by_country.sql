create view delivery_by_country as
select
    campaign_id,
    run_key,
    country,
    bool_and(sends_receipts) as sends_receipts,
    count(*) as planned,
    count(*) filter (where send_state = 'accepted') as enqueued,
    count(*) filter (where send_state = 'enqueue_failed') as enqueue_failed,
    count(*) filter (where sent_at is not null) as sent,
    count(*) filter (where delivery_state = 'delivered') as delivered,
    count(*) filter (where delivery_state = 'failed') as failed,
    count(*) filter (where delivery_state = 'rejected') as rejected,
    count(*) filter (where delivery_state = 'unreported') as unreported,
    round(
        count(*) filter (where delivery_state = 'delivered')::numeric
        / nullif(count(*) filter (where send_state = 'accepted'), 0), 4
    ) as delivery_rate,
    percentile_cont(0.5) within group (order by seconds_to_delivery) as median_seconds_to_delivery,
    sum(price) as price,
    min(price_unit) as price_unit
from message_status
where send_state <> 'skipped'
group by campaign_id, run_key, country;

comment on view delivery_by_country is
'One row per campaign run and country. sends_receipts is false where carriers report nothing back: '
'a low delivery_rate there says nothing.';

comment on column delivery_by_country.sends_receipts is 'False where carriers send no receipts: a low delivery_rate there says nothing.';
comment on column delivery_by_country.delivery_rate is 'delivered / enqueued.';
comment on column delivery_by_country.price is 'What Twilio has billed so far.';
