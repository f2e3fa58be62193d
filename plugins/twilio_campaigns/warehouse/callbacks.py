"""Status callbacks become observations, and give their SIDs to messages whose answer got lost (PROTOCOLS §1, end).

A callback has no dates: its receipt, by the database's clock, stands for the date of the status that it names. When
the message was created the ledger knows; a list that is read later has Twilio's own dates, which are earlier, and
everything moves there. So callbacks that are lost, late, repeated or out of order end in the same tables.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from psycopg.errors import UniqueViolation

from twilio_campaigns.domain.message import Observation
from twilio_campaigns.domain.status import Source
from twilio_campaigns.warehouse.applying import EventStore
from twilio_campaigns.warehouse.outcomes import accept_locked, put_aside
from twilio_campaigns.warehouse.parameters import array_of
from twilio_campaigns.warehouse.receipts import Receipts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from twilio_campaigns.domain.webhooks import StatusCallback
    from twilio_campaigns.warehouse.connection import Connection, Warehouse

log = logging.getLogger(__name__)

# The first row tells the time.
_FIND: Final = """
select null as message_sid, null as message_key, null as connection, now() as accepted_at
union all
select message_sid, message_key, connection, accepted_at
from messages where message_sid = any(%s::text[])
"""

_LOCK: Final = """
select message_key, message_sid, connection, claim_id, send_state, claimed_at, accepted_at
from messages
where message_key = any(%s::uuid[])
order by message_key
for update
"""

_OTHER_CLAIM: Final = "a callback names a row that is not waiting for an answer under this claim"
_OTHER_SID: Final = "a callback names a row that has another SID"
_NO_ROW: Final = "a callback names a row that the ledger does not have"
_OTHER_ROW: Final = "a callback names another row than the one that has this SID"


class _Row(Struct, frozen=True):
    key: UUID
    connection: str
    accepted_at: datetime


class CallbackStore:
    """Where status callbacks are written down.

    :param warehouse: where ledger and events are.
    :param window: how long a message is looked after that a callback shows to exist.
    :param lease: of a claim: no later than its end Twilio took what was posted under it.
    :param clock: seconds, the same that dated the callbacks' receipt.
    """

    def __init__(
        self,
        warehouse: Warehouse,
        *,
        window: timedelta,
        lease: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._warehouse = warehouse
        self._events = EventStore(warehouse, expects_news=True)
        self._window = window
        self._lease = lease
        self._clock = clock

    def apply(self, callbacks: Sequence[StatusCallback]) -> None:
        """Write callbacks down in any order, any number of times, with the same result.

        Those of messages that are not ours, or belong to another account than the one that signed them, write nothing.

        :raises TransientError: when the database cannot be reached.
        """
        try:
            self._apply(callbacks)
        except UniqueViolation:
            # A SID was written down between our look and our lock. Now it is found.
            self._apply(callbacks)

    def _apply(self, callbacks: Sequence[StatusCallback]) -> None:
        receipts, rows = self._find(callbacks)
        named = [callback for callback in callbacks if callback.key is not None and _is_odd(callback, rows)]
        if named:
            rows = {**rows, **self._give_sids(named, rows, receipts)}
        ours = [callback for callback in callbacks if _may_tell(callback, rows.get(callback.sid))]
        self._events.apply(
            _observation(seen, rows[seen.sid].accepted_at, receipts.moment(seen.received)) for seen in ours
        )

    def _find(self, callbacks: Sequence[StatusCallback]) -> tuple[Receipts, dict[str, _Row]]:
        with self._warehouse.transaction() as connection:
            found = connection.execute(_FIND, (array_of([seen.sid for seen in callbacks]),)).fetchall()
        receipts = Receipts(found[0]["accepted_at"], self._clock())
        return receipts, {
            row["message_sid"]: _Row(row["message_key"], row["connection"], row["accepted_at"]) for row in found[1:]
        }

    def _give_sids(
        self, callbacks: Iterable[StatusCallback], known: Mapping[str, _Row], receipts: Receipts
    ) -> dict[str, _Row]:
        """Give SIDs to rows that wait for them, and put aside what fits no row."""
        given: dict[str, _Row] = {}
        accepted: dict[UUID, Observation] = {}
        stray: dict[str, tuple[UUID, Observation, str]] = {}
        with self._warehouse.transaction() as connection:
            rows = _locked(connection, {seen.key for seen in callbacks if seen.key})
            for seen in callbacks:
                row = rows.get(seen.key) if seen.key else None
                if seen.key is None or (row is not None and row["connection"] not in seen.connections):
                    continue
                if row is not None and row["message_sid"] == seen.sid:
                    given[seen.sid] = _Row(seen.key, row["connection"], row["accepted_at"])
                    continue
                reason = _misfit(seen, row, known)
                if row is None or reason is not None:
                    observation = _observation(seen, receipts.now, receipts.now)
                    stray[seen.sid] = seen.key, observation, reason or _NO_ROW
                    continue
                received = receipts.moment(seen.received)
                accepted_at = min(max(received, row["claimed_at"]), row["claimed_at"] + self._lease)
                accepted[seen.key] = _observation(seen, accepted_at, received)
                row.update(message_sid=seen.sid, accepted_at=accepted_at)
                given[seen.sid] = _Row(seen.key, row["connection"], accepted_at)
            accept_locked(connection, accepted, self._window, "callback")
            for sid, (key, observation, reason) in stray.items():
                if put_aside(connection, {key: observation}, reason):
                    log.error("Message %s: %s. See table stray_messages; a person has to look.", sid, reason)
        if accepted:
            log.info("Callbacks gave the SID of %d messages whose answer was not written down.", len(accepted))
        return given


def _locked(connection: Connection, keys: Iterable[UUID]) -> dict[UUID, dict[str, Any]]:
    return {row["message_key"]: row for row in connection.execute(_LOCK, (array_of(list(keys), "uuid"),))}


def _is_odd(callback: StatusCallback, rows: Mapping[str, _Row]) -> bool:
    """Whether no row has the SID yet, or another one than the callback names."""
    row = rows.get(callback.sid)
    return row is None or (row.key != callback.key and _may_tell(callback, row))


def _may_tell(callback: StatusCallback, row: _Row | None) -> bool:
    """Whether a message is one of the account that signed."""
    return row is not None and row.connection in callback.connections


def _misfit(callback: StatusCallback, row: Mapping[str, Any] | None, known: Mapping[str, _Row]) -> str | None:
    """Say why a row cannot get the SID; `None` if it waits for it."""
    if callback.sid in known:
        return _OTHER_ROW
    if row is None:
        return _NO_ROW
    if row["message_sid"] is not None:
        return _OTHER_SID
    # Only the claim that posted: transitions are those of the protocol, and no others.
    is_waiting = row["send_state"] in {"claimed", "unknown"} and row["claim_id"] == callback.claim_id
    return None if is_waiting else _OTHER_CLAIM


def _observation(callback: StatusCallback, created_at: datetime, received_at: datetime) -> Observation:
    return Observation(
        sid=callback.sid,
        provider_status=callback.provider_status,
        direction="outbound-api",
        created_at=created_at,
        # No status is older than the message, whatever our clock says.
        updated_at=max(received_at, created_at),
        source=Source.WEBHOOK,
        error_code=callback.error_code,
        from_number=callback.from_number,
        to_number=callback.to_number,
        messaging_service_sid=callback.messaging_service_sid,
    )
