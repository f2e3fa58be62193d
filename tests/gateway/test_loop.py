"""The loop in which Twilio is spoken to: a faster one, in which everything that Airflow relies on still works."""

import asyncio
import gc
import signal
import subprocess
import sys

import pytest

from twilio_campaigns.gateway.loop import RARELY, REQUESTS_INTERVAL, ROWS_INTERVAL, run


async def answer():
    await asyncio.sleep(0)
    return asyncio.get_running_loop().__class__.__module__


def test_it_gives_what_the_work_gives():
    assert run(answer()) == "uvloop"


def test_without_uvloop_it_is_pythons_own(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run(answer()).startswith("asyncio")


def test_collections_are_rare_only_while_it_runs():
    async def thresholds():
        return gc.get_threshold()

    before = gc.get_threshold()
    assert run(thresholds()) == RARELY
    assert (gc.get_threshold(), gc.get_freeze_count()) == (before, 0)


def test_other_threads_give_way_soon_only_while_it_runs():
    async def interval():
        return sys.getswitchinterval()

    before = sys.getswitchinterval()
    assert run(interval()) == pytest.approx(REQUESTS_INTERVAL)
    assert run(interval(), switch_interval=ROWS_INTERVAL) == pytest.approx(ROWS_INTERVAL)
    assert sys.getswitchinterval() == before


def test_it_does_not_run_within_another_one():
    async def nested():
        work = answer()
        try:
            run(work)
        finally:
            work.close()

    with pytest.raises(RuntimeError, match="running"):
        asyncio.run(nested())


def test_a_signal_reaches_its_handler_while_the_loop_waits():
    """Airflow ends a task by SIGTERM and calls `on_kill` from the handler, which tells the loop to stop."""
    script = """
import asyncio, signal
from twilio_campaigns.gateway.loop import run

async def work():
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    signal.signal(signal.SIGTERM, lambda *_: loop.call_soon_threadsafe(told.set))
    print("ready", flush=True)
    await asyncio.wait_for(told.wait(), 20)
    print("told", flush=True)

run(work())
"""
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGTERM)
    said, _ = child.communicate(timeout=30)
    assert (said, child.returncode) == ("told\n", 0)
