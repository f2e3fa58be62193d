"""Events that went missing, written again from the ledger: where Twilio cannot tell any more, or never could."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.chunks import chunks
from twilio_campaigns.domain.errors import OUTCOME_UNKNOWN
from twilio_campaigns.domain.ledger import EventDraft
from twilio_campaigns.domain.status import Source, Status
from twilio_campaigns.warehouse.events import CHUNK, write_events
from twilio_campaigns.warehouse.marking import mark_runs_of
from twilio_campaigns.warehouse.outcomes import failed_draft

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from twilio_campaigns.warehouse.connection import Warehouse

_REFUSED: Final = """
select message_key, status, status_code, final_at
from messages as m
where send_state = 'enqueue_failed'
  and claimed_at >= (%(day)s::date)::timestamp at time zone 'UTC'
  and claimed_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
  and not exists (select from campaign_events as e
                  where e.message_key = m.message_key and e.status = 'enqueue_failed')
"""

_REMEMBERED: Final = """
select message_key, status, status_code, accepted_at, sent_at, final_at
from messages where message_sid = any(%s) order by message_key
"""


class RepairStore:
    """Repairs events from the ledger.

    :param warehouse: where both are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def repair_refused(self, day: date) -> int:
        """Write missing events of messages that never got a SID: the ledger is their only source."""
        with self._warehouse.transaction() as connection:
            rows = connection.execute(_REFUSED, {"day": day}).fetchall()
        return self._write(failed_draft(row["message_key"], row["final_at"], row["status_code"]) for row in rows)

    def repair_from_ledger(self, sids: Sequence[str]) -> int:
        """Write missing events of messages that Twilio does not know any more, from what the ledger remembers."""
        written = 0
        for chunk in chunks(sids, CHUNK):
            with self._warehouse.transaction() as connection:
                rows = connection.execute(_REMEMBERED, (chunk,)).fetchall()
            written += self._write(draft for row in rows for draft in _remembered(row))
        return written

    def _write(self, drafts: Iterable[EventDraft]) -> int:
        written = 0
        for chunk in chunks(drafts, CHUNK):
            with self._warehouse.transaction() as connection:
                found = write_events(connection, chunk, OUTCOME_UNKNOWN)
                if found:
                    mark_runs_of(connection, (draft.message_key for draft in chunk))
            written += found
        return written


def _remembered(row: Mapping[str, Any]) -> list[EventDraft]:
    moments = [(Status.ENQUEUED, row["accepted_at"], None), (Status.SENT, row["sent_at"], None)]
    if row["final_at"] is not None:
        moments.append((Status(row["status"]), row["final_at"], row["status_code"]))
    key: bytes = row["message_key"].bytes
    return [EventDraft(key, status, at, Source.FETCH, code) for status, at, code in moments if at is not None]
