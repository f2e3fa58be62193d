create view sender_daily as
select
    tracked_on as day,
    sender,
    count(*) as enqueued,
    count(*) filter (where sent_at is not null) as sent,
    count(*) filter (where delivery_state = 'delivered') as delivered,
    count(*) filter (where delivery_state = 'failed') as failed,
    count(*) filter (where delivery_state = 'rejected') as rejected,
    count(*) filter (where delivery_state = 'unreported') as unreported,
    count(*) filter (where delivery_state in ('pending', 'sent')) as open,
    count(distinct from_number) as numbers,
    sum(number_of_message_parts) as parts,
    percentile_cont(0.5) within group (order by seconds_to_delivery) as median_seconds_to_delivery,
    sum(price) as price,
    price_unit
from message_status
where send_state = 'accepted'
group by tracked_on, sender, price_unit;

comment on view sender_daily is
'One row per UTC day of acceptance, sender profile and currency (empty until billed): what the sender carried, and what '
'became of it. numbers counts the numbers that a Messaging Service picked.';

comment on column sender_daily.day is 'UTC day of acceptance.';
comment on column sender_daily.numbers is 'Numbers that sent, of a Messaging Service.';
comment on column sender_daily.open is 'Messages that may still change.';
comment on column sender_daily.parts is 'Text segments by Twilio''s count: what throughput and price count.';
comment on column sender_daily.price is 'What Twilio has billed so far.';
