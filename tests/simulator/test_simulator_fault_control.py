"""Faults as one sets them: shares and their draws, what the next creates meet, connections refused for a while."""

from __future__ import annotations

import socket
import time
from collections import Counter

import httpx
import pytest
from pydantic import ValidationError

from simulator.api import MESSAGES, people
from simulator.faulty import HELLO, PROCESSED, SEEN, OverHttp, met, outcomes, sight
from twilio_campaigns.simulator.faults import CallbackFault, CreateFault, FaultDealer, Faults, ReadFault


def test_the_next_creates_meet_exactly_what_is_prescribed(start):
    client = start(unavailable_share=1, delay_seconds=0.05)
    order = [fault.value for fault in CreateFault]
    client.control("POST", "faults/next", faults=["lost"])
    assert client.control("POST", "faults/next", faults=order) == {"faults": order}
    numbers = people(len(order) + 1)
    seen = outcomes(client, numbers)
    assert seen == [SEEN.get(fault, (201, None)) for fault in order] + [SEEN["unavailable"]]
    truth = {message["to"]: message["fault"] for message in client.truth()}
    prescribed = dict(zip(numbers, order, strict=False))
    made = {number: fault for number, fault in prescribed.items() if fault in PROCESSED}
    assert truth == {numbers[order.index("none")]: None, **made}
    assert client.control("GET", "stats")["faults"] == {**dict.fromkeys(SEEN, 1), "unavailable": 2}


@pytest.mark.parametrize("body", [{"faults": ["lost", "late"]}, {"faults": "lost"}, {}, {"faults": [], "then": 1}])
def test_what_cannot_be_prescribed_changes_nothing(api, body):
    api.control("POST", "faults/next", faults=["lost"])
    assert api.call("POST", "/_simulator/faults/next", json=body).status_code == 422
    assert sight(lambda: api.post(**HELLO)) is None


def test_faults_change_while_it_runs(start):
    client = start(lost_share=0.25)
    assert client.control("GET", "faults") == Faults(lost_share=0.25).model_dump()
    changed = client.control("POST", "faults", error_share=0.5, revoked=True)
    assert changed == Faults(lost_share=0.25, error_share=0.5, revoked=True).model_dump()
    assert client.control("GET", "faults") == changed


@pytest.mark.parametrize(
    "changes",
    [
        {"lost": 0.1},
        {"lost_share": 1.1},
        {"lost_share": -0.1},
        {"lost_share": "often"},
        {"lost_share": 0.6, "reset_share": 0.6},
        {"throttled_share": 0.6},
        {"read_reset_share": 0.6, "read_throttled_share": 0.6},
        {"callback_lost_share": 0.6, "callback_forged_share": 0.6},
        {"callback_copies": 0},
        {"callback_shuffle_seconds": -1},
        {"delay_seconds": -1},
        {"retry_after_seconds": 0.5},
        ["lost_share"],
    ],
)
def test_changes_that_make_no_sense_are_refused_as_a_whole(start_api, changes):
    api = start_api(faults=Faults(error_share=0.5))
    if isinstance(changes, dict):
        changes = {"revoked": True, **changes}
    assert api.call("POST", "/_simulator/faults", json=changes).status_code == 422
    assert api.control("GET", "faults") == Faults(error_share=0.5).model_dump()


def test_shares_may_add_up_to_one_and_no_further():
    tenths = [f"{fault}_share" for fault in CreateFault if fault != CreateFault.NONE][:9]
    assert Faults(**{**dict.fromkeys(tenths, 0.1), "lost_share": 0.2})
    with pytest.raises(ValidationError, match=r"the shares of creates add up to 1\.1"):
        Faults(**{**dict.fromkeys(tenths, 0.1), "lost_share": 0.3})
    with pytest.raises(ValidationError, match="finite"):
        Faults(delay_seconds=float("inf"))


def test_every_share_has_its_fault_and_every_fault_its_share():
    shares = {name.removesuffix("_share") for name in Faults.model_fields if name.endswith("_share")}
    assert shares == {*CreateFault, *ReadFault, *CallbackFault} - {CreateFault.NONE}


def test_shares_converge_over_the_wire(start_api):
    api = start_api(faults=Faults(lost_share=0.1, unavailable_after_share=0.1, throttled_share=0.1))
    seen = Counter(outcomes(api, people(2000)))
    dealt = api.control("GET", "stats")["faults"]
    assert seen == {
        None: dealt["lost"],
        SEEN["unavailable_after"]: dealt["unavailable_after"],
        SEEN["throttled"]: dealt["throttled"],
        (201, None): 2000 - sum(dealt.values()),
    }
    assert all(150 < dealt[fault] < 250 for fault in ("lost", "unavailable_after", "throttled"))
    made = Counter(met(api))
    assert made == {
        None: seen[201, None],
        "lost": dealt["lost"],
        "unavailable_after": dealt["unavailable_after"],
    }


@pytest.mark.parametrize("fault", [fault for fault in CreateFault if fault != CreateFault.NONE])
def test_each_share_converges(fault):
    dealer = FaultDealer(Faults(**{f"{fault}_share": 0.1}), 7)
    drawn = Counter(dealer.for_create() for _ in range(20_000))
    assert set(drawn) == {fault, None}
    assert 0.09 < drawn[fault] / 20_000 < 0.11


def test_seeds_replay_and_differ():
    faults = Faults(lost_share=0.3, error_share=0.3, read_reset_share=0.5)

    def deal(seed, reads=0):
        dealer = FaultDealer(faults, seed)
        return [(dealer.for_create(), *(dealer.for_read() for _ in range(reads))) for _ in range(200)]

    assert deal(7) == deal(7) == [(create,) for create, _ in deal(7, reads=1)]
    assert deal(7, reads=1) == deal(7, reads=1)
    assert deal(7) != deal(8)


def test_a_reset_draws_from_the_beginning_and_keeps_the_shares(start_api):
    api = start_api(faults=Faults(lost_share=0.5))
    first = outcomes(api, people(50))
    api.control("POST", "faults/next", faults=["throttled"])
    assert api.control("POST", "reset")["faults"] == {}
    assert outcomes(api, people(50)) == first
    assert {None, (201, None)} == set(first)


def refused(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_connections_are_refused_for_a_while(start_simulator):
    server = start_simulator()
    client, old = OverHttp(server), OverHttp(server)
    assert sight(lambda: old.call("GET", MESSAGES)) == (200, None)
    for _ in range(2):
        began = time.monotonic()
        assert client.control("POST", "refuse", seconds=0.5) == {"seconds": 0.5}
        assert refused(server)
        with pytest.raises((httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError)):
            old.post(**HELLO)
        with pytest.raises(httpx.ConnectError):
            old.post(**HELLO)
        while refused(server):
            assert time.monotonic() - began < 5
            time.sleep(0.02)
        assert time.monotonic() - began >= 0.5
        assert sight(lambda: old.post(**HELLO)) == (201, None)
    assert len(client.truth()) == 2
    client.close()
    old.close()


def test_a_server_that_refuses_can_be_stopped(start_simulator):
    server = start_simulator()
    server.control("POST", "refuse", seconds=600)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 5
    assert not server._thread.is_alive()
    assert refused(server)


def test_within_the_process_nothing_can_be_refused(api):
    answer = api.call("POST", "/_simulator/refuse", json={"seconds": 1})
    assert answer.status_code == 409
    assert "without a socket" in answer.json()["detail"]


@pytest.mark.parametrize("body", [{}, {"seconds": -1}, {"seconds": "long"}, {"seconds": 1, "then": 2}])
def test_refusing_wants_its_seconds(start_simulator, body):
    server = start_simulator()
    assert httpx.post(f"{server.url}/_simulator/refuse", json=body).status_code == 422
    assert not refused(server)
