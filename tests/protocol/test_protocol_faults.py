"""What the model has found: the shortest sequences that once went wrong, each as it ought to go."""

from datetime import timedelta

import pytest

from builders import campaign
from protocol.ledger_watch import SENT_LATE, LedgerWatch
from protocol.test_protocol_model import CONTROL_NUMBER, NUMBERS, SETTINGS, TOTAL_TIMEOUT, WINDOW, SendProtocol
from protocol.twilio_in_memory import TwilioInMemory
from twilio_campaigns.domain.campaign import Message

NUMBER = NUMBERS[0]
LIST_LAG = timedelta(hours=1)
MOMENT = timedelta(seconds=1)
SPRING, AUTUMN = (
    campaign(campaign_id=name, message=Message(body="Sale today"), send_within="3h", repeat_after="1d")
    for name in ("spring", "autumn")
)


@pytest.fixture
def protocol(warehouse):
    """A model whose account has a message that lists must show."""
    model = SendProtocol(warehouse)
    model.list_lag, model.with_templates = LIST_LAG, False
    model.twilio = TwilioInMemory(model.clock, LIST_LAG)
    model.watch = LedgerWatch(warehouse, model.twilio)
    model._freeze(campaign(campaign_id="control"), [CONTROL_NUMBER])
    model._send(0, "control/r0", 1, [("accepted",)], "record")
    model.advance(LIST_LAG + MOMENT)
    return model


def send_late(model, run_key):
    planned = model.runs.plan_late(run_key, "somebody", within=timedelta(hours=3), repeat_after=SPRING.repeat_after)
    model.watch.look(allows=SENT_LATE)
    return planned


def planned_runs(model):
    return [row["run_key"] for row in model.watch.in_state("planned")]


def test_a_message_whose_row_was_given_up_goes_to_no_other_row(protocol):
    protocol._freeze(SPRING, [NUMBER])
    protocol._freeze(AUTUMN, [NUMBER])
    protocol._send(0, "spring/r1", 1, [("answer_lost",)], "die")
    protocol.advance(timedelta(minutes=4))
    protocol._send(0, "autumn/r2", 1, [("lost_before",)], "die")
    protocol.advance(WINDOW - timedelta(minutes=3))
    protocol._age()
    protocol.expiry.close_unknown("twilio_default", WINDOW)
    protocol.watch.look()
    protocol._resolve(NUMBER, protocol.twilio.listed(NUMBER), protocol.clock.now(), absence_counts=False)


def test_what_is_sent_late_is_not_given_up_for_somebody_who_is_left_out(protocol):
    protocol._freeze(SPRING, NUMBERS)
    left_out = min(protocol.watch.in_state("planned"), key=lambda row: row["message_key"])["to_number"]
    protocol.advance(timedelta(hours=3) + MOMENT)
    protocol._freeze(SPRING, [left_out])
    protocol._send(0, "spring/r2", 1, [("accepted",)], "record")
    assert send_late(protocol, "spring/r1") == 2
    protocol.expiry.close_late()
    protocol.watch.look()


def test_a_list_is_as_old_as_its_reading(protocol):
    """A first look before the message is listed, a second list read right after, and decided on a gap later."""
    protocol._freeze(SPRING, [NUMBER])
    protocol._send(0, "spring/r1", 1, [("answer_lost", 1.0, TOTAL_TIMEOUT)], "die")
    protocol.advance(LIST_LAG)
    protocol._age()
    protocol._look_up_what_is_due()
    read_at, read_at_once = protocol.clock.now(), protocol.twilio.listed(NUMBER)
    protocol.advance(SETTINGS.lookup_gap)
    protocol._resolve(NUMBER, read_at_once, read_at, absence_counts=True)
    protocol._free()


def test_nobody_is_planned_late_whom_another_run_is_about_to_text(protocol):
    protocol._freeze(SPRING, [NUMBER])
    protocol.advance(timedelta(hours=3) + MOMENT)
    protocol._close_late()
    protocol._freeze(SPRING, [NUMBER])
    send_late(protocol, "spring/r1")
    assert planned_runs(protocol) == ["spring/r2"]


def test_nobody_is_planned_twice_because_a_run_was_paused_meanwhile(protocol):
    protocol._freeze(SPRING, [NUMBER])
    protocol.runs.pause("spring/r1", "somebody", "a look")
    protocol._freeze(SPRING, [NUMBER])
    protocol.runs.resume("spring/r1", "somebody")
    protocol.watch.look()
    assert planned_runs(protocol) == ["spring/r1"]
