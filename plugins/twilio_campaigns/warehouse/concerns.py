"""What a person has to look at: short questions over indexes, each with its answer in docs/operations.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from twilio_campaigns.warehouse.connection import Warehouse

_CONCERNS: Final = """
select concern, count, since from (
    select 1 as place, 'runs that are paused' as concern, count(*) as count, min(state_changed_at) as since
    from campaign_runs where state = 'paused'
    union all
    select 2, 'lost answers that may be one of several messages', count(*), min(undecided_at)
    from messages where send_state = 'unknown' and undecided_at is not null
    union all
    select 3, 'messages that belong to no row for certain', count(*), min(found_at)
    from stray_messages where found_at > now() - interval '30 days'
    union all
    select 4, 'days with open messages and no complete pass for eight hours', count(*), min(last_pass_at)
    from (select tracked_on as day from messages where send_state = 'accepted' and settled_at is null
          group by 1 having min(accepted_at) < now() - interval '8 hours') as open
    left join reconcile_days using (day)
    where last_pass_at is null or last_pass_at < now() - interval '8 hours'
    union all
    select 5, 'days whose last audit found a gap or was incomplete', count(distinct day), min(started_at)
    from (select distinct on (day, connection) * from reconcile_audits
          where day > current_date - 30 order by day, connection, started_at desc) as last
    where missing + orphans + different > 0 or not complete
    union all
    select 6, 'webhooks turned away as forged or of unknown accounts, today and yesterday', sum(requests), min(last_at)
    from webhook_rejections where day >= current_date - 1 and reason in ('forged', 'unknown_account')
) as found
where count > 0
order by place
"""


def concerns(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Tell what somebody has to look at, how often it is there, and since when; empty where all is well."""
    with warehouse.transaction() as connection:
        return connection.execute(_CONCERNS).fetchall()
