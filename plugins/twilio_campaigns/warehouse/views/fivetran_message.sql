create view fivetran_message as
select
    date_updated as _fivetran_synced,
    account_sid as account_id,
    body,
    date_created as created_at,
    date_sent,
    direction,
    error_code,
    error_message,
    sid as id,
    messaging_service_sid,
    num_media::text as num_media,
    num_segments::text as num_segments,
    price::text as price,
    price_unit,
    status,
    date_updated as updated_at,
    "from",
    "to"
from airbyte_messages;

comment on view fivetran_message is
'The same in the columns of Fivetran''s table twilio.message, for its dbt package: numbers are text there. _fivetran_synced is '
'the date of the last change.';
