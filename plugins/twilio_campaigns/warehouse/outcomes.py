"""What becomes of claimed rows: the statements that write it, on rows that the caller has locked (PROTOCOLS S4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec.structs import astuple

from twilio_campaigns.domain.ledger import EventDraft, Known, merge
from twilio_campaigns.domain.status import Source, Status
from twilio_campaigns.warehouse.connection import scalar
from twilio_campaigns.warehouse.dating import date_by_twilio
from twilio_campaigns.warehouse.events import KNOWN_COLUMNS, KNOWN_TYPES, drafts_of, write_events
from twilio_campaigns.warehouse.marking import mark_runs_of, marking
from twilio_campaigns.warehouse.parameters import Columns
from twilio_campaigns.warehouse.suppressions import suppress_failed, suppress_refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.warehouse.connection import Connection

_ACCEPTED: Final = Columns("o", message_key="uuid", sid="text", accepted_at="timestamptz", **KNOWN_TYPES)

# What the answer says of the message comes with its SID: a row that has none knows nothing else yet.
_ACCEPT: Final = marking(
    f"""
update messages as m
set {", ".join(f"{name} = o.{name}" for name in KNOWN_COLUMNS if name != "from_number")},
    from_number = least(m.from_number, o.from_number),
    send_state = 'accepted',
    message_sid = o.sid,
    sid_source = %(sid_source)s,
    accepted_at = o.accepted_at,
    tracked_on = (o.accepted_at at time zone 'UTC')::date,
    tracking_closes_at = o.accepted_at + %(window)s,
    resolve_after = null
from {_ACCEPTED}
where m.message_key = o.message_key and m.message_key = any({_ACCEPTED.array("message_key")})
returning m.run_key
""",  # noqa: S608 - built of constants
    gives="count(*)",
)

_REFUSE: Final = """
update messages as m
set send_state = 'enqueue_failed', status = 'enqueue_failed', status_code = o.code, final_at = now(),
    resolve_after = null
from unnest(%(keys)s::uuid[], %(codes)s::int[]) as o(message_key, code)
where m.message_key = o.message_key
"""

_RELEASE: Final = """
update messages
set send_state = 'planned', claim_id = null, claimed_at = null, resolve_after = null
where message_key = any(%(keys)s)
"""

_DOUBT: Final = """
update messages
set send_state = 'unknown', resolve_after = claimed_at + %(list_lag)s
where message_key = any(%(keys)s) and send_state = 'claimed'
"""

_PUT_ASIDE: Final = """
insert into stray_messages (message_sid, message_key, run_key, to_number, reason)
select %(sid)s, %(key)s, (select run_key from messages where message_key = %(key)s), %(to_number)s, %(reason)s
where not exists (select from messages where message_sid = %(sid)s and message_key = %(key)s)
on conflict (message_sid) do nothing
"""


_LOST_ITS_CLAIM: Final = "accepted for a row that does not carry this claim any more"


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What became of the rows of one claim.

    :param accepted: Twilio's answer, by row.
    :param refused: Twilio's error code, by row; `None` where its answer had none that we know.
    :param released: rows that were certainly not taken.
    :param unknown: rows of which nobody can tell.
    """

    accepted: Mapping[UUID, Observation]
    refused: Mapping[UUID, int | None]
    released: Sequence[UUID]
    unknown: Sequence[UUID]

    def keys(self) -> list[UUID]:
        """Every row that these outcomes speak of."""
        return [*self.accepted, *self.refused, *self.released, *self.unknown]


def write_locked(
    connection: Connection,
    outcomes: Outcomes,
    ours: set[UUID],
    taken: frozenset[str],
    *,
    told: Mapping[UUID, str] | None = None,
    window: timedelta,
    list_lag: timedelta,
) -> int:
    """Write the outcomes of one claim on rows that the caller has locked; give how many SIDs fit none of them.

    :param ours: rows that still carry the claim; the others are left alone.
    :param taken: SIDs that other rows have.
    :param told: rows of the claim of which a callback told the SID before their answer was written down, with that
        SID. The answer knows when Twilio took them; a callback does not.
    """
    fitting, stray = _sort_out(outcomes.accepted, ours, taken)
    confirmed = {key: seen for key, seen in stray.items() if told and told.get(key) == seen.sid}
    stray = {key: seen for key, seen in stray.items() if key not in confirmed}
    accept_locked(connection, fitting, window, "answer")
    _refuse(connection, {key: code for key, code in outcomes.refused.items() if key in ours})
    released = [key for key in outcomes.released if key in ours]
    if released:
        connection.execute(_RELEASE, {"keys": released})
    doubtful = [key for key in (*outcomes.unknown, *stray) if key in ours]
    if doubtful:
        connection.execute(_DOUBT, {"keys": doubtful, "list_lag": list_lag})
    mark_runs_of(connection, [*(key for key in outcomes.refused if key in ours), *released, *doubtful])
    date_by_twilio(connection, confirmed, sid_source="answer")
    return put_aside(connection, stray, _LOST_ITS_CLAIM)


def _sort_out(
    accepted: Mapping[UUID, Observation], ours: set[UUID], taken: frozenset[str]
) -> tuple[dict[UUID, Observation], dict[UUID, Observation]]:
    """Part the answers that fit their row from those that do not: row gone, or SID given away already."""
    fitting: dict[UUID, Observation] = {}
    seen = set(taken)
    for key, observation in accepted.items():
        if key in ours and observation.sid not in seen:
            fitting[key] = observation
            seen.add(observation.sid)
    return fitting, {key: value for key, value in accepted.items() if key not in fitting}


def accept_locked(
    connection: Connection, accepted: Mapping[UUID, Observation], window: timedelta, sid_source: str
) -> None:
    """Give locked rows their SIDs and write their events; inside the caller's transaction."""
    if not accepted:
        return
    rows = _ACCEPTED.values(
        (key, observation.sid, observation.created_at, *astuple(merge(Known(), observation)))
        for key, observation in accepted.items()
    )
    connection.execute(cast("Any", _ACCEPT), {**rows, "window": window, "sid_source": sid_source})
    drafts = [draft for key, observation in accepted.items() for draft in drafts_of(key.bytes, observation)]
    write_events(connection, drafts, are_new=True)
    # A look-up adopts what may have failed long ago: nothing that is read later would be news.
    suppress_failed(connection, list(accepted.values()))


def _refuse(connection: Connection, refused: Mapping[UUID, int | None]) -> None:
    if not refused:
        return
    connection.execute(_REFUSE, {"keys": list(refused), "codes": list(refused.values())})
    now = cast("datetime", scalar(connection, "select now()"))
    write_events(connection, [failed_draft(key, now, code) for key, code in refused.items()], are_new=True)
    suppress_refused(connection, refused)


def failed_draft(key: UUID, at: datetime, code: int | None) -> EventDraft:
    """Draft the event of a message that never got a SID."""
    return EventDraft(key.bytes, Status.ENQUEUE_FAILED, at, Source.SEND, code)


def put_aside(connection: Connection, stray: Mapping[UUID, Observation], reason: str) -> int:
    """Keep messages that fit no row; those that are kept already are no news.

    :param stray: by the row that asked for them.
    :param reason: why they fit it not.
    :return: how many are new.
    """
    return sum(
        connection.execute(
            _PUT_ASIDE, {"sid": seen.sid, "key": key, "to_number": seen.to_number, "reason": reason}
        ).rowcount
        for key, seen in stray.items()
    )
