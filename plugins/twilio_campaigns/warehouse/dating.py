"""When Twilio took a message whose SID came by a callback: a callback does not say it, so a bound stands in until then.

The bound is never earlier than the truth, so that the event's date can still move there: events move earlier only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from twilio_campaigns.domain.suppression import EVERY_SENDER
from twilio_campaigns.warehouse.events import drafts_of, write_events
from twilio_campaigns.warehouse.marking import marking
from twilio_campaigns.warehouse.parameters import recordset
from twilio_campaigns.warehouse.suppressions import RUN_SCOPE, Moved, write_suppressions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.warehouse.connection import Connection

# The window keeps its length. Only rows whose SID came by a callback: every other one has its date from Twilio.
_DATE: Final = marking("""
update messages as m
set accepted_at = o.accepted_at,
    tracked_on = (o.accepted_at at time zone 'UTC')::date,
    tracking_closes_at = o.accepted_at + (m.tracking_closes_at - m.accepted_at),
    number_of_message_parts = greatest(m.number_of_message_parts, o.parts),
    from_number = least(m.from_number, o.from_number),
    sid_source = coalesce(%(sid_source)s, m.sid_source)
from json_to_recordset(%(rows)s) as o(message_key uuid, accepted_at timestamptz, parts smallint, from_number text)
where m.message_key = o.message_key and m.sid_source = 'callback'
returning m.run_key
""")

# An opt-out that a failed message told is dated by its acceptance.
_SUPPRESSED: Final = f"""
select m.message_key, m.to_number, m.accepted_at,
       array['{EVERY_SENDER}', coalesce({RUN_SCOPE}, m.from_number, '{EVERY_SENDER}')] as scopes
from messages as m
join campaign_runs as r on r.run_key = m.run_key
where m.message_key = any(%s) and m.sid_source = 'callback' and m.status in ('failed', 'rejected')
"""  # noqa: S608 - built of constants

# What events repeat of the row. Clicks and replies are written without its lock: the order is everybody's.
_ALIGN: Final = """
with unlike as (
    select e.message_key, e.event_id, m.tracked_on,
           case when e.status = 'incoming_message' then e.number_of_message_parts
                else m.number_of_message_parts end as number_of_message_parts
    from messages as m
    join campaign_events as e on e.message_key = m.message_key
    where m.message_key = any(%(keys)s)
      and (e.tracked_on is distinct from m.tracked_on
           or (e.status <> 'incoming_message'
               and e.number_of_message_parts is distinct from m.number_of_message_parts))
    order by e.message_key, e.event_id
    for update of e
)
update campaign_events as e
set tracked_on = u.tracked_on, number_of_message_parts = u.number_of_message_parts
from unlike as u
where e.message_key = u.message_key and e.event_id = u.event_id and e.message_key = any(%(keys)s)
"""


def date_by_twilio(connection: Connection, dated: Mapping[UUID, Observation], *, sid_source: str | None = None) -> int:
    """Give locked rows the date at which Twilio took them; inside the caller's transaction.

    :param dated: what Twilio itself says of them, with its own ``date_created``.
    :param sid_source: what the SID is known from as well, and better, than from a callback.
    :return: how many events were written or amended.
    """
    if not dated:
        return 0
    rows = recordset(
        {
            "message_key": key,
            "accepted_at": seen.created_at,
            "parts": seen.parts,
            "from_number": seen.from_number,
        }
        for key, seen in dated.items()
    )
    moved = [
        Moved(row["to_number"], scope, row["accepted_at"], dated[row["message_key"]].created_at)
        for row in connection.execute(cast("Any", _SUPPRESSED), (list(dated),))
        for scope in row["scopes"]
    ]
    connection.execute(cast("Any", _DATE), {"rows": rows, "sid_source": sid_source})
    # Of what the observation proves only that it was enqueued: the rest is for whoever applies it.
    written = write_events(
        connection, [draft for key, seen in dated.items() for draft in drafts_of(key.bytes, seen)[:1]]
    )
    written += connection.execute(_ALIGN, {"keys": list(dated)}).rowcount
    write_suppressions(connection, (), moved)
    return written
