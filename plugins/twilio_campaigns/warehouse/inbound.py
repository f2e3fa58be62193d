"""What people write to us: rows, the campaign messages they answer, and what STOP and START do (PROTOCOLS.md §2).

A reply is ours if it was written to one of our senders: to a number or Messaging Service in `reply_addresses`. All
other traffic of a shared account costs one look-up and no row.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid5

from twilio_campaigns.domain.audience import storable
from twilio_campaigns.domain.chunks import chunks
from twilio_campaigns.domain.message import NAMESPACE
from twilio_campaigns.domain.opt_out import Keyword
from twilio_campaigns.domain.suppression import Reason, Suppression
from twilio_campaigns.domain.webhooks import ToldByTwilio
from twilio_campaigns.warehouse.marking import marking
from twilio_campaigns.warehouse.parameters import recordset
from twilio_campaigns.warehouse.reply_addresses import MEMORY
from twilio_campaigns.warehouse.suppressions import RUN_SCOPE, Moved, write_suppressions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from twilio_campaigns.domain.message import Observation
    from twilio_campaigns.domain.opt_out import OptOutWords
    from twilio_campaigns.warehouse.connection import Connection, Warehouse

#: Replies per transaction, so that no lock is held for long.
CHUNK: Final = 1000

# A run's own sender is known at once; which numbers a Messaging Service uses is learnt by the sweep.
_SCOPES: Final = f"""
select address, scope from reply_addresses where connection = %(connection)s and address = any(%(addresses)s)
union
select {RUN_SCOPE}, {RUN_SCOPE} from campaign_runs as r
where r.created_at > now() - {MEMORY} and r.spec ->> 'connection' = %(connection)s
  and {RUN_SCOPE} = any(%(addresses)s)
"""  # noqa: S608 - built of constants

# The message that a reply answers: the last one to this person by the sender written to, accepted before the reply.
# Of a Messaging Service's numbers the one written to comes first: people answer within a thread on their phone. A
# number that is not known yet may be it.
#
# The person's own messages first (`offset 0`): a ledger that was just filled has no statistics, and without them the
# planner reads everything accepted for each reply.
#
# A second look may date a reply earlier, and find the message that was not recorded yet at the first.
_RECEIVE: Final = f"""
insert into inbound_messages as i (message_sid, from_number, to_number, body, messaging_service_sid,
                                   number_of_message_parts, received_at, source, media_urls, opt_out_type, message_key)
select o.sid, o.from_number, o.to_number, o.body, o.messaging_service_sid, o.parts, o.received_at, o.source,
       o.media_urls, o.opt_out_type, answered.message_key
from json_to_recordset(%(rows)s) as o(
    sid text, from_number text, to_number text, body text, messaging_service_sid text, parts smallint,
    received_at timestamptz, source text, media_urls text[], opt_out_type text, scopes text[]
)
left join lateral (
    select m.message_key
    from (select * from messages where to_number = o.from_number offset 0) as m
    join campaign_runs as r on r.run_key = m.run_key
    where m.connection = %(connection)s and m.send_state = 'accepted' and m.accepted_at <= o.received_at
      and (m.from_number = o.to_number or {RUN_SCOPE} = any(o.scopes))
    order by (m.from_number <> o.to_number) is true, m.accepted_at desc, m.message_key
    limit 1
) as answered on true
order by o.sid
on conflict (message_sid) do update
set received_at = least(i.received_at, excluded.received_at),
    message_key = coalesce(i.message_key, excluded.message_key),
    messaging_service_sid = coalesce(i.messaging_service_sid, excluded.messaging_service_sid),
    number_of_message_parts = coalesce(i.number_of_message_parts, excluded.number_of_message_parts),
    media_urls = coalesce(i.media_urls, excluded.media_urls),
    opt_out_type = coalesce(i.opt_out_type, excluded.opt_out_type)
where i.received_at > excluded.received_at
   or (i.message_key is null and excluded.message_key is not null)
   or (i.messaging_service_sid is null and excluded.messaging_service_sid is not null)
   or (i.number_of_message_parts is null and excluded.number_of_message_parts is not null)
   or (i.media_urls is null and excluded.media_urls is not null)
   or (i.opt_out_type is null and excluded.opt_out_type is not null)
returning i.message_sid, xmax = 0 as is_new
"""  # noqa: S608 - built of constants

# The one date of a reply, and what Twilio takes it for, whoever told them first.
_KEPT: Final = """
select message_sid, received_at, opt_out_type from inbound_messages
where message_sid = any(%s) order by message_sid for update
"""

# One event per reply, for whatever it answers: told again when it went missing.
_TELL: Final = marking("""
insert into campaign_events as e (
    event_id, event_name, action_type, status, number_of_message_parts, comment, occurred_at, campaign_id, run_key,
    message_key, message_sid, customer_id, to_number, country, tracked_on, provider_status, source
)
select o.event_id, coalesce(r.spec ->> 'event_name', 'campaign'), o.action_type, 'incoming_message',
       i.number_of_message_parts, o.comment, i.received_at, m.campaign_id, m.run_key, m.message_key, i.message_sid,
       m.customer_id, m.to_number, m.country, m.tracked_on, o.provider_status, i.source
from json_to_recordset(%s) as o(event_id uuid, sid text, action_type text, comment text, provider_status text)
join inbound_messages as i on i.message_sid = o.sid
join messages as m on m.message_key = i.message_key
join campaign_runs as r on r.run_key = m.run_key
order by m.message_key, o.event_id
on conflict (message_key, event_id) do update
set occurred_at = least(e.occurred_at, excluded.occurred_at),
    number_of_message_parts = coalesce(e.number_of_message_parts, excluded.number_of_message_parts),
    comment = coalesce(e.comment, excluded.comment)
where e.occurred_at > excluded.occurred_at
   or (e.number_of_message_parts is null and excluded.number_of_message_parts is not null)
   or (e.comment is null and excluded.comment is not null)
returning e.run_key, xmax = 0 as is_new
""")

_KEYWORDS: Final = {str(keyword): keyword for keyword in Keyword}
#: What the event of a reply says that opts out.
OPTED_OUT: Final = "The person opted out: this sender does not text them any more."
_COMMENTS: Final = {
    Keyword.STOP: OPTED_OUT,
    Keyword.START: "The person opted in: this sender may text them.",
    Keyword.HELP: "The person asked for help.",
}


@dataclass(slots=True)
class TakenIn:
    """What replies brought, those of earlier looks not counted.

    :param received: replies to our senders.
    :param answers: those of them that answer a campaign message.
    :param opted_out: those that say STOP.
    :param opted_in: those that say START.
    :param asked_for_help: those that say HELP.
    """

    received: int = 0
    answers: int = 0
    opted_out: int = 0
    opted_in: int = 0
    asked_for_help: int = 0

    def add(self, other: TakenIn) -> None:
        """Add up the figures of another chunk."""
        sums = (mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True))
        self.received, self.answers, self.opted_out, self.opted_in, self.asked_for_help = sums


@dataclass(frozen=True, slots=True)
class _Reply:
    """A message to one of our senders.

    :param scopes: what an opt-out written there concerns: every sender of ours that uses the number.
    :param at: when it was written, as far as we know by now.
    """

    seen: Observation
    person: str
    number: str
    scopes: Sequence[str]
    keyword: Keyword | None
    told: ToldByTwilio
    at: datetime


class InboundStore:
    """The table `inbound_messages` and what follows from it.

    :param warehouse: where it is.
    :param words: of the Twilio account.
    """

    def __init__(self, warehouse: Warehouse, words: OptOutWords) -> None:
        self._warehouse = warehouse
        self._words = words

    def take_in(
        self,
        connection_id: str,
        observations: Iterable[Observation],
        told: Mapping[str, ToldByTwilio] | None = None,
    ) -> TakenIn:
        """Write down replies in any order, any number of times, with the same result.

        :param connection_id: Airflow connection of the account that received them.
        :param observations: of any messages; outbound ones are left out.
        :param told: what only a webhook tells of them, by SID.
        """
        inbound = {seen.sid: seen for seen in observations if seen.is_inbound and seen.from_number and seen.to_number}
        total = TakenIn()
        for chunk in chunks(inbound.values(), CHUNK):
            with self._warehouse.transaction() as connection:
                replies = list(self._to_us(connection, connection_id, chunk, told or {}))
                if replies:
                    total.add(_write(connection, connection_id, replies))
        return total

    def _to_us(
        self,
        connection: Connection,
        connection_id: str,
        observations: Sequence[Observation],
        told: Mapping[str, ToldByTwilio],
    ) -> Iterator[_Reply]:
        addresses = {address for seen in observations for address in (seen.to_number, seen.messaging_service_sid)}
        parameters = {"connection": connection_id, "addresses": sorted(filter(None, addresses))}
        rows = connection.execute(cast("Any", _SCOPES), parameters).fetchall()
        for seen in observations:
            written_to = {seen.to_number, seen.messaging_service_sid}
            scopes = sorted({row["scope"] for row in rows if row["address"] in written_to})
            if scopes:
                person, number = storable(seen.from_number or ""), storable(seen.to_number or "")
                more = told.get(seen.sid, ToldByTwilio())
                keyword = self._words.meaning_of(seen.body)
                yield _Reply(seen, person, number, scopes, keyword, more, seen.created_at)


def _write(connection: Connection, connection_id: str, replies: Sequence[_Reply]) -> TakenIn:
    """Lock in the one order: replies, events, suppressions."""
    before = _kept(connection, replies)
    parameters = {"rows": recordset(_row(reply) for reply in replies), "connection": connection_id}
    written = connection.execute(cast("Any", _RECEIVE), parameters).fetchall()
    replies = _as_kept(replies, _kept(connection, replies))
    told = connection.execute(cast("Any", _TELL), (recordset(_event(reply) for reply in replies),)).fetchall()
    write_suppressions(
        connection,
        [fact for reply in replies for fact in _facts(reply)],
        moved=[moved for reply in replies for moved in _moved(reply, before)],
    )
    new = {row["message_sid"] for row in written if row["is_new"]}
    words = [reply.keyword for reply in replies if reply.seen.sid in new]
    return TakenIn(
        received=len(new),
        answers=sum(row["is_new"] for row in told),
        opted_out=words.count(Keyword.STOP),
        opted_in=words.count(Keyword.START),
        asked_for_help=words.count(Keyword.HELP),
    )


def _kept(connection: Connection, replies: Sequence[_Reply]) -> dict[str, Mapping[str, Any]]:
    rows = connection.execute(_KEPT, ([reply.seen.sid for reply in replies],))
    return {row["message_sid"]: row for row in rows}


def _as_kept(replies: Sequence[_Reply], kept: Mapping[str, Mapping[str, Any]]) -> list[_Reply]:
    """Date replies by their rows: one that is told again, later, is no younger for that."""
    return [
        replace(
            reply,
            at=kept[reply.seen.sid]["received_at"],
            keyword=_KEYWORDS.get(kept[reply.seen.sid]["opt_out_type"], reply.keyword),
        )
        for reply in replies
    ]


def _moved(reply: _Reply, before: Mapping[str, Mapping[str, Any]]) -> Iterator[Moved]:
    """Give what follows when the date of a reply turns out to be an earlier one."""
    earlier = before.get(reply.seen.sid)
    if earlier is not None and earlier["received_at"] > reply.at:
        for scope in reply.scopes:
            yield Moved(reply.person, scope, earlier["received_at"], reply.at)


def _facts(reply: _Reply) -> Iterator[Suppression]:
    source, at = f"inbound:{reply.seen.sid}", reply.at
    for scope in reply.scopes:
        if reply.keyword is Keyword.STOP:
            yield Suppression(reply.person, scope, Reason.OPT_OUT, source, at)
        elif reply.keyword is Keyword.START:
            yield Suppression.start(reply.person, scope, source, at)


def _row(reply: _Reply) -> Mapping[str, Any]:
    seen = reply.seen
    return {
        "sid": seen.sid,
        "from_number": reply.person,
        "to_number": reply.number,
        "body": None if seen.body is None else storable(seen.body),
        "messaging_service_sid": seen.messaging_service_sid,
        "parts": seen.parts,
        "received_at": seen.created_at,
        "source": seen.source,
        "media_urls": [storable(url) for url in reply.told.media_urls] or None,
        "opt_out_type": reply.told.keyword,
        "scopes": reply.scopes,
    }


def _event(reply: _Reply) -> Mapping[str, Any]:
    # Everything else comes from the message that it answers, the person's number too; the SID is the reply's own.
    seen = reply.seen
    return {
        "event_id": uuid5(NAMESPACE, seen.sid),
        "sid": seen.sid,
        "action_type": "mms" if seen.sid.startswith("MM") else "sms",
        "comment": None if reply.keyword is None else _COMMENTS[reply.keyword],
        "provider_status": seen.provider_status,
    }
