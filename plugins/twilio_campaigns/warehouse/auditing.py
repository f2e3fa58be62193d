"""What an audit reads of the ledger, and the tables in which its findings are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import scalar_row

from twilio_campaigns.domain.audit_result import AccountAudit, Finding, Kind
from twilio_campaigns.domain.auditing import AuditedRow, Senders, SidSet
from twilio_campaigns.domain.chunks import chunks
from twilio_campaigns.domain.exceptions import TransientError
from twilio_campaigns.domain.status import Status
from twilio_campaigns.warehouse.parameters import recordset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

    from twilio_campaigns.warehouse.connection import Warehouse

#: Rows that are written or fetched together.
CHUNK: Final = 1000

# A run may send days after it was frozen, but hardly more than a week; one that did so on this day has rows of it.
_UNDER_WAY: Final = """
r.spec is not null
and r.created_at >= (%(day)s::date - 7)::timestamp at time zone 'UTC'
and r.created_at < (%(day)s::date + 1)::timestamp at time zone 'UTC'
and coalesce(r.finished_at, case when r.state in ('stopped', 'too_late') then r.state_changed_at end, 'infinity')
    >= (%(day)s::date)::timestamp at time zone 'UTC'
"""

_CONNECTIONS: Final = f"""
select distinct connection from messages where tracked_on = %(day)s and send_state = 'accepted'
union
select distinct r.spec ->> 'connection' from campaign_runs as r where {_UNDER_WAY}
order by connection
"""  # noqa: S608 - built of constants

_ACCEPTED: Final = """
select message_sid from messages
where tracked_on = %(day)s and connection = %(connection)s and send_state = 'accepted'
"""

_SENDERS: Final = f"""
select distinct r.spec -> 'sender' ->> 'messaging_service_sid' as service,
       r.spec -> 'sender' ->> 'from_number' as number
from campaign_runs as r
where r.spec ->> 'connection' = %(connection)s
  and (({_UNDER_WAY})
       or r.run_key in (select distinct run_key from messages
                        where tracked_on = %(day)s and connection = %(connection)s and send_state = 'accepted'))
"""  # noqa: S608 - built of constants

_NUMBERS: Final = """
select distinct from_number as number from messages
where tracked_on = %(day)s and connection = %(connection)s and send_state = 'accepted' and from_number is not null
"""

# By the SID alone: of whatever day and connection a row is, its message is no orphan.
_ROWS: Final = """
select message_sid as sid, message_key as key, provider_status, status,
       settled_at is null and tracking_closes_at > now() as is_open
from messages where message_sid = any(%s)
"""

_STRAYS: Final = "select message_sid from stray_messages where message_sid = any(%s)"

# Claimed about that day, and nobody knows whether Twilio has it: in doubt, undecided, or given up as such.
_DOUBTFUL: Final = """
select distinct to_number from messages
where to_number = any(%(numbers)s) and connection = %(connection)s
  and claimed_at >= (%(day)s::date - 1)::timestamp at time zone 'UTC'
  and claimed_at < (%(day)s::date + 2)::timestamp at time zone 'UTC'
  and (send_state in ('claimed', 'unknown')
       or (send_state = 'enqueue_failed' and status_code is null))
"""

_LISTED_BEFORE: Final = """
select coalesce(sum(messages), 0) as messages from list_volumes
where connection = %(connection)s and starts_at >= %(after)s and starts_at < %(before)s
"""

_KEEP: Final = """
insert into reconcile_audits (audit_id, day, connection, started_at, finished_at, complete, api_calls, listed, accepted,
                              matched, missing, orphans, different, error)
values (%(audit_id)s, %(day)s, %(connection)s, %(started_at)s, now(), %(complete)s, %(api_calls)s, %(listed)s,
        %(accepted)s, %(matched)s, %(missing)s, %(orphans)s, %(different)s, %(error)s)
"""

_KEEP_FINDINGS: Final = """
insert into reconcile_audit_findings (audit_id, message_sid, kind, message_key, ledger_status, provider_status)
select %s, o.message_sid, o.kind, o.message_key, o.ledger_status, o.provider_status
from json_to_recordset(%s) as o(
    kind text, message_sid text, message_key uuid, ledger_status text, provider_status text
)
on conflict do nothing
"""

_LATEST: Final = """
select distinct on (connection) connection, day, started_at, audit_id, complete, api_calls, listed, accepted, matched,
       missing, orphans, different, error
from reconcile_audits where day = %s
order by connection, started_at desc
"""

_FINDINGS: Final = """
select kind, message_sid, message_key, ledger_status, provider_status
from reconcile_audit_findings where audit_id = %s
order by kind, message_sid
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger says of the messages of one page.

    :param rows: by SID.
    :param strays: SIDs that a person has to look at anyway.
    """

    rows: Mapping[str, AuditedRow]
    strays: frozenset[str]


class AuditStore:
    """The ledger as an audit reads it, and the audits' own tables.

    :param warehouse: where they are.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse

    def begin(self, day: date, connection_id: str) -> AccountAudit:
        """Date an audit; nothing is written before it is over."""
        return AccountAudit(day, connection_id, self._warehouse.now())

    def end(self, audit: AccountAudit) -> None:
        """Write an audit and its findings down."""
        names = ("audit_id", "day", "connection", "started_at", "complete", "api_calls", "listed", "accepted")
        counts = ("matched", "missing", "orphans", "different", "error")
        values = {name: getattr(audit, name) for name in (*names, *counts)}
        with self._warehouse.transaction() as connection:
            connection.execute(_KEEP, values)
        for chunk in chunks(audit.findings, CHUNK):
            with self._warehouse.transaction() as connection:
                connection.execute(_KEEP_FINDINGS, (audit.audit_id, recordset(_columns(finding) for finding in chunk)))

    def connections(self, day: date) -> list[str]:
        """Airflow connections of the accounts that have messages of the day, or had a campaign under way."""
        with self._warehouse.transaction() as connection:
            return [row["connection"] for row in connection.execute(_CONNECTIONS, {"day": day})]

    def accepted(self, audit: AccountAudit) -> SidSet:
        """Give the SIDs of the day's accepted rows; they come in pieces, because there may be a million."""
        with (
            self._warehouse.transaction() as connection,
            connection.cursor("accepted", row_factory=scalar_row) as cursor,
        ):
            cursor.itersize = 10 * CHUNK
            cursor.execute(_ACCEPTED, {"day": audit.day, "connection": audit.connection})
            return SidSet(cursor)

    def senders(self, audit: AccountAudit) -> Senders:
        """Senders of the campaigns that were under way on the day, or whose messages were accepted on it."""
        rows = self._of(audit, _SENDERS)
        return Senders(
            frozenset(row["service"] for row in rows if row["service"]),
            frozenset(row["number"] for row in rows if row["number"]),
        )

    def numbers(self, audit: AccountAudit) -> set[str]:
        """From numbers of the day's accepted rows; those that a Messaging Service picked, too."""
        return {row["number"] for row in self._of(audit, _NUMBERS)}

    def listed_before(self, audit: AccountAudit, after: datetime, before: datetime) -> int:
        """Messages that lists of a period have at least, by what reconciling learnt."""
        (row,) = self._of(audit, _LISTED_BEFORE, after=after, before=before)
        return int(row["messages"])

    def known(self, sids: Sequence[str]) -> Known:
        """Say what the ledger knows of these messages."""
        with self._warehouse.transaction() as connection:
            rows = [_row(row) for row in connection.execute(_ROWS, (list(sids),))]
            unknown = list(set(sids).difference(row.sid for row in rows))
            strays = connection.execute(_STRAYS, (unknown,)).fetchall() if unknown else []
        return Known({row.sid: row for row in rows}, frozenset(row["message_sid"] for row in strays))

    def doubtful(self, audit: AccountAudit, numbers: Sequence[str]) -> set[str]:
        """Those of these recipients that may have a message of the day of which nobody knows."""
        return {row["to_number"] for row in self._of(audit, _DOUBTFUL, numbers=list(numbers))}

    def latest(self, day: date) -> list[AccountAudit]:
        """Give the latest audit of a day of each account, as far as it was written down, with its findings."""
        with self._warehouse.transaction() as connection:
            audits = [_audit(row) for row in connection.execute(_LATEST, (day,))]
            for audit in audits:
                rows = connection.execute(_FINDINGS, (audit.audit_id,))
                audit.findings = [Finding(**{**row, "kind": Kind(row["kind"])}) for row in rows]
        return audits

    def _of(self, audit: AccountAudit, query: Any, **values: object) -> list[dict[str, Any]]:  # noqa: ANN401 - a literal
        with self._warehouse.transaction() as connection:
            return connection.execute(query, {"day": audit.day, "connection": audit.connection, **values}).fetchall()


def _audit(row: dict[str, Any]) -> AccountAudit:
    error = row.pop("error")
    return AccountAudit(**row, failure=TransientError(error) if error else None)


def _row(row: Mapping[str, Any]) -> AuditedRow:
    return AuditedRow(**{**row, "status": Status(row["status"]) if row["status"] else None})


def _columns(finding: Finding) -> dict[str, object]:
    return {name: getattr(finding, name) for name in Finding.__slots__}
