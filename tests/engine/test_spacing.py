"""Requests that leave evenly: without a convoy, and without becoming the limit themselves."""

import asyncio
from itertools import pairwise

import pytest

from twilio_campaigns.engine.spacing import CREDIT, FIRST_GAP, GRAIN, KEPT, Spacing

WIDTH = 20


class Sleeper:
    """A clock that sleeping moves on."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Sleeper()
    monkeypatch.setattr("twilio_campaigns.engine.spacing.asyncio.sleep", clock.sleep)
    return clock


def departures(spacing, clock, requests):
    """Let requests that all want to leave at once leave, and give the distances between them."""

    async def leave():
        moments = []
        for _ in range(requests):
            await spacing.wait()
            moments.append(clock())
        return moments

    moments = asyncio.run(leave())
    return [later - earlier for earlier, later in pairwise(moments)]


def test_before_the_first_answer_requests_leave_one_by_one(clock):
    gaps = departures(Spacing(WIDTH, clock), clock, 50)
    assert sum(gaps) == pytest.approx(49 * FIRST_GAP, abs=CREDIT + GRAIN)
    assert max(gaps) < 3 * FIRST_GAP


def test_they_are_as_far_apart_as_answers_would_come_evenly(clock):
    spacing = Spacing(WIDTH, clock)
    spacing.learn(0.1)
    gaps = departures(spacing, clock, 101)
    assert sum(gaps) == pytest.approx(100 * KEPT * 0.1 / WIDTH, rel=0.02)


def test_requests_that_take_no_time_do_not_wait(clock):
    spacing = Spacing(WIDTH, clock)
    spacing.learn(GRAIN)
    assert sum(departures(spacing, clock, 1000)) == 0


def test_it_never_asks_for_less_than_the_width_allows(clock):
    """Were the distance longer than the time per request divided by the width, it would be the limit."""
    spacing = Spacing(WIDTH, clock)
    for _ in range(1000):
        spacing.learn(0.2)
    assert sum(departures(spacing, clock, 1001)) < 1000 * 0.2 / WIDTH


def test_a_single_answer_that_takes_forever_hardly_matters(clock):
    spacing = Spacing(WIDTH, clock)
    spacing.learn(0.1)
    spacing.learn(30.0)
    assert sum(departures(spacing, clock, 101)) == pytest.approx(100 * KEPT * 0.1 / WIDTH, rel=0.05)


def test_it_follows_twilio_becoming_slower_and_faster(clock):
    spacing = Spacing(WIDTH, clock)
    spacing.learn(0.1)
    for taken in (0.4, 0.1):
        for _ in range(500):
            spacing.learn(taken)
        assert sum(departures(spacing, clock, 101)) == pytest.approx(100 * KEPT * taken / WIDTH, rel=0.03)


def test_after_a_pause_nobody_catches_up(clock):
    spacing = Spacing(WIDTH, clock)
    spacing.learn(0.1)
    departures(spacing, clock, 10)
    clock.now += 60
    gaps = departures(spacing, clock, 101)
    assert sum(gaps) == pytest.approx(100 * KEPT * 0.1 / WIDTH, rel=0.03)
