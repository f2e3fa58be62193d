"""Processes are started once, watched, and stopped by those who started them, and no other ones."""

import os
import signal
import subprocess
import sys
import time

import pytest

from include.local.processes import Processes, StackError, _stat, run

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


@pytest.fixture
def processes(tmp_path):
    made = Processes(tmp_path / "pids", tmp_path / "logs", dict(os.environ))
    yield made
    made.stop_all(patience=2)


def again(tmp_path):
    """What a later command sees of the same stack."""
    return Processes(tmp_path / "pids", tmp_path / "logs", dict(os.environ))


def wait_for(condition):
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_starting_twice_starts_once(processes, tmp_path):
    processes.start("one", SLEEP)
    first = processes.running("one")
    again(tmp_path).start("one", SLEEP)
    assert processes.running("one") == first


def test_a_later_command_stops_what_an_earlier_one_started(processes, tmp_path):
    processes.start("one", SLEEP)
    started = processes.running("one")
    again(tmp_path).stop_all()
    assert not started.is_alive
    assert processes.names() == []


def test_what_does_not_listen_to_sigterm_is_killed(processes):
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    processes.start("deaf", [sys.executable, "-c", deaf])
    wait_for(lambda: "up" in processes.tail("deaf"))
    process = processes.running("deaf")
    processes.stop_all(patience=0.3)
    wait_for(lambda: not process.is_alive)


def test_children_end_with_their_leader(processes, tmp_path):
    child = f"import subprocess, sys; p = subprocess.Popen({SLEEP!r}); print(p.pid, flush=True); p.wait()"
    processes.start("parent", [sys.executable, "-c", child])
    wait_for(lambda: "up" in processes.tail("parent"))
    pid = int(next(word for word in processes.tail("parent").split() if word.isdigit()))
    processes.stop_all(patience=2)
    wait_for(lambda: (_stat(pid) or ("Z",))[0] == "Z")


def test_what_left_the_group_ends_too(processes):
    """Airflow gives every task a process group of its own; one of them sleeps between two looks at a day."""
    child = (
        f"import subprocess, sys; p = subprocess.Popen({SLEEP!r}, process_group=0); print(p.pid, flush=True); p.wait()"
    )
    processes.start("scheduler", [sys.executable, "-c", child])
    wait_for(lambda: "up" in processes.tail("scheduler"))
    pid = int(next(word for word in processes.tail("scheduler").split() if word.isdigit()))
    processes.stop_all(patience=2)
    wait_for(lambda: (_stat(pid) or ("Z",))[0] == "Z")


def test_children_of_a_leader_that_died_end_too(processes):
    child = f"import subprocess, sys; p = subprocess.Popen({SLEEP!r}); print(p.pid, flush=True)"
    processes.start("dead", [sys.executable, "-c", child])
    wait_for(lambda: "up" in processes.tail("dead"))
    pid = int(next(word for word in processes.tail("dead").split() if word.isdigit()))
    wait_for(lambda: processes.running("dead") is None)
    assert (_stat(pid) or ("Z",))[0] != "Z"
    processes.stop_all(patience=2)
    wait_for(lambda: (_stat(pid) or ("Z",))[0] == "Z")


def test_a_process_id_that_somebody_else_has_now_is_left_alone(processes, tmp_path):
    other = subprocess.Popen(SLEEP, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        (tmp_path / "pids" / "old.json").write_text(f'{{"pid": {other.pid}, "began": "1"}}')
        assert processes.running("old") is None
        processes.stop_all()
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()


def test_an_end_that_nobody_wanted_is_told_with_the_log(processes):
    processes.start("short", [sys.executable, "-c", "print('no room left'); raise SystemExit(3)"])
    wait_for(lambda: processes.running("short") is None)
    with pytest.raises(StackError, match=r"(?s)short has ended.*no room left"):
        processes.check()


def test_a_failed_command_is_told_with_its_output():
    with pytest.raises(StackError, match=r"(?s)failed:.*no such table"):
        run([sys.executable, "-c", "raise SystemExit('no such table')"], dict(os.environ))
