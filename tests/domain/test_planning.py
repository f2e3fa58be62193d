"""Lists or single messages: the plan with the fewest calls, found again by trying every other one."""

from datetime import UTC, datetime, timedelta
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from twilio_campaigns.domain.planning import (
    BUCKET,
    LEAVES_WITHIN,
    PAGE_ROWS,
    SKEW,
    Listed,
    Period,
    Volumes,
    calls_of_list,
    due_ages,
    later,
    pages_left,
    plan,
    split,
)

NOON = int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp())
TOMORROW = NOON + 86_400


class TestPlan:
    def test_many_messages_at_once_are_listed(self):
        (period,) = plan({NOON + n: 20 for n in range(100)}, Volumes(), TOMORROW)
        assert period.due == 2000
        assert period.after <= NOON
        assert period.before >= NOON + 100

    def test_a_single_message_is_asked_for(self):
        assert plan({NOON: 1}, Volumes(), TOMORROW) == []

    def test_nothing_due_is_nothing_to_read(self):
        assert plan({}, Volumes(), TOMORROW) == []

    def test_a_few_among_other_peoples_many_are_asked_for(self):
        volumes = Volumes({NOON + n * BUCKET: 80_000 for n in range(12)})
        assert plan({NOON + n * 7: 1 for n in range(500)}, volumes, TOMORROW) == []

    def test_many_among_still_more_are_listed(self):
        volumes = Volumes({NOON: 40_000})
        (period,) = plan({NOON + n: 10 for n in range(200)}, volumes, TOMORROW)
        assert period.due == 2000

    def test_what_is_usual_stands_in_for_what_nobody_has_read(self):
        yesterday = {NOON - 86_400 + n * BUCKET: 40_000 for n in range(288)}
        due = {NOON + second: 1 for second in range(0, BUCKET, 15)}
        assert plan(due, Volumes(yesterday), TOMORROW) == []
        (period,) = plan(due, Volumes(dict.fromkeys(yesterday, 100)), TOMORROW)
        assert period.due == 20

    def test_neighbours_share_a_list_while_that_saves_calls(self):
        due = {NOON: 30, NOON + 4 * BUCKET: 30}
        assert len(plan(due, Volumes(), TOMORROW)) == 1
        busy_between = Volumes({NOON + 2 * BUCKET: 90_000, NOON: 30, NOON + 4 * BUCKET: 30})
        first, second = plan(due, busy_between, TOMORROW)
        assert first.before < second.after

    def test_no_list_reaches_into_the_future(self):
        (period,) = plan({NOON: 50}, Volumes(), NOON + 2)
        assert period.before <= NOON + 2 + SKEW

    def test_a_list_goes_on_for_as_long_as_messages_may_take_to_leave(self):
        (period,) = plan({NOON: 50}, Volumes(), TOMORROW)
        assert period.before >= NOON + LEAVES_WITHIN

    @given(
        st.dictionaries(st.integers(0, 7), st.integers(1, 30), min_size=1, max_size=6),
        st.dictionaries(st.integers(0, 7), st.integers(0, 9000), max_size=8),
    )
    def test_no_other_plan_takes_fewer_calls(self, rows, traffic):
        due = {NOON + bucket * BUCKET: count for bucket, count in rows.items()}
        volumes = Volumes({NOON + bucket * BUCKET: count for bucket, count in traffic.items()})
        best = _fewest_calls(sorted(due.items()), volumes)
        planned = plan(due, volumes, TOMORROW)
        listed = sum(p.due for p in planned)
        lists = sum(_calls_of_plan(p, due, volumes) for p in planned)
        assert lists + sum(due.values()) - listed == best

    @given(st.dictionaries(st.integers(0, 50_000), st.integers(1, 40), min_size=1, max_size=60))
    def test_periods_do_not_overlap_and_count_every_message_once(self, rows):
        due = {NOON + second: count for second, count in rows.items()}
        periods = plan(due, Volumes(), TOMORROW)
        assert all(earlier.before < later.after for earlier, later in pairwise(periods))
        for period in periods:
            inside = sum(count for second, count in due.items() if period.after <= second <= period.before)
            assert inside >= period.due > 0


def _calls_of_plan(period, due, volumes):
    """Count the calls of a period without what it has beyond the buckets of its own messages."""
    left, inside = period.due, []
    for second in sorted(second for second in due if second >= period.after):
        if left > 0:
            inside.append(second)
            left -= due[second]
    return calls_of_list(min(inside), max(inside), period.due, volumes)


def _fewest_calls(buckets, volumes):
    """Try every way to cut the buckets into runs, each run listed or asked for."""
    best = None
    for cuts in range(len(buckets)):
        for edges in combinations(range(1, len(buckets)), cuts):
            bounds = [0, *edges, len(buckets)]
            total = 0
            for begin, end in pairwise(bounds):
                rows = sum(count for _, count in buckets[begin:end])
                total += min(rows, calls_of_list(buckets[begin][0], buckets[end - 1][0], rows, volumes))
            best = total if best is None else min(best, total)
    return best


class TestLater:
    """Messages that waited in Twilio's queue leave hours after their acceptance."""

    COVERED = (Period(NOON - SKEW, NOON + 99, 0), Period(NOON + 500, NOON + 599, 0))

    def test_the_time_that_was_not_listed_is(self):
        periods = later({NOON: 400, NOON + 520: 10}, self.COVERED, Volumes(), NOON + 2000)
        assert [(p.after - NOON, p.before - NOON) for p in periods] == [(100, 499), (600, 2000 + SKEW)]

    def test_unless_asking_for_each_takes_fewer_calls(self):
        busy = Volumes({NOON + n * BUCKET - NOON % BUCKET: 90_000 for n in range(10)})
        assert later({NOON: 400}, self.COVERED, busy, NOON + 2000) == []
        assert later({NOON: 2}, self.COVERED, Volumes(), NOON + 2000) == []

    def test_nothing_missing_is_nothing_to_read(self):
        assert later({}, self.COVERED, Volumes(), NOON + 2000) == []


class TestSplit:
    def test_lists_that_are_read_at_once_fill_a_page_each_but_for_what_leaves_later(self):
        due = {NOON + n: 100 for n in range(100)}
        parts = split(Period(NOON - SKEW, NOON + 400, 10_000), due, 10_000, 40)
        assert len(parts) == 11
        assert all(900 <= part.due <= 1000 for part in parts[:-1])
        assert parts[-1].due < 900

    def test_they_are_of_more_pages_where_there_would_be_too_many(self):
        due = {NOON + n: 100 for n in range(1000)}
        parts = split(Period(NOON - SKEW, NOON + 1400, 100_000), due, 100_000, 10)
        assert 15 <= len(parts) <= 20
        calls = sum(calls_of_list(part.after, part.before, part.due, Volumes()) for part in parts)
        assert calls <= 1.1 * calls_of_list(NOON, NOON + 1400, 100_000, Volumes())

    def test_among_other_peoples_messages_they_are_of_several_pages(self):
        due = {NOON + n: 50 for n in range(100)}
        assert len(split(Period(NOON - SKEW, NOON + 400, 5000), due, 30_000, 40)) == 11

    def test_a_short_list_is_read_by_one(self):
        due = {NOON + n: 30 for n in range(100)}
        assert len(split(Period(NOON, NOON + 99, 3000), due, 3000, 20)) == 1

    def test_one_second_cannot_be_split(self):
        assert len(split(Period(NOON, NOON + 99, 90_000), {NOON: 90_000}, 90_000, 20)) == 1

    @given(
        st.dictionaries(st.integers(0, 300), st.integers(1, 500), min_size=1, max_size=50),
        st.integers(1, 90_000),
        st.integers(1, 20),
    )
    def test_the_parts_are_the_whole(self, rows, messages, at_once):
        due = {NOON + second: count for second, count in rows.items()}
        period = Period(NOON - SKEW, NOON + 600, sum(due.values()))
        parts = split(period, due, messages, at_once)
        assert (parts[0].after, parts[-1].before) == (period.after, period.before)
        assert all(later.after == earlier.before + 1 for earlier, later in pairwise(parts))
        assert sum(part.due for part in parts) == period.due
        assert len(parts) <= 2 * at_once


class TestVolumes:
    def test_what_was_read_in_part_is_extrapolated(self):
        listed = Listed()
        listed.add(NOON + 290, NOON + BUCKET - 1, [NOON + 295] * 100, is_sample=True)
        listed.add(NOON + BUCKET, NOON + 2 * BUCKET - 1, [NOON + BUCKET] * 7)
        assert listed.volumes() == {NOON: 3000, NOON + BUCKET: 7}

    def test_a_bucket_that_is_not_over_holds_what_was_seen(self):
        listed = Listed()
        listed.add(NOON, NOON + 100, [NOON] * 50)
        assert listed.volumes() == {NOON: 50}

    def test_the_edge_of_a_period_says_nothing_of_its_bucket(self):
        listed = Listed()
        listed.add(NOON - SKEW, NOON + BUCKET - 1, [NOON] * 50)
        assert listed.volumes() == {NOON: 50}

    def test_an_empty_period_is_known_to_be_empty(self):
        listed = Listed()
        listed.add(NOON, NOON + BUCKET - 1, [])
        volumes = Volumes(listed.volumes())
        assert volumes.expected(NOON, NOON + BUCKET - 1) == 0

    @given(st.integers(0, 10_000), st.integers(0, 10_000))
    def test_a_period_costs_what_its_parts_cost(self, begin, length):
        volumes = Volumes({NOON: 3000, NOON + BUCKET: 900})
        after, before = NOON + begin, NOON + begin + length
        middle = (after + before) // 2
        whole = volumes.expected(after, before)
        assert abs(whole - volumes.expected(after, middle) - volumes.expected(middle + 1, before)) < 1e-6

    def test_an_account_is_as_busy_as_it_was_a_moment_ago(self):
        volumes = Volumes({NOON - 7200: 90_000, NOON - BUCKET: 30})
        assert volumes.lately(NOON - 900, NOON) == 90
        assert volumes.lately(NOON + 7200, NOON + 8100) == 0, "not known any more"

    def test_a_full_page_has_a_successor(self):
        assert calls_of_list(NOON, NOON + 9, PAGE_ROWS - 1, Volumes()) == 1
        assert calls_of_list(NOON, NOON + 9, PAGE_ROWS, Volumes()) == 2


class TestPagesLeft:
    def test_the_first_page_tells_how_long_a_list_is(self):
        period = Period(NOON, NOON + 9999, 500)
        first_page = [NOON + 9000 + n // 100 for n in range(1000)]
        assert pages_left(period, first_page, Volumes()) == 900
        assert pages_left(period, [NOON], Volumes()) == 0

    def test_a_burst_at_the_end_of_quiet_hours_says_nothing_of_these(self):
        period = Period(NOON, NOON + 9999, 500)
        quiet = Volumes(dict.fromkeys(range(NOON - NOON % BUCKET, NOON + 9999, BUCKET), 10))
        assert pages_left(period, [NOON + 9990] * 1000, quiet) < 1

    def test_a_list_without_dates_tells_nothing(self):
        assert pages_left(Period(NOON, NOON + 999, 500), [], Volumes()) == 0


class TestDueAges:
    LADDER = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 60))
    NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

    def test_before_the_first_look_everything_is_due(self):
        assert due_ages(self.LADDER, None, self.NOW) == [(None, self.NOW)]

    @given(st.integers(1, 9000), st.integers(0, 9000))
    def test_due_is_who_came_to_a_point_since_the_last_look(self, since, age):
        last, accepted = self.NOW - timedelta(seconds=since), self.NOW - timedelta(seconds=age)
        ranges = due_ages(self.LADDER, last, self.NOW)
        is_due = sum(after < accepted <= before for after, before in ranges)
        assert is_due == any(last < accepted + point <= self.NOW for point in self.LADDER)
        assert all(later[0] > earlier[1] or later[0] >= earlier[1] for later, earlier in pairwise(ranges))
