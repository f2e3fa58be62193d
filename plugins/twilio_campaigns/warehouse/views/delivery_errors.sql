create view delivery_errors as
select
    m.campaign_id,
    m.run_key,
    m.status,
    m.status_code,
    e.error,
    e.comment,
    count(*) as messages,
    min(e.occurred_at) as first_at,
    max(e.occurred_at) as last_at,
    array_agg(distinct m.country) filter (where m.country is not null) as countries
from messages as m
join campaign_events as e on e.message_key = m.message_key and e.status = m.status
where m.status in ('enqueue_failed', 'failed', 'rejected')
group by m.campaign_id, m.run_key, m.status, m.status_code, e.error, e.comment;

comment on view delivery_errors is
'One row per campaign run and error: what it means, what to do, and how many messages met it.';

comment on column delivery_errors.messages is 'How many messages ended with it.';
comment on column delivery_errors.countries is 'Of the people who were to get them.';
comment on column delivery_errors.first_at is 'By Twilio''s clock.';
comment on column delivery_errors.last_at is 'By Twilio''s clock.';
