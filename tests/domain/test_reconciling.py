"""When a day is looked at again, and when it is done."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from twilio_campaigns.domain.reconciling import DayState, is_neglected, step_at
from twilio_campaigns.domain.settings import Settings

DAY = date(2026, 11, 20)
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)
LAG = timedelta(hours=4)
LADDER = Settings().ladder
HOUR = timedelta(hours=1)
WAITS = (timedelta(seconds=30), timedelta(minutes=15))


def state(now, **changes):
    return replace(DayState(DAY, now, 0, 0, None, None, None), **changes)


def test_a_day_is_not_finished_before_lists_show_all_of_it():
    early = MIDNIGHT + 3 * HOUR
    assert not state(early, full_read_at=early).is_finished(LAG)
    late = MIDNIGHT + 5 * HOUR
    assert not state(late, full_read_at=early).is_finished(LAG)
    assert state(late, full_read_at=early).wants_full_read(LAG)
    assert state(late, full_read_at=late).is_finished(LAG)


def test_a_day_ends_an_hour_after_midnight_at_the_earliest():
    now = MIDNIGHT + timedelta(minutes=30)
    assert not state(now, full_read_at=now).is_finished(timedelta(0))


@pytest.mark.parametrize("left", [{"open_rows": 1}, {"unresolved": 1}])
def test_open_messages_keep_a_day_open_until_it_is_given_up(left):
    now = MIDNIGHT + timedelta(days=5)
    assert not state(now, full_read_at=now, **left).is_finished(LAG)


@pytest.mark.parametrize("days", [4, 7])
def test_a_day_is_given_up_an_hour_after_its_last_window(days):
    end = MIDNIGHT + timedelta(days=days, hours=1)
    assert not state(end - timedelta(seconds=1), open_rows=1).is_given_up(timedelta(days=days))
    assert state(end, open_rows=1).is_given_up(timedelta(days=days))


def test_what_is_due_first_wakes_the_reader_but_not_at_once():
    now = MIDNIGHT - 10 * HOUR
    assert state(now, next_due_at=now + timedelta(minutes=3)).wake_at(LAG, *WAITS) == now + timedelta(minutes=3)
    assert state(now, next_due_at=now + timedelta(seconds=1)).wake_at(LAG, *WAITS) == now + WAITS[0]
    assert state(now).wake_at(LAG, *WAITS) == now + WAITS[1]


def test_an_old_day_is_looked_at_rarely():
    now = MIDNIGHT + timedelta(days=2)
    assert state(now, open_rows=1, next_due_at=now + 24 * HOUR).wake_at(LAG, *WAITS) == now + 6 * HOUR


def test_the_moment_of_the_last_full_read_is_not_slept_over():
    now = MIDNIGHT + LAG - timedelta(minutes=2)
    assert state(now).wake_at(LAG, *WAITS) == MIDNIGHT + LAG


@pytest.mark.parametrize(
    ("age", "step"),
    [
        (timedelta(0), timedelta(minutes=1)),
        (2 * HOUR, 2 * HOUR),
        (50 * HOUR, 24 * HOUR),
        (200 * HOUR, timedelta(0)),
    ],
)
def test_the_ladder_gives_the_step(age, step):
    assert step_at(age, LADDER) == step


def test_a_day_whose_run_was_lost_is_noticed():
    now = MIDNIGHT + 12 * HOUR
    assert is_neglected(DAY, None, now, LADDER)
    assert not is_neglected(DAY, now - timedelta(minutes=59), now, LADDER)
    assert not is_neglected(DAY, now - 20 * HOUR, now, LADDER)
    assert is_neglected(DAY, now - 49 * HOUR, now, LADDER)


def test_a_message_that_only_lacks_its_price_is_looked_at_rarely():
    schedule = Settings().schedule
    assert schedule.price_ladder == [24 * HOUR, 48 * HOUR, 72 * HOUR, 96 * HOUR]
    assert schedule.slack_of(HOUR) == timedelta(minutes=15)
    assert schedule.closing_slack < HOUR
