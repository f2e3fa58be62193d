"""Clicks on shortened links: every one is kept, the first one by a person makes the event of its message and link."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.audience import storable
from twilio_campaigns.domain.link_previews import is_bot
from twilio_campaigns.warehouse.connection import scalar
from twilio_campaigns.warehouse.marking import mark_runs_of
from twilio_campaigns.warehouse.parameters import recordset
from twilio_campaigns.warehouse.receipts import Receipts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from twilio_campaigns.domain.webhooks import Click
    from twilio_campaigns.warehouse.connection import Warehouse

# A click on a message that is not ours, or another account's, has no row to join.
_KEEP: Final = """
insert into link_clicks as c (click_id, event_id, message_key, message_sid, link, shortened_link, clicked_at,
                              user_agent, is_bot)
select o.click_id, o.event_id, m.message_key, o.sid, o.link, o.shortened_link, o.clicked_at, o.user_agent, o.is_bot
from json_to_recordset(%s) as o(
    click_id uuid, event_id uuid, sid text, link text, shortened_link text, clicked_at timestamptz, user_agent text,
    is_bot boolean, connections text[]
)
join messages as m on m.message_sid = o.sid and m.connection = any(o.connections)
order by o.click_id
on conflict (click_id) do update
set clicked_at = least(c.clicked_at, excluded.clicked_at)
where c.clicked_at > excluded.clicked_at
returning c.message_key
"""

_TELL: Final = """
insert into campaign_events as e (
    event_id, event_name, action_type, status, number_of_message_parts, occurred_at, campaign_id, run_key,
    message_key, message_sid, customer_id, to_number, country, tracked_on, source
)
select o.event_id, coalesce(r.spec ->> 'event_name', 'campaign'), m.channel, 'clicked', m.number_of_message_parts,
       o.clicked_at, m.campaign_id, m.run_key, m.message_key, m.message_sid, m.customer_id, m.to_number, m.country,
       m.tracked_on, 'webhook'
from json_to_recordset(%s) as o(event_id uuid, sid text, clicked_at timestamptz, connections text[])
join messages as m on m.message_sid = o.sid and m.connection = any(o.connections)
join campaign_runs as r on r.run_key = m.run_key
order by m.message_key, o.event_id
on conflict (message_key, event_id) do update
set occurred_at = least(e.occurred_at, excluded.occurred_at)
where e.occurred_at > excluded.occurred_at
returning e.message_key
"""


class ClickStore:
    """The table `link_clicks`, and events `clicked`.

    :param warehouse: where they are.
    :param clock: seconds, the same that dated the clicks' receipt.
    """

    def __init__(self, warehouse: Warehouse, clock: Callable[[], float] = time.monotonic) -> None:
        self._warehouse = warehouse
        self._clock = clock

    def take_in(self, clicks: Sequence[Click]) -> None:
        """Write clicks down in any order, any number of times, with the same result.

        :raises TransientError: when the database cannot be reached.
        """
        with self._warehouse.transaction() as connection:
            receipts = Receipts(scalar(connection, "select now()"), self._clock())
            rows = _earliest((_row(click, receipts) for click in clicks), "click_id")
            changed = connection.execute(_KEEP, (recordset(rows),)).fetchall()
            by_people = _earliest((row for row in rows if not row["is_bot"]), "event_id")
            if by_people:
                changed += connection.execute(_TELL, (recordset(by_people),)).fetchall()
            mark_runs_of(connection, {row["message_key"] for row in changed})


def _row(click: Click, receipts: Receipts) -> dict[str, Any]:
    return {
        "click_id": click.click_id,
        "event_id": click.event_id,
        "sid": click.sid,
        "link": storable(click.link),
        "shortened_link": None if click.shortened_link is None else storable(click.shortened_link),
        "clicked_at": click.clicked_at or receipts.moment(click.received),
        "user_agent": None if click.user_agent is None else storable(click.user_agent),
        "is_bot": is_bot(click.user_agent),
        "connections": click.connections,
    }


def _earliest(rows: Iterable[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """Give the earliest row of each key: one statement may touch a row once only."""
    found: dict[Any, dict[str, Any]] = {}
    for row in rows:
        other = found.setdefault(row[key], row)
        if row["clicked_at"] < other["clicked_at"]:
            found[row[key]] = row
    return list(found.values())
