"""Batches: one at a time while it is quiet, many at once under load, and no item suffers for another."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from twilio_campaigns.domain.exceptions import TransientError
from twilio_campaigns.web import gathering
from twilio_campaigns.web.gathering import BATCH, Gatherer, OverloadedError, write_each


class Table:
    """Takes batches; slow, or spoiled by some items, as a test wants it."""

    def __init__(self, seconds=0.0, spoiled=()):
        self.seconds, self.spoiled = seconds, set(spoiled)
        self.batches, self.rows = [], []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def write(self, items):
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        time.sleep(self.seconds)
        with self._lock:
            self.at_once -= 1
            self.batches.append(list(items))
            if self.spoiled & set(items):
                raise ValueError("a bad row")
            self.rows += items


@pytest.fixture
def gather():
    with ThreadPoolExecutor(4) as threads:
        yield lambda table, **options: Gatherer(table.write, threads, **options)


def test_one_item_waits_for_nobody(gather):
    async def work():
        table = Table()
        started = time.monotonic()
        await gather(table).put(1)
        return table, time.monotonic() - started

    table, seconds = asyncio.run(work())
    assert table.batches == [[1]]
    assert seconds < 0.2


def test_what_comes_while_a_batch_is_written_goes_with_the_next(gather):
    async def work():
        table = Table(0.05)
        gatherer = gather(table)
        first = asyncio.create_task(gatherer.put("first"))
        await asyncio.sleep(0.01)
        await asyncio.gather(first, *(gatherer.put(n) for n in range(100)))
        return table

    assert asyncio.run(work()).batches == [["first"], list(range(100))]


def test_batches_and_writers_are_bounded(gather):
    async def work():
        table = Table(0.01)
        gatherer = gather(table, writers=2)
        await asyncio.gather(*(gatherer.put(n) for n in range(2300)))
        return table

    table = asyncio.run(work())
    assert max(map(len, table.batches)) == BATCH
    assert table.most_at_once == 2
    assert sorted(table.rows) == list(range(2300))


def test_nobody_goes_on_before_the_batch_is_written(gather):
    async def work():
        table = Table(0.05)
        gatherer = gather(table)
        seen = []

        async def one(n):
            await gatherer.put(n)
            seen.append(n in table.rows)

        await asyncio.gather(*(one(n) for n in range(50)))
        return seen

    assert asyncio.run(work()) == [True] * 50


@pytest.mark.parametrize("spoiled", [{17}, {0, 99}, set(range(40, 60)), set(range(100))])
def test_a_bad_row_fails_alone(gather, spoiled):
    async def work():
        table = Table(spoiled=spoiled)
        gatherer = gather(table)
        ends = await asyncio.gather(*(gatherer.put(n) for n in range(100)), return_exceptions=True)
        return table, ends

    table, ends = asyncio.run(work())
    assert {n for n, end in enumerate(ends) if isinstance(end, ValueError)} == spoiled
    assert sorted(table.rows) == sorted(set(range(100)) - spoiled)


def test_one_bad_row_among_hundreds_costs_few_tries():
    table = Table(spoiled={250})
    errors = write_each(table.write, list(range(500)))
    assert [n for n, error in enumerate(errors) if error] == [250]
    assert len(table.batches) <= 20


def test_a_database_that_is_away_fails_all_at_once():
    tries = []

    def write(items):
        tries.append(items)
        raise TransientError("away")

    errors = write_each(write, list(range(500)))
    assert len(tries) == 1
    assert all(isinstance(error, TransientError) for error in errors)


def test_beyond_the_limit_nobody_waits(gather, monkeypatch):
    monkeypatch.setattr(gathering, "WAITING", 10)

    async def work():
        table = Table(0.1)
        gatherer = gather(table)
        first = asyncio.create_task(gatherer.put("first"))
        await asyncio.sleep(0.02)
        return await asyncio.gather(first, *(gatherer.put(n) for n in range(15)), return_exceptions=True)

    ends = asyncio.run(work())
    assert sum(isinstance(end, OverloadedError) for end in ends) == 5
    assert ends[:11] == [None] * 11


def test_whoever_gave_up_is_not_written(gather):
    async def work():
        table = Table(0.1)
        gatherer = gather(table)
        first = asyncio.create_task(gatherer.put("first"))
        await asyncio.sleep(0.02)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await gatherer.put("impatient")
        await gatherer.put("patient")
        await first
        return table

    assert asyncio.run(work()).rows == ["first", "patient"]


def test_closing_waits_for_what_is_being_written(gather):
    async def work():
        table = Table(0.1)
        gatherer = gather(table)
        puts = [asyncio.create_task(gatherer.put(n)) for n in range(3)]
        await asyncio.sleep(0.02)
        puts.append(asyncio.create_task(gatherer.put("next")))
        await asyncio.sleep(0)
        await gatherer.close(5)
        with pytest.raises(OverloadedError):
            await gatherer.put("late")
        return table, await asyncio.gather(*puts, return_exceptions=True)

    table, ends = asyncio.run(work())
    assert table.rows == [0, 1, 2, "next"]
    assert ends == [None] * 4


def test_closing_does_not_wait_for_ever(gather):
    async def work():
        gatherer = gather(Table(0.5))
        puts = [asyncio.create_task(gatherer.put(n)) for n in range(2)]
        await asyncio.sleep(0.02)
        waiting = asyncio.create_task(gatherer.put("waiting"))
        await asyncio.sleep(0)
        await gatherer.close(0.05)
        with pytest.raises(OverloadedError):
            await waiting
        await asyncio.gather(*puts)

    asyncio.run(work())
