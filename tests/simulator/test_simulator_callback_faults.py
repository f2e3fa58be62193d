"""Status callbacks that fail, are tried again, get lost, come late, more than once, in disorder, or from a stranger."""

from __future__ import annotations

import socket
import time
from collections import Counter
from datetime import datetime

import pytest

from simulator.api import people
from twilio_campaigns.simulator.faults import CallbackFault, FaultDealer, Faults
from twilio_campaigns.simulator.overrides import ALL, Overrides, read_overrides


@pytest.mark.parametrize(
    ("fragment", "answers", "tries", "counted"),
    [
        ("", [204], 1, {"2xx": 1}),
        ("", [500], 1, {"5xx": 1}),
        ("", [404], 1, {"4xx": 1}),
        ("", ["close", 204], 2, {"ct": 1, "2xx": 1}),
        ("", ["close", "close", 204], 2, {"ct": 2}),
        ("#rc=0", ["close", 204], 1, {"ct": 1}),
        ("#rc=2&rp=5xx", [500, 503, 200], 3, {"5xx": 2, "2xx": 1}),
        ("#rc=2&rp=5xx", [500, 500, 500, 204], 3, {"5xx": 3}),
        ("#rc=2&rp=5xx", [404, 204], 1, {"4xx": 1}),
        ("#rc=2&rp=5xx", ["close", 204], 1, {"ct": 1}),
        ("#rp=4xx,5xx", [429, 204], 2, {"4xx": 1, "2xx": 1}),
        ("#rc=5&rp=all", [404, 500, "close", 302], 4, {"4xx": 1, "5xx": 1, "ct": 1, "3xx": 1}),
        ("#rc=1&rp=rt&rt=200", [0.6, 204], 2, {"rt": 1, "2xx": 1}),
        ("#rc=1&rt=200", [0.6, 204], 1, {"rt": 1}),
        ("#rc=5&rp=rt&rt=300&tt=500", [0.9, 0.9, 204], 2, {"rt": 1, "tt": 1}),
        ("#rc=9&rp=sometimes", ["close", 204], 2, {"ct": 1, "2xx": 1}),
    ],
)
def test_a_callback_is_tried_again_as_its_url_asks(world, fragment, answers, tries, counted):
    world.receiver.answers = list(answers)
    sid = world.send(f"/status?key=1{fragment}")["sid"]
    (message,) = world.truth()
    assert message["sent_at"]
    world.control("POST", "clock", advance_seconds=_until(world))
    status = world.settle()
    told = world.receiver.requests
    assert [request.told for request in told] == [(sid, "sent")] * tries
    assert len({(request.token, request.body, request.url) for request in told}) == 1
    assert all(request.is_signed() for request in told)
    assert (status["due"], status["sent"], status["retried"], status["answered"]) == (1, 1, tries - 1, counted)
    assert status["failed"] == (0 if counted.get("2xx") else 1)


def _until(world):
    """Give the seconds to the next change, and a little more."""
    now = datetime.fromisoformat(world.http.get("/_simulator/stats").json()["now"])
    return (datetime.fromisoformat(world.callbacks()["next_due"]) - now).total_seconds() + 0.001


def test_nobody_listening_is_no_connection(world):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/status"
    world.send(StatusCallback=f"{url}#rc=3&rp=ct")
    status = world.live()
    assert status["answered"] == {"ct": 4 * status["due"]}
    assert (status["sent"], status["retried"]) == (status["due"], 3 * status["due"])
    assert status["failed"] == status["due"] == 2


def test_a_failed_callback_does_not_hide_the_next_one(world):
    world.receiver.answers = [500]
    sid = world.send()["sid"]
    status = world.live()
    assert world.receiver.told == [(sid, "sent"), (sid, "delivered")]
    assert (status["answered"], status["failed"]) == ({"5xx": 1, "2xx": 1}, 1)


@pytest.mark.parametrize(
    ("fragment", "read"),
    [
        ("", Overrides(5, 15, 15, 1, frozenset({"ct"}))),
        ("ct=100&rt=250&tt=9000&rc=5&rp=all", Overrides(0.1, 0.25, 9, 5, ALL)),
        ("rp=4xx,RT", Overrides(policy=frozenset({"4xx", "rt"}))),
        ("ct=99&rt=15001&tt=-1&rc=6&rp=never", Overrides()),
        ("ct=a&rc=&sni=y&e=ashburn", Overrides()),
        ("rc=0&&=", Overrides(retries=0)),
    ],
)
def test_overrides_are_read_as_documented(fragment, read):
    assert read_overrides(fragment) == read


def all_told(world):
    """Give everything that is to be told of the messages, and how often it was."""
    due = set()
    for message in world.truth():
        statuses = [message["final_status"]] if message["final_at"] else []
        due |= {(message["sid"], status) for status in (["sent"] if message["sent_at"] else []) + statuses}
    return due, Counter(world.receiver.told)


def test_all_can_be_lost(start_world):
    world = start_world(faults=Faults(callback_lost_share=1))
    world.send()
    status = world.live()
    assert (status["due"], status["lost"], status["sent"], world.receiver.requests) == (2, 2, 0, [])
    world.control("POST", "faults", callback_lost_share=0)
    world.control("POST", "reset")
    world.send()
    assert world.live()["lost"] == 0
    assert len(world.receiver.requests) == 2


def test_each_can_be_sent_several_times(start_world):
    world = start_world(faults=Faults(callback_copies=3))
    for number in people(20):
        world.send(To=number)
    status = world.live()
    due, told = all_told(world)
    assert told == dict.fromkeys(due, 3)
    assert (status["due"], status["sent"]) == (len(due), 3 * len(due))
    assert len({request.token for request in world.receiver.requests}) == 3 * len(due)
    assert all(request.is_signed() for request in world.receiver.requests)


def test_some_are_signed_by_a_stranger(start_world):
    world = start_world(faults=Faults(callback_forged_share=0.4))
    for number in people(60):
        world.send(To=number)
    status = world.live()
    due, told = all_told(world)
    assert told == dict.fromkeys(due, 1)
    forged = [request for request in world.receiver.requests if not request.is_signed()]
    assert len(forged) == status["forged"]
    assert 0.2 < len(forged) / len(due) < 0.6


def test_some_come_late_and_let_others_pass(start_world):
    world = start_world(faults=Faults(callback_delayed_share=0.5, callback_delay_seconds=1))
    for number in people(30):
        world.send(To=number)
    began = time.monotonic()
    world.advance(10**6)
    while len(world.receiver.requests) + (late := world.callbacks()["delayed"]) < world.callbacks()["due"] or not late:
        assert time.monotonic() - began < 0.9, world.callbacks()
    early = list(world.receiver.told)
    status = world.settle()
    assert time.monotonic() - began >= 1
    due, told = all_told(world)
    assert told == dict.fromkeys(due, 1)
    assert len(early) == status["due"] - status["delayed"]
    # Some message's end was known before it had been told that it left.
    assert [sid for sid, status in early if status == "delivered" and (sid, "sent") not in early]


def test_order_can_be_lost_without_losing_anything(start_world):
    world = start_world(faults=Faults(callback_shuffle_seconds=0.5))
    for number in people(60):
        world.send(To=number)
    world.live()
    due, told = all_told(world)
    assert told == dict.fromkeys(due, 1)
    arrived = [(sid, status) for sid, status in world.receiver.told if (sid, "sent") in due]
    reversed_ = [
        sid
        for sid, status in arrived
        if status != "sent" and arrived.index((sid, "sent")) > arrived.index((sid, status))
    ]
    assert 0.2 < len(reversed_) / sum(status != "sent" for _, status in arrived) < 0.8


def test_the_same_seed_harms_the_same_callbacks_whenever_they_come(start_world):
    def told(jumps):
        world = start_world(faults=Faults(callback_lost_share=0.5))
        world.receiver.requests.clear()
        for number in people(40):
            world.send(To=number)
        for seconds in jumps:
            world.live(seconds)
        return set(world.receiver.told)

    at_once, in_steps = told([10**6]), told([2, 1, 3, 60, 10**6])
    assert at_once == in_steps
    assert at_once


@pytest.mark.parametrize("fault", CallbackFault)
def test_each_share_converges(fault):
    dealer = FaultDealer(Faults(**{f"{fault}_share": 0.1}), 7)
    drawn = Counter(dealer.for_callback(f"SM{number}|sent").fault for number in range(10_000))
    assert set(drawn) == {fault, None}
    assert 0.09 < drawn[fault] / 10_000 < 0.11
    assert dealer.dealt == {fault: drawn[fault]}
    other = FaultDealer(Faults(**{f"{fault}_share": 0.1}), 8)
    assert [dealer.for_callback(f"SM{n}|sent") for n in range(50)] != [
        other.for_callback(f"SM{n}|sent") for n in range(50)
    ]
