"""Callbacks lost, repeated, late or shuffled, before and after the answer: a full read ends in the same tables."""

from datetime import timedelta
from decimal import Decimal
from time import monotonic
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import freeze, observation, people, run
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.status import Source
from twilio_campaigns.domain.webhooks import StatusCallback
from twilio_campaigns.warehouse.applying import EventStore
from twilio_campaigns.warehouse.callbacks import CallbackStore
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.outcomes import Outcomes
from web.twilio_posts import SERVICE

DAY, LAG, LEASE = timedelta(days=4), timedelta(hours=4), timedelta(minutes=10)
CONNECTIONS = ("twilio_default",)
#: What becomes of each of five messages, in Twilio's words.
LIVES = (
    ("accepted", (("queued", None), ("sent", None), ("delivered", None))),
    ("accepted", (("queued", None), ("sent", None), ("undelivered", 30007))),
    ("accepted", (("queued", None), ("failed", 21610))),
    ("accepted", (("sent", None),)),
    ("queued", (("sent", None), ("undelivered", 30003))),
)
#: A read, an answer, or the callback of a message's nth change; `late` callbacks were received before now.
MOVES = st.one_of(
    st.tuples(st.just("callback"), st.integers(0, 4), st.integers(0, 2), st.integers(0, 20)),
    st.tuples(st.just("read"), st.integers(0, 4), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("answer"), st.integers(0, 4), st.just(0), st.just(0)),
)


class World:
    """A claimed run, and Twilio's truth about it."""

    def __init__(self, warehouse, query):
        self.warehouse, self.query = warehouse, query
        freeze(warehouse, people(5))
        self.claim = Ledger(warehouse).claim(
            run().run_key, 1, 5, uuid4(), OutgoingMessage("", messaging_service_sid=SERVICE)
        )
        query("update messages set claimed_at = now() - interval '2 minutes'")
        self.sids = [f"SM{n:032x}" for n in range(5)]
        (row,) = query("select date_trunc('second', min(claimed_at)) as at from messages")
        self.at = row["at"]

    def seen(self, n, change, source=Source.LIST):
        """What Twilio's list says at a time."""
        word, code = LIVES[n][1][min(change, len(LIVES[n][1]) - 1)]
        has_left = word in {"sent", "delivered", "undelivered"}
        is_end = change >= len(LIVES[n][1]) - 1
        return observation(
            self.sids[n],
            word,
            at=self.at,
            updated_at=self.at + timedelta(seconds=3 + 2 * min(change, len(LIVES[n][1]) - 1)),
            sent_at=self.at + timedelta(seconds=4) if has_left else None,
            error_code=code,
            source=source,
            parts=2 if is_end else None,
            price=Decimal("0.0079") if is_end else None,
            price_unit="USD",
            from_number="+12025559001",
        )

    def callback(self, n, change, late):
        word, code = LIVES[n][1][min(change, len(LIVES[n][1]) - 1)]
        callback = StatusCallback(
            self.sids[n],
            word,
            CONNECTIONS,
            monotonic() - late,
            error_code=code,
            from_number="+12025559001",
            key=self.claim.rows[n].key,
            claim_id=self.claim.claim_id,
        )
        CallbackStore(self.warehouse, window=DAY, lease=LEASE).apply([callback])

    def answer(self, n):
        key, word = self.claim.rows[n].key, LIVES[n][0]
        answer = observation(self.sids[n], word, at=self.at, updated_at=self.at, source=Source.SEND)
        Ledger(self.warehouse).record(
            self.claim.claim_id, Outcomes({key: answer}, {}, [], []), window=DAY, list_lag=LAG
        )

    def read(self, n, change, **options):
        EventStore(self.warehouse).apply([self.seen(n, change)], **options)

    def move(self, kind, n, change, late):
        if kind == "callback":
            self.callback(n, change, late)
        elif kind == "read":
            self.read(n, change)
        else:
            self.answer(n)

    def end(self, *, repair):
        for n in range(5):
            self.answer(n)
        for n in range(5):
            self.read(n, 9, repair=repair)
        return self.tables()

    def tables(self):
        messages = self.query("select * from messages order by to_number")
        events = self.query("select * from campaign_events order by event_id")
        for event in events:
            del event["recorded_at"], event["source"]
        performance = self.query("select * from campaign_performance")
        suppressions = self.query("select * from suppressions order by 1, 2")
        return messages, events, performance, suppressions, self.query("select * from stray_messages")

    def begin_anew(self):
        self.query("truncate campaign_events, suppressions, stray_messages")
        self.query(
            "update messages set send_state = 'claimed', message_sid = null, sid_source = null, accepted_at = null, "
            "tracked_on = null, tracking_closes_at = null, provider_status = null, status = null, status_code = null, "
            "number_of_message_parts = null, sent_at = null, final_at = null, price = null, price_unit = null, "
            "settled_at = null, from_number = null"
        )


@pytest.fixture
def world(warehouse, query):
    return World(warehouse, query)


@pytest.mark.parametrize("repair", [False, True])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=st.lists(MOVES, max_size=24))
def test_whatever_came_by_callback_a_full_read_ends_the_same(world, repair, moves):
    world.begin_anew()
    lost = world.end(repair=repair)
    assert len(lost[1]) == 13
    world.begin_anew()
    for move in moves:
        world.move(*move)
    assert world.end(repair=repair) == lost


def test_every_callback_three_times_and_backwards(world):
    world.begin_anew()
    lost = world.end(repair=False)
    world.begin_anew()
    for n in reversed(range(5)):
        for change in reversed(range(3)):
            for _ in range(3):
                world.callback(n, change, 0)
    rows = world.query("select send_state, sid_source, status from messages")
    assert {row["send_state"] for row in rows} == {"accepted"}
    assert {row["sid_source"] for row in rows} == {"callback"}
    assert world.end(repair=False) == lost


def test_a_list_dates_what_only_callbacks_told(world):
    """The answer is lost for good; Twilio's list has the date, a day earlier than the callback let us guess."""
    world.begin_anew()
    lost = world.end(repair=False)
    world.begin_anew()
    for n in range(5):
        world.callback(n, 9, 0)
    for n in range(5):
        world.read(n, 9)
    found = world.tables()
    assert {row["sid_source"] for row in found[0]} == {"callback"}
    for row in (*found[0], *lost[0]):
        del row["sid_source"]
    for event in (*found[1], *lost[1]):
        if event["status"] == "enqueued":
            del event["provider_status"]  # only the answer had it
    assert found == lost
