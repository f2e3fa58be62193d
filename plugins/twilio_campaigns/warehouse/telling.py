"""What the logs of tasks and the events of assets tell: counts, read once when a task ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.preview import Tally

if TYPE_CHECKING:
    from datetime import date

    from twilio_campaigns.warehouse.connection import Warehouse

_TALLIES: Final = """
select skip_reason as reason, country, count(*) as rows, coalesce(sum(estimated_parts), 0)::bigint as parts
from messages where run_key = %s group by 1, 2
"""

# A sum of several currencies is no price.
_DAY: Final = """
select count(*) as enqueued,
       count(*) filter (where sent_at is not null) as sent,
       count(*) filter (where delivery_state = 'delivered') as delivered,
       count(*) filter (where delivery_state = 'failed') as failed,
       count(*) filter (where delivery_state = 'rejected') as rejected,
       count(*) filter (where delivery_state = 'unreported') as unreported,
       count(*) filter (where settled_at is null) as open,
       sum(number_of_message_parts)::bigint as parts,
       case when count(distinct price_unit) = 1 then sum(price) end as price,
       case when count(distinct price_unit) = 1 then min(price_unit) end as price_unit,
       coalesce(array_agg(distinct campaign_id order by campaign_id) filter (where campaign_id is not null), '{}')
           as campaigns
from message_status where tracked_on = %s and send_state = 'accepted'
"""


def audience_tallies(warehouse: Warehouse, run_key: str) -> tuple[Tally, ...]:
    """Count a frozen audience by country and by the reason for which rows are left out."""
    with warehouse.transaction() as connection:
        return tuple(Tally(**row) for row in connection.execute(_TALLIES, (run_key,)))


def day_figures(warehouse: Warehouse, day: date) -> dict[str, Any]:
    """Count the messages that Twilio accepted on a UTC day, and say of which campaigns they are."""
    with warehouse.transaction() as connection:
        return connection.execute(_DAY, (day,)).fetchone() or {}
