"""The sender's throughput: shared by tasks and runs, never exceeded, given back when nobody takes it."""

import asyncio
import threading
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import pytest

from builders import campaign, freeze, people, run, sender
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.pace import BURST, SMALLEST_BITE, Pace
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.warehouse.connection import Warehouse
from twilio_campaigns.warehouse.ledger import ClaimedMessage
from twilio_campaigns.warehouse.throughput import Demand, Throughput

DEPTH = timedelta(seconds=2)
LATER = 1e9
SECOND = timedelta(seconds=1)


def demand(run_key="a", seconds=1.0):
    return Demand("service", run_key, timedelta(seconds=seconds))


def rows(count, parts=1):
    return [ClaimedMessage(uuid4(), OutgoingMessage("+12025550100", estimated_parts=parts)) for _ in range(count)]


class TestReserving:
    def test_places_follow_one_another(self, warehouse):
        throughput = Throughput(warehouse)
        first, second = (throughput.reserve(demand(), DEPTH) for _ in range(2))
        assert first == timedelta(0)
        assert timedelta(seconds=0.8) < second <= SECOND

    def test_nobody_reserves_further_ahead_than_a_dead_worker_may_cost(self, warehouse):
        throughput = Throughput(warehouse)
        granted = [throughput.reserve(demand(), DEPTH) for _ in range(4)]
        assert [wait is not None for wait in granted] == [True, True, True, False] or granted[2] is None

    def test_a_run_that_has_had_less_is_next(self, warehouse):
        throughput = Throughput(warehouse)
        assert throughput.reserve(demand("a", 0.5), DEPTH) is not None
        assert throughput.reserve(demand("b", 0.1), DEPTH) is not None
        assert throughput.reserve(demand("a", 0.5), DEPTH) is not None  # b, new, began where a was
        assert throughput.reserve(demand("a", 0.1), DEPTH) is None
        assert throughput.reserve(demand("b", 0.1), DEPTH) is not None

    def test_nobody_waits_for_a_run_that_does_not_ask_any_more(self, warehouse, query):
        throughput = Throughput(warehouse)
        throughput.reserve(demand("a", 0.1), DEPTH)
        throughput.reserve(demand("b", 0.5), DEPTH)
        assert throughput.reserve(demand("b", 0.1), DEPTH) is None
        query("update sender_shares set asked_at = asked_at - interval '3 seconds' where run_key = 'a'")
        assert throughput.reserve(demand("b", 0.1), DEPTH) is not None

    def test_whoever_comes_back_has_saved_up_nothing(self, warehouse, query):
        throughput = Throughput(warehouse)
        throughput.reserve(demand("a", 0.1), DEPTH)
        query("update sender_shares set asked_at = asked_at - interval '1 hour'")
        query("insert into sender_shares values ('service', 'b', '30 minutes', now())")
        throughput.reserve(demand("a", 0.1), DEPTH)
        (row,) = query("select served from sender_shares where run_key = 'a'")
        assert row["served"] >= timedelta(minutes=30)

    def test_slowing_down_moves_everybody(self, warehouse):
        throughput = Throughput(warehouse)
        throughput.reserve(demand(seconds=0.1), DEPTH)
        throughput.slow_down("service", timedelta(seconds=1.5))
        wait = throughput.reserve(demand(seconds=0.1), DEPTH)
        assert wait is not None
        assert wait > SECOND


class Alone:
    """Throughput that nobody else wants; remembers for how much it was asked."""

    def __init__(self, clock):
        self.asked = []
        self._clock, self._next_free = clock, 0.0

    def reserve(self, asked, _depth):
        takes = asked.takes.total_seconds()
        self.asked.append(takes)
        begins = max(self._clock(), self._next_free)
        self._next_free = begins + takes
        return timedelta(seconds=begins - self._clock())


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    async def pause(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def pace_of(clock, throughput, rate=99.0):
    rate /= 0.99  # without its headroom
    return Pace(
        throughput,
        sender(parts_per_second=rate),
        "run",
        DEPTH,
        clock=clock,
        pause=clock.pause,
        is_stopping=lambda: False,
    )


class TestPlaces:
    def test_messages_leave_at_the_senders_rate_by_their_parts(self, clock):
        async def leave():
            places = await pace_of(clock, Alone(clock), rate=10).reserve(chunk, LATER)
            moments = []
            for _ in chunk:
                assert await places.take()
                moments.append(clock.now)
            return moments

        chunk = rows(3, parts=2) + rows(2)
        moments = asyncio.run(leave())
        assert [round(after - before, 3) for before, after in pairwise(moments)] == [0.2, 0.2, 0.2, 0.1]

    def test_a_message_that_missed_its_place_gets_a_new_one_instead_of_catching_up(self, clock):
        throughput = Alone(clock)

        async def leave():
            places = await pace_of(clock, throughput, rate=10).reserve(chunk, LATER)
            moments = []
            for n in range(len(chunk)):
                if n == 20:
                    clock.now += 3  # the process was away
                assert await places.take()
                moments.append(clock.now)
            return moments

        chunk = rows(60)
        moments = asyncio.run(leave())
        gaps = [after - before for before, after in pairwise(moments)]
        assert min(gaps) > 0.0999
        assert [round(takes, 3) for takes in throughput.asked] == [6.0, 2.0, 2.0]

    def test_places_that_would_come_too_late_are_not_waited_for(self, clock):
        """A place behind the post window is lost to everybody: the messages are given back."""
        throughput = Alone(clock)
        throughput.reserve = lambda *_: None
        began = clock.now

        async def reserve():
            return await pace_of(clock, throughput, rate=10).reserve(rows(20), began + 5)

        assert asyncio.run(reserve()) is None
        assert clock.now - began < 1.5  # five seconds, less two ahead of which places are given, less two for the rows

    def test_a_process_that_cannot_keep_up_reserves_little_at_a_time(self, clock):
        """Else it would keep places from others that it cannot fill."""
        throughput = Alone(clock)

        async def leave():
            places = await pace_of(clock, throughput, rate=1000).reserve(chunk, LATER)
            for _ in chunk:
                assert await places.take()
                clock.now += 0.01  # a tenth of the rate

        chunk = rows(1000)
        asyncio.run(leave())
        assert len(throughput.asked) > 10
        assert max(throughput.asked[1:]) <= max(SMALLEST_BITE, BURST * 1020) / 1000


def sending(url, simulator, of, run_key, batches, settings):
    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            for batch_no in batches:
                await BatchSender(warehouse, twilio, of, settings).send(run_key, batch_no)

    with Warehouse(url) as warehouse:
        asyncio.run(work())


def test_two_campaigns_share_a_sender_fairly_and_never_exceed_it(warehouse, database_url, simulator):
    """One run with a single task, one with three; 60 parts a second for 12 seconds and more."""
    rate = 60
    limited = sender(parts_per_second=float(rate))
    runs = {"one": (run(campaign_id="one"), [[1]]), "three": (run(campaign_id="three"), [[1], [2], [3]])}
    threads = []
    for place, (name, (as_run, tasks)) in enumerate(runs.items()):
        of = campaign(campaign_id=name, sender=limited, batch_size=390 // len(tasks))
        freeze(warehouse, people(390, first=400 * place), of=of, as_run=as_run)
        threads += [
            threading.Thread(target=sending, args=(database_url, simulator, of, as_run.run_key, task, Settings()))
            for task in tasks
        ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    truth = sorted((datetime.fromisoformat(m["created_at"]).timestamp(), m["to"]) for m in simulator.truth())
    assert len(truth) == 780
    moments = [moment for moment, _ in truth]
    busiest = max(sum(start <= moment < start + 10 for moment in moments) for start in moments)
    assert busiest <= rate * 10
    half_way = [to < "+12025550400" for _, to in truth[: len(truth) // 2]]
    # Four tasks that took what they get would give the single one a quarter. Machines are noisy, hence the distance.
    assert 0.35 < sum(half_way) / len(half_way) < 0.8
