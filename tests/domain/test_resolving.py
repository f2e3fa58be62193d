"""What became of lost answers: adopted where nothing else can be meant, absent only on evidence."""

import csv
import json
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import observation
from twilio_campaigns.domain.resolving import SKEW, Doubt, decide
from twilio_campaigns.domain.same_text import may_be_same_text

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LEASE, GAP, LAG = timedelta(minutes=10), timedelta(minutes=30), timedelta(hours=4)
SERVICE = "MG" + "0" * 32
SHARED = Path(__file__).parents[3] / "shared" / "twilio" / "smart_encoding_map.json"


def doubt(**changes):
    values = {
        "key": uuid4(),
        "body": "Hello",
        "messaging_service_sid": SERVICE,
        "from_number": None,
        "claimed_at": NOON,
        "resolve_after": NOON + LAG,
    }
    values |= changes
    return Doubt(**{"posted_by": values["claimed_at"], **values})


def seen(at=NOON, **changes):
    values = {"body": "Hello", "messaging_service_sid": SERVICE, "to_number": "+12025550100"}
    return observation(at=at, **{**values, **changes})


def verdict(doubts, candidates, *, now=NOON + LAG, absence_counts=True):
    return decide(doubts, candidates, seen_at=now, lease=LEASE, gap=GAP, absence_counts=absence_counts)


def test_the_only_message_that_fits_is_adopted():
    row, message = doubt(), seen()
    assert verdict([row], [message], now=NOON).adopted == {row.key: message}


@pytest.mark.parametrize(
    "other",
    [
        {"direction": "inbound"},
        {"messaging_service_sid": "MG" + "1" * 32},
        {"messaging_service_sid": None},
        {"at": NOON - SKEW - timedelta(seconds=1)},
        {"at": NOON + LEASE + SKEW + timedelta(seconds=1)},
    ],
)
def test_what_cannot_be_ours_is_no_trace(other):
    row = doubt()
    found = verdict([row], [seen(**other)])
    assert (found.adopted, found.undecided, found.absent) == ({}, [], [row.key])


@pytest.mark.parametrize("at", [NOON - SKEW, NOON + LEASE + SKEW])
def test_the_limits_of_a_claims_time_are_part_of_it(at):
    assert verdict([doubt()], [seen(at=at)]).adopted


def test_a_number_that_sends_is_told_by_its_number():
    row = doubt(messaging_service_sid=None, from_number="+12025550142")
    assert verdict([row], [seen(messaging_service_sid=None, from_number="+12025550142")]).adopted
    assert verdict([row], [seen(messaging_service_sid=None, from_number="+12025550143")]).absent == [row.key]


def test_another_text_of_our_sender_is_neither_ours_nor_proof():
    row = doubt()
    found = verdict([row], [seen(body="Good morning")])
    assert (found.adopted, found.absent, found.undecided) == ({}, [], [row.key])


def test_where_two_messages_fit_a_person_has_to_look():
    row = doubt()
    found = verdict([row], [seen(), seen()])
    assert (found.adopted, found.absent, found.undecided) == ({}, [], [row.key])


def test_two_campaigns_that_said_the_same_are_not_guessed_apart():
    rows = [doubt(), doubt()]
    found = verdict(rows, [seen()])
    assert (found.adopted, found.undecided) == ({}, [row.key for row in rows])


def test_different_texts_to_one_person_find_their_own():
    first, second = doubt(body="One"), doubt(body="Two")
    one, two = seen(body="One"), seen(body="Two")
    assert verdict([second, first], [one, two]).adopted == {first.key: one, second.key: two}


def test_absence_is_no_evidence_before_the_list_must_show_it():
    row = doubt()
    assert verdict([row], [], now=NOON + LAG - timedelta(seconds=1)).absent == []
    assert verdict([row], [], now=NOON + LAG).absent == [row.key]


def test_absence_is_no_evidence_when_lists_are_late():
    assert verdict([doubt()], [], absence_counts=False).absent == []


def test_two_look_ups_close_together_are_one():
    row = doubt(lookups=1, looked_up_at=NOON + LAG)
    assert verdict([row], [], now=NOON + LAG + GAP - timedelta(seconds=1)).absent == []
    assert verdict([row], [], now=NOON + LAG + GAP).absent == [row.key]


@given(
    bodies=st.lists(st.sampled_from(["One", "Two", None]), max_size=4),
    texts=st.lists(st.sampled_from(["One", "Two", "Three", ""]), max_size=4),
)
def test_nothing_is_adopted_twice_and_nothing_near_is_called_absent(bodies, texts):
    rows, candidates = [doubt(body=body) for body in bodies], [seen(body=text) for text in texts]
    found = verdict(rows, candidates)
    adopted = [message.sid for message in found.adopted.values()]
    assert len(set(adopted)) == len(adopted)
    assert not (candidates and found.absent)
    assert sorted([*found.adopted, *found.absent, *found.undecided]) == sorted(row.key for row in rows)
    for row in rows:
        if row.key in found.adopted:
            assert may_be_same_text(row.body, found.adopted[row.key].body)


@pytest.mark.parametrize(
    ("ours", "shown"),
    [
        ("Hello", "Hello"),
        ("Hello\n", "Hello"),
        ("Hello", ""),
        ("Hello", None),
        (None, "What the template says"),
        ("“Hi” \u2013 5 € … it\u2019s on", '"Hi" - 5 € ... it\'s on'),
        ("See https://shop.example/a?b=c now", "See https://twil.io/abc now"),
        ("https://a.example and http://b.example!", "https://t.co/1 and https://t.co/2"),
        ("a\u00a0b", "a  b"),
        ("50 % (only today) [x] {y}", "50 % (only today) [x] {y}"),
    ],
)
def test_the_same_text_is_known_however_twilio_writes_it(ours, shown):
    assert may_be_same_text(ours, shown)


@pytest.mark.parametrize(
    ("ours", "shown"),
    [
        ("Hello", "Hello!"),
        ("Hello", "hello"),
        ("See https://shop.example", "See"),
        ("See https://shop.example now", "See https://shop.example later"),
        ("a.c", "abc"),
    ],
)
def test_another_text_is_another_text(ours, shown):
    assert not may_be_same_text(ours, shown)


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip()))
def test_a_text_is_itself(text):
    assert may_be_same_text(text, text)


@pytest.mark.skipif(not SHARED.exists(), reason="Twilio's own table is not here")
def test_smart_encoding_is_twilios():
    ours = csv.DictReader(
        (files("twilio_campaigns.domain") / "data" / "smart_encoding.csv").read_text("utf-8").splitlines()
    )
    table = {f"U+{point}": row["replacement"] for row in ours for point in row["code_points"].split()}
    assert table == {point.upper(): text for point, text in json.loads(SHARED.read_text("utf-8")).items()}
