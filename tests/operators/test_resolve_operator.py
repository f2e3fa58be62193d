"""The task that looks lost answers up and waits for people, as Airflow runs it."""

import asyncio
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import TaskDeferred

from builders import campaign, freeze, in_run, people, sender
from twilio_campaigns.domain.campaign import CircuitBreaker
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.engine.steer import RunSteering
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.operators.resolve import TwilioResolveUnknownOperator
from twilio_campaigns.operators.sending import run_of

RUN = in_run()
RUN_KEY = "spring/manual__one"


@pytest.fixture
def states(query):
    return lambda: {r["send_state"]: r["n"] for r in query("select send_state, count(*) as n from messages group by 1")}


@pytest.fixture
def resolve(database_url, simulator, connect_twilio, connect_warehouse):
    connect_twilio(simulator.url)
    connect_warehouse(database_url)
    operator = TwilioResolveUnknownOperator(task_id="resolve_unknown", campaign_id="spring")
    return lambda: operator.execute(RUN)


def frozen(warehouse, rows, **changes):
    freeze(warehouse, rows, of=campaign(**changes), as_run=run_of(RUN, "spring"))


def test_nothing_in_doubt_is_nothing_to_do(warehouse, resolve, states):
    frozen(warehouse, people(3))
    resolve()
    assert states() == {"planned": 3}


def test_it_waits_for_a_paused_run_without_a_worker_slot_and_then_sends_the_rest(
    warehouse, resolve, states, simulator, configure
):
    configure(PAUSED_WAIT="2m")
    frozen(warehouse, people(20), batch_size=5)
    steering = RunSteering(warehouse, RUN_KEY, "ada")
    steering.pause()
    with pytest.raises(TaskDeferred) as deferred:
        resolve()
    assert deferred.value.method_name == "resume"
    assert deferred.value.trigger.moment - warehouse.now() > timedelta(minutes=1)
    steering.resume()
    resolve()
    assert states() == {"accepted": 20}
    assert len(simulator.truth()) == 20


def test_it_is_the_one_that_waits_when_the_run_pauses_itself_again(
    warehouse, start_simulator, connect_twilio, resolve, query, states, configure
):
    configure(PAUSED_WAIT="2m")
    simulator = start_simulator(opted_out_share=1)
    connect_twilio(simulator.url)
    refusing = sender(messaging_service_sid=None, from_number="+15005550006", parts_per_second=20.0)
    frozen(warehouse, people(200), sender=refusing, circuit_breaker=CircuitBreaker(messages=20))
    steering = RunSteering(warehouse, RUN_KEY, "ada")
    steering.pause()
    steering.resume()
    with pytest.raises(TaskDeferred):
        resolve()
    assert query("select state, state_changed_by from campaign_runs") == [
        {"state": "paused", "state_changed_by": "circuit_breaker"}
    ]
    assert states()["planned"] > 100


def test_a_run_whose_time_is_over_is_not_waited_for(warehouse, resolve, query, states):
    frozen(warehouse, people(3))
    RunSteering(warehouse, RUN_KEY, "ada").pause()
    query("update messages set send_before = now()")
    resolve()
    assert states() == {"planned": 3}  # reconciling closes them, also where this task never ran


def test_what_answers_were_lost_is_found_and_the_rest_waited_for(warehouse, resolve, states, simulator, configure):
    configure(LEASE="0.05", LOOKUP_GAP="10m")
    frozen(warehouse, people(10))
    simulator.control("POST", "faults/next", faults=["lost", "reset", "lost"])

    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            await BatchSender(warehouse, twilio, campaign(), Settings()).send(RUN_KEY, 1)

    asyncio.run(work())
    assert states() == {"accepted": 7, "unknown": 3}
    with pytest.raises(TaskDeferred):
        resolve()
    assert states() == {"accepted": 9, "unknown": 1}
