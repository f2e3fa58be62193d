"""Lists: what a filter lets through, in which order, and pages that lose and repeat nothing."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.api import MESSAGES, NOON, OUR_NUMBER, PERSON, Api, moment, people, refusal
from twilio_campaigns.simulator.life import Life
from twilio_campaigns.simulator.store import Filter, Message, Store

DAY = 86400


def receive_every(api, seconds, count):
    """Let a person write at noon and then every so many seconds; these are sent at once and exactly then."""
    sids = []
    for _ in range(count):
        sids.append(api.receive()["sid"])
        api.advance(seconds)
    return sids


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"DateSent>": "2026-11-20T12:02:00Z"}, [2, 3, 4]),
        ({"DateSent>": "2026-11-20T12:02:01Z"}, [3, 4]),
        ({"DateSent<": "2026-11-20T12:02:00Z"}, [0, 1, 2]),
        ({"DateSent<": "2026-11-20T12:01:59Z"}, [0, 1]),
        ({"DateSent>": "2026-11-20T12:01:00Z", "DateSent<": "2026-11-20T12:03:00Z"}, [1, 2, 3]),
        ({"DateSent>": "2026-11-20T14:01:00+02:00", "DateSent<": "2026-11-20T07:03:00-05:00"}, [1, 2, 3]),
        ({"DateSent>": "2026-11-20T12:03:00", "DateSent<": "2026-11-20T12:01:00"}, []),
    ],
)
def test_the_limits_of_date_sent_belong_to_the_range(api, query, expected):
    sids = receive_every(api, 60, 5)
    assert api.sids(**query) == [sids[place] for place in reversed(expected)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"DateSent": "2026-11-21"}, [1, 2]),
        ({"DateSent": "2026-11-21T00:00:00Z"}, [1, 2]),
        ({"DateSent": "2026-11-21T23:30:00+02:00"}, [1, 2]),
        ({"DateSent>": "2026-11-21"}, [1, 2, 3]),
        ({"DateSent<": "2026-11-21"}, [0, 1, 2]),
        ({"DateSent<": "20261121"}, [0, 1, 2]),
        ({"DateSent>": "2026-11-21", "DateSent<": "2026-11-21"}, [1, 2]),
        ({"DateSent": "2026-11-19"}, []),
    ],
)
def test_a_day_is_a_whole_day_of_utc(api, query, expected):
    sids = []
    for wait in (DAY / 2 - 1, 1, DAY - 1, 1):
        api.advance(wait)
        sids.append(api.receive()["sid"])
    assert api.sids(**query) == [sids[place] for place in reversed(expected)]


def test_a_list_by_date_shows_all_of_its_last_second():
    store, last = Store(seed=1), 1_790_000_000.9999998
    life = Life(0, 0, 0, 0, "received", None, 0.0079, 60.0)
    store.add(Message("SM1", PERSON, OUR_NUMBER, None, "", (), 1, "inbound", last, last, life))
    assert store.page(Filter(as_of=last + 60, sent_before=int(last)), None, 10)[0]
    assert not store.page(Filter(as_of=last + 60, sent_after=int(last) + 1), None, 10)[0]


def test_the_newest_comes_first_and_what_has_not_left_before_all(api):
    for number in people(200):
        api.send(To=number)
    api.advance(1.2)
    listed = api.read(MESSAGES, PageSize="1000")["messages"]
    sent = [moment(message["date_sent"]) for message in listed]
    unsent = sent.count(None)
    assert 0 < unsent < 200
    assert sent[:unsent] == [None] * unsent
    assert sent[unsent:] == sorted(sent[unsent:], reverse=True)


def test_a_canceled_message_is_in_no_list_by_date(api):
    sids = [api.schedule(NOON + timedelta(hours=hours))["sid"] for hours in range(1, 6)]
    api.update(sids[2], Status="canceled")
    api.advance(DAY)
    left = [sids[4], sids[3], sids[1], sids[0]]
    assert api.sids(**{"DateSent>": "2026-11-20"}) == left
    assert api.sids() == [sids[2], *left]


def test_to_and_from_must_match_exactly(api):
    first = api.send(To=PERSON, From="+12025550101")["sid"]
    second = api.send(To=PERSON, From="+12025550102")["sid"]
    third = api.send(To="+12025550198", From="+12025550101")["sid"]
    assert api.sids(To=PERSON) == [second, first]
    assert api.sids(From="+12025550101") == [third, first]
    assert api.sids(To=PERSON, From="+12025550101") == [first]
    assert api.sids(To="+1202555019") == api.sids(From="+12025550103") == []


def test_to_and_from_narrow_a_range_of_dates(api):
    first, second = api.receive()["sid"], api.receive(From="+12025550198")["sid"]
    api.advance(60)
    api.receive()
    by_date = {"DateSent<": "2026-11-20T12:00:30Z"}
    assert sorted(api.sids(To=OUR_NUMBER, **by_date)) == sorted([first, second])
    assert api.sids(From=PERSON, **by_date) == [first]


@pytest.mark.parametrize("size", ["1", "999", "1000"])
def test_a_page_has_up_to_a_thousand_messages(api, size):
    assert api.read(MESSAGES, PageSize=size)["page_size"] == int(size)


def test_a_page_has_fifty_messages_unless_told_otherwise(api):
    for _ in range(51):
        api.receive()
    assert len(api.sids()) == 50


@pytest.mark.parametrize("size", ["0", "1001", "5000"])
def test_a_page_size_out_of_range_is_refused(api, size):
    assert refusal(api.call("GET", MESSAGES, params={"PageSize": size})) == (400, 20007)


@pytest.mark.parametrize("value", ["", "-1", "ten", "²", "1.5", "9" * 5000])
@pytest.mark.parametrize("name", ["PageSize", "Page"])
def test_what_counts_no_pages_is_refused(api, name, value):
    status, code = refusal(api.call("GET", MESSAGES, params={name: value}))
    assert (status, code) in {(400, 20001), (400, 20007)}


@pytest.mark.parametrize("name", ["DateSent", "DateSent<", "DateSent>"])
@pytest.mark.parametrize("value", ["yesterday", "2026-13-01", "0001-01-01T00:00:00+14:00", "20 Nov 2026"])
def test_what_is_no_date_is_refused(api, name, value):
    assert refusal(api.call("GET", MESSAGES, params={name: value})) == (400, 20001)


@pytest.mark.parametrize("token", ["PA", "PA1", "nonsense", "é", "PAWzFd", "PAW0luZmluaXR5LCBJbmZpbml0eSwgMSwgMV0"])
def test_a_page_token_that_twilio_never_gave_is_refused(api, token):
    assert refusal(api.call("GET", MESSAGES, params={"PageToken": token})) == (400, 21481)


def test_the_next_page_keeps_every_filter(api):
    receive_every(api, 60, 4)
    query = {"To": OUR_NUMBER, "From": PERSON, "DateSent>": "2026-11-20T12:01:00Z", "DateSent<": "2026-11-20"}
    page = api.read(MESSAGES, PageSize="2", **query)
    asked = parse_qs(urlsplit(page["next_page_uri"]).query)
    assert {name: values[0] for name, values in asked.items()}.items() >= {
        **query,
        "PageSize": "2",
        "Page": "1",
    }.items()
    second = api.read(page["next_page_uri"])
    assert len(second["messages"]) == 1
    for any_page in (page, second):
        assert api.read(any_page["first_page_uri"])["messages"] == page["messages"]


@pytest.mark.parametrize(("count", "pages"), [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_there_is_a_next_page_only_if_it_has_messages(api, count, pages):
    receive_every(api, 1, count)
    walked = list(walk(api, 4, {}))
    assert len(walked) == pages
    assert sum(len(page["messages"]) for page in walked) == count


@pytest.mark.parametrize("query", [{}, {"To": PERSON}])
def test_pages_tell_messages_of_one_moment_apart(api, query):
    sids = {api.send()["sid"] for _ in range(20)}
    walked = [message["sid"] for page in walk(api, 3, query) for message in page["messages"]]
    assert (len(walked), set(walked)) == (20, sids)


def test_lists_lag_behind_and_fetches_do_not(start_api):
    api = start_api(list_lag_seconds=600)
    sid = api.send()["sid"]
    by_date = {"DateSent": "2026-11-20"}
    api.advance(599)
    assert api.fetch(sid)["date_sent"] is not None
    assert api.sids() == api.sids(To=PERSON) == api.sids(**by_date) == []
    api.advance(1)
    assert api.sids() == api.sids(To=PERSON) == api.sids(**by_date) == [sid]


def walk(api, size, query):
    """Give every page of a list."""
    page = api.read(MESSAGES, PageSize=str(size), **query)
    yield page
    while page["next_page_uri"]:
        page = api.read(page["next_page_uri"])
        yield page


@pytest.fixture(scope="module")
def shared_api():
    api = Api()
    yield api
    api.close()


QUERIES = st.sampled_from(
    [
        {},
        {"To": PERSON},
        {"From": OUR_NUMBER},
        {"DateSent>": NOON.date().isoformat()},
        {"DateSent>": NOON.date().isoformat(), "To": PERSON},
        {"DateSent<": (NOON + timedelta(days=9000)).date().isoformat(), "From": OUR_NUMBER},
    ]
)
#: What happens at an account: messages out by either way, messages in, and time that passes.
EVENTS = st.one_of(
    st.sampled_from(["send", "send by service", "receive", "schedule"]),
    st.sampled_from([0.1, 0.7, 3.0, 600.0, 7200.0]),
)


def happen(api, events):
    for event in events:
        match event:
            case "send":
                api.send()
            case "send by service":
                api.send_by_service(To="+12025550198")
            case "receive":
                api.receive(Body="hello")  # whoever writes STOP is not texted again
            case "schedule":
                now = api.control("GET", "stats")["now"]
                api.schedule(type(NOON).fromisoformat(now) + timedelta(hours=1))
            case seconds:
                api.advance(seconds)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    before=st.lists(EVENTS, min_size=1, max_size=14),
    between=st.lists(st.lists(EVENTS, max_size=4), max_size=6),
    size=st.integers(1, 4),
    query=QUERIES,
)
def test_pages_neither_skip_nor_repeat_what_was_there_at_the_first(shared_api, before, between, size, query):
    shared_api.control("POST", "reset")
    happen(shared_api, before)
    there = shared_api.sids(PageSize="1000", **query)
    meanwhile, seen = iter(between), []
    for page in walk(shared_api, size, query):
        assert len(page["messages"]) <= size
        seen += [message["sid"] for message in page["messages"]]
        happen(shared_api, next(meanwhile, []))
    assert len(seen) == len(set(seen))
    assert [sid for sid in seen if sid in there] == there
