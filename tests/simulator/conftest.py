"""Simulators spoken to within the process, whose clock stands until a test moves it; some behind a socket."""

from __future__ import annotations

import time

import pytest

from simulator.api import Api
from simulator.faulty import OverHttp
from simulator.receiver import STANDS, Receiver, World
from twilio_campaigns.simulator.faults import Faults


@pytest.fixture
def start_api():
    """Start simulators with settings of the test's own."""
    running = []

    def start(**changes):
        running.append(Api(**changes))
        return running[-1]

    yield start
    for api in running:
        api.close()


@pytest.fixture
def api(start_api):
    """A simulator on the usual settings."""
    return start_api()


@pytest.fixture(params=["socket", "process"])
def start(request, start_simulator, start_api):
    """Start simulators with these faults, behind a socket and within the process."""
    running = []

    def run(**faults):
        if request.param == "process":
            return start_api(faults=Faults(**faults))
        running.append(OverHttp(start_simulator(faults=Faults(**faults))))
        return running[-1]

    yield run
    for client in running:
        client.close()


@pytest.fixture
def receiver():
    """A server that gets webhooks."""
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def start_world(start_simulator, receiver):
    """Start simulators whose clock stands, and whose webhooks reach the receiver."""
    running = []

    def start(**changes):
        running.append(World(start_simulator(**{**STANDS, **changes}), receiver))
        return running[-1]

    yield start
    for world in running:
        world.http.close()


@pytest.fixture
def world(start_world):
    """One on the usual settings."""
    return start_world()


@pytest.fixture
def here_is(monkeypatch):
    """Put this machine into a time zone."""

    def move(zone):
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()
