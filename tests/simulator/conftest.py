"""Simulators spoken to without a socket, whose clock stands until a test moves it."""

from __future__ import annotations

import time

import pytest

from simulator.api import Api


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


@pytest.fixture
def here_is(monkeypatch):
    """Put this machine into a time zone."""

    def move(zone):
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield move
    monkeypatch.undo()
    time.tzset()
