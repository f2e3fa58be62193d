"""What the benchmarks of reconciling read: messages of yesterday at the simulator, and the ledger that sent them.

All of them were created on one afternoon (UTC), the simulator's clock stands two hours after the last one, and the
database's own clock runs: whenever the benchmark is run, it reads the same statuses.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, LiteralString
from uuid import UUID, uuid4, uuid5

import psycopg

from include.local.bench_lab import BenchError
from include.local.bench_reconcile_contestant import ReadJob
from twilio_campaigns.domain.chunks import chunks
from twilio_campaigns.domain.message import event_ids
from twilio_campaigns.domain.status import IMPLIES_SENT, Status
from twilio_campaigns.simulator.populate import PEOPLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

    from include.local.bench_lab import Figures, Lab, Simulator

OUR_NUMBER: Final = "+12025550100"
#: Share of messages whose report comes between the first pass and the second.
HELD_SHARE: Final = 0.05
#: Nothing is billed yet: then no row is settled by the first pass, and the second one has to look at all of them.
UNPRICED: Final = 30 * 86400.0
_BODY: Final = "Your points wait for you. Reply STOP to opt out."
_KEYS: Final = UUID("0b8f6a0e-52c3-5d0c-8f0e-6a3b0c9d1e2f")
#: Messages that are claimed, posted and accepted together.
_CLAIMED: Final = 500
_BATCH: Final = 10_000

_RUN: Final = """
insert into campaign_runs (run_key, campaign_id, logical_date, dag_id, dag_run_id, spec, audience_rows, state)
values (%(run_key)s, 'bench', %(at)s, 'campaign__bench', %(run_key)s, '{}', 0, 'done')
on conflict do nothing
"""

_PLAN: Final = """
copy messages (message_key, run_key, campaign_id, connection, customer_id, input_number, to_number, country, channel,
               sender, body, estimated_parts, batch_no, send_state)
from stdin
"""

_CLAIM: Final = """
update messages set send_state = 'claimed', attempts = 1, claimed_at = %(at)s, claim_id = %(claim_id)s
where message_key = any(%(keys)s)
"""

_ACCEPT: Final = """
update messages as m
set send_state = 'accepted', message_sid = o.sid, sid_source = 'answer', accepted_at = o.at,
    tracked_on = (o.at at time zone 'UTC')::date, tracking_closes_at = o.at + interval '4 days',
    provider_status = 'queued', status = 'enqueued', number_of_message_parts = 1
from unnest(%(keys)s::uuid[], %(sids)s::text[], %(moments)s::timestamptz[]) as o(key, sid, at)
where m.message_key = o.key
"""

_EVENTS: Final = """
copy campaign_events (event_id, action_type, status, number_of_message_parts, occurred_at, campaign_id, run_key,
                      message_key, message_sid, customer_id, to_number, country, tracked_on, provider_status, source)
from stdin
"""

_STATUSES: Final = "select message_sid || ',' || provider_status from messages"
_COUNT: Final = "select status, count(*) from campaign_events group by 1"

#: As if the last pass had been a day ago: every open row has a point of the ladder since then.
_AGO: Final = "update reconcile_days set last_pass_at = last_pass_at - interval '1 day'"


@dataclass(frozen=True)
class Afternoon:
    """When everything happens.

    :param begins_at: the first message.
    :param ends_at: after the last one.
    :param now: where the simulator's clock stands.
    """

    begins_at: datetime
    ends_at: datetime
    now: datetime

    @property
    def day(self) -> date:
        """The reconcile day."""
        return self.begins_at.date()


def yesterday() -> Afternoon:
    """Give yesterday's afternoon, so that nothing lies ahead of the database's clock."""
    noon = datetime.combine(datetime.now(UTC).date() - timedelta(days=1), time(12), UTC)
    return Afternoon(noon, noon + timedelta(hours=4), noon + timedelta(hours=6))


@dataclass(frozen=True)
class Sent:
    """A message of ours as the ledger knows it when it was accepted."""

    sid: str
    to: str
    at: datetime


def populate(
    simulator: Simulator,
    when: Afternoon,
    count: int,
    *,
    sender: str = OUR_NUMBER,
    held_share: float = HELD_SHARE,
    priced_after: float | None = UNPRICED,
    told: bool = True,
) -> list[Sent]:
    """Make messages at the simulator; give those of which we are told."""
    answer = simulator.control(
        "populate",
        count=count,
        begins_at=when.begins_at.isoformat(),
        ends_at=when.ends_at.isoformat(),
        senders=[sender],
        body=_BODY,
        held_share=held_share,
        priced_after=priced_after,
        told=told,
    )
    return list(_sent(answer.text))


def _sent(text: str) -> Iterator[Sent]:
    for line in text.splitlines():
        sid, to, second = line.split(",")
        yield Sent(sid, to, datetime.fromtimestamp(int(second), UTC))


def load(url: str, messages: Iterable[Sent], *, first: int = 0, tidy: bool = True) -> None:
    """Write ledger rows and events as sending leaves them behind.

    A run is planned as a whole, then claimed and accepted in chunks, so that rows lie in the table as they would: how
    much room there is beside a row decides how long its next update takes.

    :param first: number of the first message; a run has each person once.
    :param tidy: whether to do what autovacuum does meanwhile.
    """
    numbered = enumerate(messages, first)
    with psycopg.connect(url, autocommit=True, options="-c search_path=messaging -c TimeZone=UTC") as connection:
        connection.execute("set synchronous_commit to off")
        for run_key, rows in groupby(numbered, key=lambda row: _run_key(row[0])):
            run = list(rows)
            connection.execute(_RUN, {"run_key": run_key, "at": run[0][1].at})
            _copy(connection, _PLAN, map(_row, run))
            for chunk in chunks(run, _CLAIMED):
                keys = [_key(sent) for _, sent in chunk]
                connection.execute(_CLAIM, {"at": chunk[0][1].at, "keys": keys, "claim_id": uuid4()})
                connection.execute(
                    _ACCEPT, {"keys": keys, "sids": [s.sid for _, s in chunk], "moments": [s.at for _, s in chunk]}
                )
                _copy(connection, _EVENTS, map(_event, chunk))
        if tidy:
            connection.execute("vacuum analyze")
            connection.execute("checkpoint")


def _copy(connection: psycopg.Connection, statement: LiteralString, rows: Iterable[tuple[Any, ...]]) -> None:
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _run_key(number: int) -> str:
    return f"bench/{number // PEOPLE}"


def _key(sent: Sent) -> UUID:
    return uuid5(_KEYS, sent.sid)


def _row(numbered: tuple[int, Sent]) -> tuple[Any, ...]:
    number, sent = numbered
    # fmt: off
    return (
        _key(sent), _run_key(number), "bench", "twilio_default", f"c{number:08}", sent.to, sent.to, "US", "sms",
        "number", _BODY, 1, number // _BATCH, "planned",
    )
    # fmt: on


def _event(numbered: tuple[int, Sent]) -> tuple[Any, ...]:
    number, sent = numbered
    key = _key(sent)
    # fmt: off
    return (
        UUID(bytes=event_ids([key.bytes], [Status.ENQUEUED])[0]), "sms", "enqueued", 1, sent.at, "bench",
        _run_key(number), key, sent.sid, f"c{number:08}", sent.to, "US", sent.at.date(), "queued", "send",
    )
    # fmt: on


def read(lab: Lab, simulator: Simulator, url: str, when: Afternoon, *, within_budget: bool = False) -> Figures:
    """Let ours make one pass over the day, and see that the tables then say what the simulator says.

    :param within_budget: whether messages that no list shows may be left to later passes: a pass asks for so many.
    :raises BenchError: when they do not.
    """
    with psycopg.connect(url, options="-c search_path=messaging") as connection:
        (messages,) = connection.execute("select count(*) from messages").fetchone() or (0,)
    job = ReadJob("ours", simulator.url, simulator.token, messages, when.day.isoformat(), url)
    figures = lab.heat([job], simulator)
    if not figures.told[0]["complete"]:
        raise BenchError(f"A pass was not complete: {figures.told[0]}")
    left = check(simulator, url)
    if left and not within_budget:
        raise BenchError(f"{left:,} of {messages:,} messages were not looked at.")
    figures.told[0]["left"] = left
    return figures


def let_time_pass(url: str) -> None:
    """Make every open row due again."""
    with psycopg.connect(url, autocommit=True, options="-c search_path=messaging") as connection:
        connection.execute(_AGO)


def check(simulator: Simulator, url: str) -> int:
    """See that the ledger holds the status of every message of ours, and the events that follow from it.

    :return: messages that failed before they were sent, which no list by date shows, and that nobody asked for.
    :raises BenchError: when anything else is missing: who reads nothing must not win.
    """
    with psycopg.connect(url, options="-c search_path=messaging") as connection:
        known = {line for (line,) in connection.execute(_STATUSES)}
        events: dict[str, int] = dict(connection.execute(_COUNT).fetchall())
    truth = set(simulator.control("statuses").text.splitlines())
    wrong = known - truth
    unseen = {line for line in wrong if line.endswith(",queued") and line.replace(",queued", ",failed") in truth}
    if wrong != unseen:
        raise BenchError(f"{len(wrong - unseen):,} of {len(known):,} rows do not say what Twilio says.")
    statuses = Counter(line.partition(",")[2] for line in known)
    wanted = {
        "enqueued": statuses.total(),
        "sent": sum(statuses[status] for status in IMPLIES_SENT),
        "delivered": statuses["delivered"],
        "lost": statuses["undelivered"] + statuses["failed"],
    }
    found = {name: events.get(name, 0) for name in ("enqueued", "sent", "delivered")}
    found["lost"] = events.get("failed", 0) + events.get("rejected", 0)
    if found != wanted:
        raise BenchError(f"There should be events {wanted}, and there are {found}.")
    return len(unseen)
