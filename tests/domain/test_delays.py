"""Percentiles from buckets that grow by a tenth."""

import math
from bisect import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_campaigns.domain.delays import bounds, percentile

ENDS = [bounds(bucket)[1] for bucket in range(150)]


def bucket_of(seconds):
    return bisect(ENDS, seconds)


def test_a_bucket_begins_where_the_last_one_ends():
    assert [bounds(bucket)[0] for bucket in range(1, 150)] == ENDS[:-1]
    assert bounds(0) == (0, 1)


@given(st.lists(st.floats(0, 400_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_within_a_twentieth_or_half_a_second(times, share):
    buckets = {}
    for time in times:
        buckets[bucket_of(time)] = buckets.get(bucket_of(time), 0) + 1
    truth = sorted(times)[max(1, math.ceil(share * len(times))) - 1]
    found = percentile(buckets, share)
    assert abs(found - truth) <= max(0.5, 0.05 * truth) * 1.000001


def test_of_nothing_there_is_no_percentile():
    assert percentile({}, 0.5) is None


@pytest.mark.parametrize(("seconds", "bucket"), [(0, 0), (0.99, 0), (1, 1), (1.2, 2), (9, 24)])
def test_buckets_by_hand(seconds, bucket):
    assert bucket_of(seconds) == bucket
