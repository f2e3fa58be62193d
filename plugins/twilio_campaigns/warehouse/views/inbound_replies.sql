create view inbound_replies as
select
    i.message_sid,
    i.received_at,
    i.from_number,
    i.to_number,
    i.body,
    i.number_of_message_parts,
    i.messaging_service_sid,
    m.campaign_id,
    m.run_key,
    m.customer_id,
    m.country,
    m.message_key as answered_message_key,
    m.message_sid as answered_message_sid,
    extract(epoch from i.received_at - m.accepted_at)::numeric(14, 3) as seconds_after,
    exists (
        select from suppressions as s
        where s.to_number = i.from_number and s.source = 'inbound:' || i.message_sid
    ) as opted_out,
    i.source
from inbound_messages as i
left join messages as m on m.message_key = i.message_key;

comment on view inbound_replies is
'One row per message that people wrote to us, with the campaign message that it answers, if any. opted_out: it is this '
'message that keeps, or kept, the person from being texted.';

comment on column inbound_replies.seconds_after is 'Since Twilio accepted the message that it answers.';
comment on column inbound_replies.opted_out is 'Whether this message keeps, or kept, the person from being texted.';
comment on column inbound_replies.answered_message_key is 'The campaign message that it answers.';
