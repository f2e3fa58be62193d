"""The verdict, row by row: what the ledger says against what the simulated Twilio knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.rows import dict_row

from include.local.chaos_data import SENDERS, people
from twilio_campaigns.domain.errors import error_entry
from twilio_campaigns.simulator.life import has_opted_out

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Row = dict[str, Any]

#: Send states at which nothing is left to do.
FINAL: Final = frozenset({"accepted", "enqueue_failed", "skipped"})
#: Twilio's code for a number that has written STOP.
OPTED_OUT: Final = 21610
_CAMPAIGN_OF: Final = {sender: campaign for campaign, sender in SENDERS.items()}


@dataclass(frozen=True)
class Check:
    """One promise.

    :param looked_at: how many rows were compared.
    :param broken: what does not hold, a line each.
    """

    says: str
    looked_at: int
    broken: Sequence[str] = ()

    @property
    def holds(self) -> bool:
        """Whether it was looked at and kept."""
        return self.looked_at > 0 and not self.broken


@dataclass(frozen=True)
class Books:
    """Both sides.

    :param messages: the ledger.
    :param events: the events of those messages.
    :param strays: table `stray_messages`.
    :param truth: what the simulator sent.
    :param simulator_seed: who has opted out follows from it.
    :param opted_out_share: share of people who have.
    """

    wanted: int
    messages: Sequence[Row]
    events: Sequence[Row]
    strays: Sequence[Row]
    truth: Sequence[Row]
    simulator_seed: int
    opted_out_share: float
    by_sid: Mapping[str, Row] = field(init=False)
    bad_numbers: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_sid", {message["sid"]: message for message in self.truth})
        entries = ((message["to"], error_entry(message["error_code"])) for message in self.truth)
        object.__setattr__(self, "bad_numbers", frozenset(to for to, entry in entries if entry and entry.suppresses))

    def wants_no_texts(self, number: str) -> bool:
        """Whether this person has written STOP."""
        return has_opted_out(self.simulator_seed, number, self.opted_out_share)

    def cannot_be_texted(self, number: str) -> bool:
        """Whether one of this number's messages failed in a way that concerns every sender."""
        return number in self.bad_numbers


def read_books(url: str, truth: Sequence[Row], *, wanted: int, simulator_seed: int, opted_out_share: float) -> Books:
    """Read the ledger's side.

    :param url: the warehouse.
    """
    with psycopg.connect(url, row_factory=dict_row, options="-c search_path=messaging") as connection:
        return Books(
            wanted=wanted,
            messages=connection.execute("select * from messages").fetchall(),
            events=connection.execute("select * from campaign_events where message_key is not null").fetchall(),
            strays=connection.execute("select * from stray_messages").fetchall(),
            truth=truth,
            simulator_seed=simulator_seed,
            opted_out_share=opted_out_share,
        )


def judge(books: Books) -> list[Check]:
    """Look at every promise."""
    accepted = [row for row in books.messages if row["send_state"] == "accepted"]
    return [
        Check("(a) nobody has two messages of a run", len(books.truth), list(_duplicates(books.truth))),
        Check("(b) every person of both segments has one row", books.wanted, list(_missing(books))),
        Check("(b) a message at Twilio exactly if accepted", len(books.messages), list(_gaps(books))),
        Check("(b) every row has its final send state", len(books.messages), list(_not_final(books))),
        Check("(c) created - owned - stray = 0, stray = 0", len(books.truth), list(_unowned(books, accepted))),
        Check("(d) status, code and price as Twilio's, settled", len(accepted), list(_untrue(books, accepted))),
        Check("(e) exactly the events that this implies, once", len(books.events), list(_wrong_events(books))),
    ]


def campaign_of(message: Row) -> str:
    """Name the campaign that a message of the simulator came from, by its sender."""
    return _CAMPAIGN_OF.get(message["messaging_service_sid"] or message["from"], "nobody's")


def _duplicates(truth: Sequence[Row]) -> Iterator[str]:
    counts = Counter((message["to"], campaign_of(message)) for message in truth)
    for (number, campaign), count in counts.items():
        if count > 1:
            sids = [m["sid"] for m in truth if (m["to"], campaign_of(m)) == (number, campaign)]
            yield f"{count} messages of {campaign} to {_masked(number)}: {sids}"


def _missing(books: Books) -> Iterator[str]:
    rows = Counter((row["campaign_id"], row["customer_id"]) for row in books.messages)
    for person in people(books.wanted, books.simulator_seed):
        for campaign in SENDERS:
            found = rows.pop((campaign, person.customer_id), 0)
            if found != getattr(person, campaign):
                yield f"{found} rows of {campaign} for {person.customer_id}"
    yield from (f"{count} rows of {key[0]} for {key[1]}, who is nobody's" for key, count in rows.items())


def _gaps(books: Books) -> Iterator[str]:
    sent = {(message["to"], campaign_of(message)): message for message in books.truth}
    for row in books.messages:
        message = books.by_sid.get(row["message_sid"] or "")
        if row["send_state"] != "accepted":
            if (row["to_number"], row["campaign_id"]) in sent:
                yield f"{_name(row)} was sent"
        elif message is None:
            yield f"{_name(row)} has SID {row['message_sid']}, which Twilio does not know"
        elif (message["to"], campaign_of(message), message["body"]) != (
            row["to_number"],
            row["campaign_id"],
            row["body"],
        ):
            yield f"{_name(row)} has SID {row['message_sid']}, which is another one's"


def _not_final(books: Books) -> Iterator[str]:
    """Refused may only be who has written STOP, and those may not be texted through a number.

    Left out may be they, and whose number proved to be a bad one in the other campaign.
    """
    for row in books.messages:
        has_stopped = books.wants_no_texts(row["to_number"])
        through_number = row["campaign_id"] == "through_number"
        if row["send_state"] not in FINAL:
            yield f"{_name(row)} is final nowhere"
        elif row["send_state"] == "enqueue_failed" and not (
            has_stopped and through_number and row["status_code"] == OPTED_OUT
        ):
            yield f"{_name(row)} failed with {row['status_code']}, which Twilio did not say"
        elif row["send_state"] == "skipped" and not (
            row["skip_reason"] == "suppressed" and (has_stopped or books.cannot_be_texted(row["to_number"]))
        ):
            yield f"{_name(row)} was left out: {row['skip_reason']}"
        elif row["send_state"] == "accepted" and has_stopped and through_number:
            yield f"{_name(row)} is accepted, but Twilio refuses this number"


def _unowned(books: Books, accepted: Sequence[Row]) -> Iterator[str]:
    owned = Counter(row["message_sid"] for row in accepted)
    strays = {row["message_sid"] for row in books.strays}
    yield from (f"SID {sid} of {count} rows" for sid, count in owned.items() if count > 1)
    yield from (f"SID {sid} is owned by no row" for sid in books.by_sid.keys() - owned.keys() - strays)
    yield from (f"SID {row['message_sid']} is stray: {row['reason']}" for row in books.strays)


def _untrue(books: Books, accepted: Iterable[Row]) -> Iterator[str]:
    for row in accepted:
        message = books.by_sid.get(row["message_sid"])
        if message is None:
            continue
        ours = (row["provider_status"], row["status_code"], row["price"])
        twilios = (message["final_status"], message["error_code"], Decimal(message["price"]))
        if ours != twilios:
            yield f"{_name(row)}: {ours} is {twilios} at Twilio"
        if row["settled_at"] is None:
            yield f"{_name(row)} is not settled"


def _wrong_events(books: Books) -> Iterator[str]:
    wanted: Counter[tuple[object, str, int | None]] = Counter()
    for row in books.messages:
        message = books.by_sid.get(row["message_sid"] or "")
        if message is not None:
            wanted.update((row["message_key"], status, code) for status, code in _implied(message))
        elif row["send_state"] == "enqueue_failed":
            wanted[row["message_key"], "enqueue_failed", row["status_code"]] += 1
    found = Counter((event["message_key"], event["status"], event["status_code"]) for event in books.events)
    yield from (f"event missing: {status} {code} of {key}" for key, status, code in wanted - found)
    yield from (f"event too much: {status} {code} of {key}" for key, status, code in found - wanted)


def _implied(message: Row) -> Iterator[tuple[str, int | None]]:
    yield "enqueued", None
    if message["sent_at"] is not None:
        yield "sent", None
    if message["final_status"] == "delivered":
        yield "delivered", None
    elif message["final_status"] in {"failed", "undelivered"}:
        entry = error_entry(message["error_code"])
        yield "rejected" if entry and entry.refused else "failed", message["error_code"]


def _name(row: Row) -> str:
    return f"{row['campaign_id']} {row['message_key']} ({row['send_state']}, {row['attempts']} claims)"


def _masked(number: str) -> str:
    return f"…{number[-4:]}"
