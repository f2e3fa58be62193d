create view message_status as
select
    m.message_key,
    m.message_sid,
    m.run_key,
    m.campaign_id,
    m.customer_id,
    m.to_number,
    m.country,
    m.country is null or m.country not in (/*no_receipt_countries*/) as sends_receipts,
    m.channel,
    m.sender,
    m.from_number,
    m.batch_no,
    m.send_state,
    m.skip_reason,
    case
        when m.send_state in ('skipped', 'held_out', 'too_late', 'enqueue_failed') then 'not_sent'
        when m.send_state in ('planned', 'claimed', 'unknown') then 'pending'
        when m.status in ('delivered', 'failed', 'rejected') then m.status
        when m.settled_at is not null or m.tracking_closes_at <= now() then 'unreported'
        when m.status = 'sent' then 'sent'
        else 'pending'
    end as delivery_state,
    m.status,
    m.status_code,
    m.provider_status,
    m.estimated_parts,
    m.number_of_message_parts,
    m.claimed_at,
    m.accepted_at,
    m.sent_at,
    m.final_at,
    case when m.status = 'delivered' then m.final_at end as delivered_at,
    case when m.status = 'delivered' then extract(epoch from m.final_at - m.accepted_at)::numeric(12, 3) end
        as seconds_to_delivery,
    m.price,
    m.price_unit,
    m.tracked_on,
    m.tracking_closes_at,
    m.settled_at,
    m.connection
from messages as m;

comment on view message_status is 'One row per message, excluded ones included: what became of it.';

comment on column message_status.sends_receipts is 'False where carriers send no receipts to Twilio: then a message stays sent, whatever became of it.';
comment on column message_status.delivery_state is 'not_sent, pending, sent, delivered, failed, rejected, or unreported once the window has closed without a final status.';
comment on column message_status.delivered_at is 'When the carrier reported delivery, by Twilio''s clock.';
comment on column message_status.seconds_to_delivery is 'From acceptance by Twilio to the report of delivery.';
comment on column message_status.run_key is 'The campaign run, see campaign_runs.';
comment on column message_status.skip_reason is 'Why this row of the audience is not texted.';
comment on column message_status.final_at is 'When the final status was reached, by Twilio''s clock.';
