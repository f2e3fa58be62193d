"""What becomes of a run whatever happens to it: each case has one outcome, and none texts anybody twice."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from builders import campaign, freeze, people, run, sender
from twilio_campaigns.domain.campaign import CircuitBreaker, Message
from twilio_campaigns.domain.exceptions import AudienceError, ConfigurationError, RunPausedError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.engine.report import report_on
from twilio_campaigns.engine.resolve import RunResolver
from twilio_campaigns.engine.send import BatchSender, campaign_of
from twilio_campaigns.engine.steer import RunSteering
from twilio_campaigns.engine.telling import tell_audience
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.warehouse.expiry import Expiry
from twilio_campaigns.warehouse.runs import RunStore

RUN = run().run_key
OPTED_OUT = "+15005550004"


def number_sender(**changes):
    return sender(messaging_service_sid=None, from_number="+15005550006", **changes)


@pytest.fixture
def send(warehouse, simulator):
    """Send a batch of a run as its task does: from the frozen spec."""

    def work(run_key=RUN, batch_no=1):
        async def sending():
            async with TwilioGateway(simulator.settings()) as twilio:
                frozen = campaign_of(RunStore(warehouse).run(run_key).spec)
                batch = BatchSender(warehouse, twilio, frozen, Settings())
                await batch.send(run_key, batch_no)
                return batch.tally

        return asyncio.run(sending())

    return work


@pytest.fixture
def steer(warehouse):
    def on(run_key=RUN):
        return RunSteering(warehouse, run_key, "ada")

    return on


@pytest.fixture
def texted(simulator):
    """How often each person was texted."""
    return lambda: Counter(message["to"] for message in simulator.truth())


@pytest.fixture
def states(query):
    def count(run_key=RUN):
        rows = query("select send_state, count(*) as n from messages where run_key = %s group by 1", run_key)
        return {row["send_state"]: row["n"] for row in rows}

    return count


@pytest.fixture
def go_on(warehouse, simulator):
    """What task `resolve_unknown` does once: look, and send what is to be sent."""

    def work():
        async def look():
            resolver = RunResolver(warehouse, RUN, Settings())
            async with TwilioGateway(simulator.settings()) as twilio:
                frozen = await resolver.campaign()
                if frozen is None:
                    return None
                for batch_no in await resolver.look(twilio):
                    await BatchSender(warehouse, twilio, frozen, Settings()).send(RUN, batch_no)
                return await resolver.wake_at()

        return asyncio.run(look())

    return work


def test_two_runs_at_once_share_no_person(warehouse, send, texted, states):
    other = run("2026-11-21")
    freeze(warehouse, people(20))
    freeze(warehouse, people(20, first=10), as_run=other)
    send()
    send(other.run_key)
    assert max(texted().values()) == 1
    assert (len(texted()), states(other.run_key)) == (30, {"accepted": 10, "skipped": 10})


def test_a_changed_file_or_segment_changes_nothing_of_a_frozen_run(warehouse, simulator, send, states):
    freeze(warehouse, people(3))
    changed = campaign(message=Message(body="Another text"), sender=sender(parts_per_second=1.0))
    freeze(warehouse, people(50), of=changed)
    send()
    assert {message["body"] for message in simulator.truth()} == {"Hi Name0", "Hi Name1", "Hi Name2"}
    assert states() == {"accepted": 3}


def test_a_backfilled_old_date_texts_nobody(warehouse, texted):
    late = run(logical_date=datetime.now(UTC) - timedelta(days=30))
    assert freeze(warehouse, people(5), as_run=late).state is RunState.TOO_LATE
    assert texted() == {}


def test_a_manual_run_without_a_date_is_never_late(warehouse, send, states):
    assert freeze(warehouse, people(5), as_run=run(logical_date=None)).state is RunState.SENDING
    send()
    assert states() == {"accepted": 5}


def test_a_paused_run_goes_on_where_it_was_once_somebody_resumes_it(warehouse, query, send, steer, states, go_on):
    freeze(warehouse, people(30), of=campaign(batch_size=10))
    send(batch_no=1)
    assert "is paused" in steer().pause()
    assert send(batch_no=2).accepted == 0
    looks_again_at = go_on()
    assert looks_again_at is not None  # the task waits for somebody
    assert states() == {"accepted": 10, "planned": 20}
    assert "goes on" in steer().resume()
    go_on()
    assert states() == {"accepted": 30}
    (row,) = query("select state_changed_by, state_changed_at from campaign_runs")
    assert row["state_changed_by"] == "ada"
    assert row["state_changed_at"] is not None


def test_a_run_resumed_days_later_surprises_nobody(warehouse, query, send, steer, states, texted, go_on):
    freeze(warehouse, people(10), of=campaign(batch_size=5))
    send(batch_no=1)
    steer().pause()
    query("update messages set send_before = send_before - interval '3 days'")
    steer().resume()
    assert send(batch_no=2).accepted == 0
    assert go_on() is None
    assert (len(texted()), states()) == (5, {"accepted": 5, "too_late": 5})


def test_a_stopped_run_stays_stopped(warehouse, send, steer, texted):
    freeze(warehouse, people(5))
    assert "was stopped" in steer().stop()
    assert "is stopped already" in steer().resume()
    assert send().accepted == 0
    with pytest.raises(ConfigurationError, match="stopped for good"):
        steer().send_late()
    assert texted() == {}


def test_a_run_stopped_while_its_audience_is_read_plans_nobody(warehouse, steer, states):
    from twilio_campaigns.engine.freeze import freeze_audience

    def stopped_meanwhile():
        yield people(3)
        steer().stop()
        yield people(3, first=3)

    frozen = freeze_audience(warehouse, run(), campaign(), stopped_meanwhile)
    assert (frozen.state, frozen.batches, states()) == (RunState.STOPPED, [], {})


@pytest.mark.parametrize("act", ["pause", "resume", "stop", "send_late"])
def test_there_has_to_be_such_a_run(steer, act):
    with pytest.raises(ConfigurationError, match="There is no run spring/2026-11-20"):
        getattr(steer(), act)()


class TestSendingLateOnPurpose:
    def test_a_run_that_came_too_late_is_frozen_after_all(self, warehouse, send, steer, states):
        late = run(logical_date=datetime.now(UTC) - timedelta(days=2))
        freeze(warehouse, people(5), as_run=late)
        said = steer().send_late()
        assert "Clear task `prepare_audience`" in said
        # Whoever says it again before the task is cleared hears the same, and nothing is changed.
        again = steer()
        assert (again.send_late(), again.changed) == (said, False)
        assert freeze(warehouse, people(5), as_run=late).state is RunState.SENDING
        send()
        assert states() == {"accepted": 5}

    def test_what_a_frozen_run_could_not_send_in_time_goes_out(self, warehouse, query, send, steer, states):
        freeze(warehouse, people(10), of=campaign(batch_size=5))
        send(batch_no=1)
        query("update messages set send_before = now()")
        Expiry(warehouse).close_late()
        assert report_on(warehouse, RUN).state is RunState.DONE
        assert "5 messages" in steer().send_late(timedelta(hours=2))
        send(batch_no=2)
        assert states() == {"accepted": 10}

    def test_whom_another_run_has_texted_meanwhile_stays_left_out(self, warehouse, query, send, steer, texted):
        freeze(warehouse, people(5))
        query("update messages set send_before = now()")
        Expiry(warehouse).close_late()
        newer = run("2026-11-21")
        freeze(warehouse, people(3), as_run=newer)
        send(newer.run_key)
        assert "2 messages" in steer().send_late()
        send()
        assert texted() == Counter(person["phone"] for person in people(5))

    def test_nothing_is_left_of_a_run_that_sent_all(self, warehouse, send, steer):
        freeze(warehouse, people(2))
        send()
        assert "Nothing of run" in steer().send_late()


class TestCircuitBreaker:
    BREAKER = CircuitBreaker(refused_share=0.2, messages=20)

    def test_a_run_pauses_itself_when_too_much_is_refused(self, warehouse, start_simulator, query, steer, states):
        simulator = start_simulator(opted_out_share=1)
        of = campaign(sender=number_sender(parts_per_second=20.0), circuit_breaker=self.BREAKER)
        freeze(warehouse, people(200), of=of)

        async def sending():
            async with TwilioGateway(simulator.settings()) as twilio:
                await BatchSender(warehouse, twilio, of, Settings()).send(RUN, 1)

        with pytest.raises(RunPausedError, match="mostly 21610 opted_out") as error:
            asyncio.run(sending())
        assert "twilio-campaigns resume" in str(error.value)
        found = states()
        assert 20 <= found["enqueue_failed"] <= 80
        assert found["planned"] == 200 - found["enqueue_failed"]
        (row,) = query("select state, state_changed_by, state_reason from campaign_runs")
        assert (row["state"], row["state_changed_by"]) == ("paused", "circuit_breaker")
        assert "of the last 20 messages were refused" in row["state_reason"]

    def test_a_few_refusals_pause_nobody(self, warehouse, simulator, states):
        of = campaign(sender=number_sender(), circuit_breaker=self.BREAKER)
        bad = [{"customer_id": "x", "phone": OPTED_OUT, "first_name": "X"}]
        freeze(warehouse, people(60) + bad, of=of)

        async def sending():
            async with TwilioGateway(simulator.settings()) as twilio:
                await BatchSender(warehouse, twilio, of, Settings()).send(RUN, 1)

        asyncio.run(sending())
        assert states() == {"accepted": 60, "enqueue_failed": 1}

    def test_a_run_whose_messages_are_filtered_later_is_paused_by_reconciling(
        self, warehouse, start_simulator, send, query, states
    ):
        """A Messaging Service takes every message; that they are refused shows only afterwards."""
        simulator = start_simulator(opted_out_share=1, life_speed=1_000_000)
        of = campaign(circuit_breaker=self.BREAKER, batch_size=40)
        freeze(warehouse, people(80), of=of)

        async def gateway(_connection):
            return TwilioGateway(simulator.settings())

        async def sending():
            async with TwilioGateway(simulator.settings()) as twilio:
                await BatchSender(warehouse, twilio, of, Settings()).send(RUN, 1)
            await Reconciler(warehouse, gateway, Settings()).look(datetime.now(UTC).date(), full_read=True)

        asyncio.run(sending())
        (row,) = query("select state, state_changed_by, state_reason from campaign_runs")
        assert (row["state"], row["state_changed_by"]) == ("paused", "circuit_breaker")
        assert states() == {"accepted": 40, "planned": 40}

    def test_what_was_refused_before_somebody_resumed_the_run_counts_no_more(self, warehouse, query, steer, send):
        of = campaign(circuit_breaker=self.BREAKER, batch_size=40)
        freeze(warehouse, people(80), of=of)
        send(batch_no=1)
        query(
            "update campaign_events set status = 'rejected', occurred_at = now() + interval '1 second' "
            "where status = 'enqueued'"
        )
        (fates,) = RunStore(warehouse).fates()
        assert (fates.refused, fates.messages) == (20, 20)
        steer().pause()
        query("update campaign_events set occurred_at = now() - interval '2 seconds'")
        steer().resume()
        (fates,) = RunStore(warehouse).fates()
        assert (fates.refused, fates.messages) == (0, 0)

    def test_a_campaign_may_do_without(self, warehouse, start_simulator, states):
        simulator = start_simulator(opted_out_share=1)
        of = campaign(sender=number_sender(), circuit_breaker=None)
        freeze(warehouse, people(60), of=of)

        async def sending():
            async with TwilioGateway(simulator.settings()) as twilio:
                await BatchSender(warehouse, twilio, of, Settings()).send(RUN, 1)

        asyncio.run(sending())
        assert states() == {"enqueue_failed": 60}
        assert RunStore(warehouse).fates() == []


class TestForecast:
    def test_a_run_that_cannot_be_sent_in_time_plans_nobody(self, warehouse, query, states):
        of = campaign(sender=sender(parts_per_second=1.0), send_within=timedelta(minutes=1))
        with pytest.raises(AudienceError, match="longer than send_within"):
            freeze(warehouse, people(61), of=of)
        assert states() == {}
        assert query("select state from campaign_runs") == [{"state": "freezing"}]
        assert query("select * from audience_staging") == []
        freeze(warehouse, people(60), of=of)
        assert states() == {"planned": 60}

    def test_another_run_of_the_same_sender_takes_its_time_too(self, warehouse, states):
        slow = sender(parts_per_second=1.0)
        minute = timedelta(minutes=1)
        freeze(warehouse, people(40), of=campaign(sender=slow))
        other = run(campaign_id="autumn")
        with pytest.raises(AudienceError, match="40 parts of other runs"):
            freeze(
                warehouse, people(30), of=campaign(campaign_id="autumn", sender=slow, send_within=minute), as_run=other
            )
        assert states(other.run_key) == {}

    def test_how_long_it_will_take_is_said_by_the_table_alone(self, warehouse, caplog):
        caplog.set_level("INFO", logger="twilio_campaigns")
        freeze(warehouse, people(30), of=campaign(sender=sender(parts_per_second=10.0)))
        assert caplog.messages == ["Segment read: 30 rows."]
        assert "  estimated duration          3.0 s" in list(tell_audience(warehouse, RUN))


class TestSuppressing:
    def test_whoever_twilio_says_must_not_be_texted_is_left_out_of_later_runs(self, warehouse, simulator, query):
        of = campaign(sender=number_sender())
        gone = [{"customer_id": "x", "phone": OPTED_OUT, "first_name": "X"}]
        freeze(warehouse, people(2) + gone, of=of)

        async def sending():
            async with TwilioGateway(simulator.settings()) as twilio:
                await BatchSender(warehouse, twilio, of, Settings()).send(RUN, 1)

        asyncio.run(sending())
        (row,) = query("select to_number, reason, source, lifted_at from suppressions")
        assert row == {"to_number": OPTED_OUT, "reason": "opt_out", "source": "twilio:21610", "lifted_at": None}
        other = run(campaign_id="autumn")
        freeze(warehouse, gone, of=campaign(campaign_id="autumn", sender=number_sender()), as_run=other)
        assert query("select skip_reason from messages where run_key = %s", other.run_key) == [
            {"skip_reason": "suppressed"}
        ]
