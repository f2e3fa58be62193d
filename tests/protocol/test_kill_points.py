"""Every step of the protocol, and a process that SIGKILL ends there: it must cost nothing and repeat nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from protocol import dying
from twilio_campaigns.domain.steps import Step

TESTS = Path(__file__).parent.parent
#: Six per batch. Of the second batch two answers get lost, and two requests on their way.
FAULTS = ["none"] * 6 + ["none", "lost", "reset", "lost", "reset", "none"]
#: Where a process dies: the first time, and where a step is taken often, in the midst of things as well.
OCCURRENCES = {
    Step.STAGED: (1, 3),
    Step.FREEZING: (1,),
    Step.FROZEN: (1,),
    Step.CLAIMED: (1, 4),
    Step.RESERVED: (1, 2),
    Step.POSTING: (1, 10),
    Step.ANSWERED: (1, 10),
    Step.RECORDING: (1, 2),
    Step.RECORDED: (1, 2),
    Step.AGED: (1,),
    Step.LOOKED_UP: (1, 6),
    Step.RESOLVING: (1, 6),
    Step.RESOLVED: (1, 6),
    Step.FREED: (1,),
}
#: Claims grow old only where somebody has died before: at these steps a process takes over from one that did.
TAKES_OVER = {Step.AGED}


@pytest.fixture
def simulator(start_simulator):
    """A simulator that shows at once what it has, and loses some of it."""
    simulator = start_simulator()
    simulator.control("POST", "faults/next", faults=FAULTS)
    return simulator


def die(database_url, simulator, step, occurrence):
    """Let a process do the whole work and die at a step; make sure that it did."""
    told = subprocess.run(
        [sys.executable, dying.__file__, database_url, simulator.url, step, str(occurrence)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (told.returncode, told.stdout) == (-signal.SIGKILL, f"died at {step}"), told.stderr


def test_no_step_is_left_out():
    assert set(OCCURRENCES) == set(Step)


@pytest.mark.parametrize(
    ("step", "occurrence"), [(step, occurrence) for step, times in OCCURRENCES.items() for occurrence in times]
)
def test_a_process_killed_at_any_step_costs_no_message_and_repeats_none(
    database_url, warehouse, query, simulator, step, occurrence
):
    if step in TAKES_OVER:
        die(database_url, simulator, Step.ANSWERED, 10)
        dying.let_time_pass(warehouse)
    die(database_url, simulator, step, occurrence)
    dying.let_time_pass(warehouse)
    assert dying.do_all(warehouse, simulator.url)

    truth = {message["sid"]: (message["to"], message["body"]) for message in simulator.truth()}
    assert sorted(truth.values()) == [(person["phone"], f"Hi {person['first_name']}") for person in dying.PEOPLE]
    rows = query("select * from messages")
    assert {row["send_state"] for row in rows} == {"accepted"}
    assert {row["message_sid"]: (row["to_number"], row["body"]) for row in rows} == truth
    enqueued = query("select message_key from campaign_events where status = 'enqueued'")
    assert sorted(event["message_key"] for event in enqueued) == sorted(row["message_key"] for row in rows)
    assert query("select * from stray_messages") == []
