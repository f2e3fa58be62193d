"""Single messages: found by what people know of them, and told from the first fact to the last."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from twilio_campaigns.domain.audience import explain_exclusion
from twilio_campaigns.domain.errors import OUTCOME_UNKNOWN, documentation_of, error_entry
from twilio_campaigns.domain.phone import typed_number
from twilio_campaigns.domain.scope import Page
from twilio_campaigns.warehouse.insight.answers import filled
from twilio_campaigns.warehouse.insight.rows import MESSAGE_COLUMNS, message_row
from twilio_campaigns.warehouse.insight.run_messages import RunMessages
from twilio_campaigns.warehouse.insight.scoped import dags, rows_of
from twilio_campaigns.warehouse.insight.story import StoryLine, tell

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import date, datetime
    from decimal import Decimal

    from twilio_campaigns.domain.errors import ErrorEntry
    from twilio_campaigns.domain.scope import Listing
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.insight.rows import MessageRow

_SID: Final = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")

# Whatever is found by index is few: whether somebody may see it is asked of each, by the key of its run.
_OF_DAGS: Final = """
(%(dag_ids)s::text[] is null or exists (
    select from campaign_runs as r where r.run_key = m.run_key and r.dag_id = any(%(dag_ids)s)))
"""

_SEARCH: Final = f"""
select {MESSAGE_COLUMNS} from message_status as m
where {{condition}} and {_OF_DAGS}
order by coalesce(accepted_at, claimed_at) desc nulls last, run_key desc, message_key
limit %(limit)s
"""  # noqa: S608 - built of constants

_BY_SID: Final = _SEARCH.format(condition="message_sid = %(text)s")
_BY_KEY: Final = _SEARCH.format(condition="message_key = %(text)s::uuid")
_BY_NUMBER: Final = _SEARCH.format(condition="to_number = %(text)s")
_BY_CUSTOMER: Final = _SEARCH.format(condition="customer_id = %(text)s")
# Of a message that somebody may not see not even that it shares its number with another one is told.
_SAME: Final = f"""
{{column}} = (select m.{{column}} from messages as m where m.message_key = %(text)s::uuid and {_OF_DAGS})
"""  # noqa: S608 - the same
_BY_NUMBER_OF: Final = _SEARCH.format(condition=_SAME.format(column="to_number"))
_BY_CUSTOMER_OF: Final = _SEARCH.format(condition=_SAME.format(column="customer_id"))

_MESSAGE: Final = """
select m.*, s.delivery_state, s.seconds_to_delivery::float8 as seconds_to_delivery,
       r.created_at as planned_at, e.error as event_error
from message_status as s
join messages as m on m.message_key = s.message_key
join campaign_runs as r on r.run_key = m.run_key
left join campaign_events as e on e.message_key = m.message_key and e.status = m.status
where s.message_key = %(key)s
limit 1
"""

_EVENTS: Final = """
select status, status_code, comment, occurred_at, recorded_at, source, provider_status, message_sid
from campaign_events where message_key = %(key)s order by occurred_at, recorded_at
"""

_CLICKS: Final = """
select clicked_at, recorded_at, link, is_bot from link_clicks where message_key = %(key)s order by clicked_at
"""

_REPLIES: Final = """
select i.message_sid, i.body, i.received_at, i.recorded_at, i.source
from campaign_events as e
join inbound_messages as i on i.message_sid = e.message_sid
where e.message_key = %(key)s and e.status = 'incoming_message'
order by i.received_at
"""


@dataclass(frozen=True, slots=True)
class MessageStory:
    """One message and all that is known of it.

    :param from_number: number that sent it, where known.
    :param body: `None` where numbers are masked.
    :param connection: Airflow connection of the Twilio account.
    :param provider_status: Twilio's own word.
    :param sid_source: `answer`, `callback` or `lookup`.
    :param attempts: claims.
    :param lookups: look-ups in a row that found no trace of it.
    :param parts: text segments by Twilio's count; `estimated_parts` by ours.
    :param seconds_to_delivery: from acceptance to the report of delivery.
    :param error: stable name of its code; what it means, Twilio's page about it.
    :param exclusion: why it is not sent.
    :param lines: what happened, in order.
    """

    message: MessageRow
    from_number: str | None
    body: str | None
    media_urls: list[str]
    connection: str
    provider_status: str | None
    sid_source: str | None
    attempts: int
    lookups: int
    parts: int | None
    estimated_parts: int
    price: Decimal | None
    price_unit: str | None
    tracked_on: date | None
    tracking_closes_at: datetime | None
    settled_at: datetime | None
    seconds_to_delivery: float | None
    error: str | None
    comment: str | None
    documentation: str | None
    exclusion: str | None
    lines: list[StoryLine]


class MessageSearch:
    """Finds messages by index, whatever the size of the ledger. Blocks.

    :param warehouse: where it is.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._of_run = RunMessages(warehouse)

    def search(
        self,
        text: str,
        *,
        mask: bool = True,
        limit: int = 50,
        dag_ids: Collection[str] | None = None,
        by_number: bool = True,
    ) -> list[MessageRow]:
        """Find messages by Twilio's SID, our key, the number with its country code, or the customer's id; all exact.

        :param mask: whether numbers are shown in part only.
        :param by_number: whether numbers are looked for.
        :param dag_ids: only of these DAGs' runs; `None`: of all.
        :return: the newest first.
        """
        query, wanted = _understood(text.strip(), by_number=by_number)
        values = {"limit": limit, **dags(dag_ids)}
        rows = rows_of(self._warehouse, query, {"text": wanted, **values})
        if not rows and query is not _BY_CUSTOMER:
            # An id may look like anything.
            rows = rows_of(self._warehouse, _BY_CUSTOMER, {"text": text.strip(), **values})
        return [message_row(row, mask=mask) for row in rows]

    def same_number(
        self, message_key: UUID, *, mask: bool = True, limit: int = 50, dag_ids: Collection[str] | None = None
    ) -> list[MessageRow]:
        """Find the messages to the number of a message, so that no address has to hold the number itself."""
        values = {"text": message_key, "limit": limit, **dags(dag_ids)}
        return [message_row(row, mask=mask) for row in rows_of(self._warehouse, _BY_NUMBER_OF, values)]

    def same_customer(
        self, message_key: UUID, *, mask: bool = True, limit: int = 50, dag_ids: Collection[str] | None = None
    ) -> list[MessageRow]:
        """Find the messages of the customer of a message: an id may be a number, too."""
        values = {"text": message_key, "limit": limit, **dags(dag_ids)}
        return [message_row(row, mask=mask) for row in rows_of(self._warehouse, _BY_CUSTOMER_OF, values)]

    def of_run(
        self,
        run_key: str,
        *,
        batch_no: int | None = None,
        state: str | None = None,
        page: Page | None = None,
        mask: bool = True,
    ) -> Listing[MessageRow]:
        """List messages of a run, by batch; how many there are is what its summary says.

        :param batch_no: only of this batch.
        :param state: a `send_state` or `delivery_state`, or `open`; `None`: whoever was to be texted.
        :param mask: whether numbers are shown in part only.
        :raises ValueError: for a state that there is not.
        """
        return self._of_run.page(run_key, batch_no=batch_no, state=state, page=page or Page(), mask=mask)

    def story(self, message_key: UUID, *, mask: bool = True) -> MessageStory | None:
        """Tell all that is known of a message; `None` if there is none of this key.

        :param mask: whether numbers are shown in part only, and texts not at all.
        """
        key = {"key": message_key}
        found = rows_of(self._warehouse, _MESSAGE, key)
        if not found:
            return None
        events, clicks, replies = (rows_of(self._warehouse, query, key) for query in (_EVENTS, _CLICKS, _REPLIES))
        return _story(found[0], tell(found[0], events, clicks, replies, mask=mask), mask=mask)


def _understood(text: str, *, by_number: bool) -> tuple[str, str]:
    """Give the query for what somebody typed, and what it looks for."""
    if _SID.fullmatch(text):
        return _BY_SID, text[:2] + text[2:].lower()
    if by_number and (number := typed_number(text)):
        return _BY_NUMBER, number
    try:
        return _BY_KEY, str(UUID(text))
    except ValueError:
        return _BY_CUSTOMER, text


def _story(row: Mapping[str, Any], lines: list[StoryLine], *, mask: bool) -> MessageStory:
    entry = _entry(row)
    return filled(
        MessageStory,
        row,
        message=message_row(row, mask=mask),
        body=None if mask else row["body"],
        media_urls=row["media_urls"] or [],
        parts=row["number_of_message_parts"],
        error=entry.name if entry else None,
        comment=entry.comment if entry else None,
        documentation=documentation_of(row["status_code"]) if row["status_code"] else None,
        exclusion=explain_exclusion(row["skip_reason"]) if row["skip_reason"] else None,
        lines=lines,
    )


def _entry(row: Mapping[str, Any]) -> ErrorEntry | None:
    return error_entry(row["status_code"]) or (OUTCOME_UNKNOWN if row["event_error"] == OUTCOME_UNKNOWN.name else None)
