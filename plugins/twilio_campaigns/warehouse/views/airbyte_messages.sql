create view airbyte_messages as
select
    null::text as account_sid,
    '2010-04-01'::text as api_version,
    m.body,
    m.accepted_at as date_created,
    m.sent_at as date_sent,
    coalesce(m.final_at, m.sent_at, m.accepted_at) as date_updated,
    'outbound-api'::text as direction,
    m.status_code::text as error_code,
    null::text as error_message,
    m.from_number as "from",
    r.spec -> 'sender' ->> 'messaging_service_sid' as messaging_service_sid,
    coalesce(cardinality(m.media_urls), 0)::bigint as num_media,
    m.number_of_message_parts::bigint as num_segments,
    -m.price as price,
    m.price_unit,
    m.message_sid as sid,
    m.provider_status as status,
    null::jsonb as subresource_uris,
    m.to_number as "to",
    null::text as uri
from messages as m
join campaign_runs as r on r.run_key = m.run_key
where m.send_state = 'accepted'
union all
select
    null, '2010-04-01', i.body, i.received_at, i.received_at, i.received_at, 'inbound', null, null, i.from_number,
    i.messaging_service_sid, 0, i.number_of_message_parts, null, null, i.message_sid, 'received', null, i.to_number, null
from inbound_messages as i;

comment on view airbyte_messages is
'What campaigns sent and what people wrote to them, in the columns of stream messages of Airbyte''s source-twilio. Prices are '
'negative, as Twilio writes them. Account, addresses of resources and Twilio''s error texts are not kept here: empty.';
