"""The sequences that single rules of the protocol are there for, played on the model: each fails without its rule."""

from datetime import timedelta

import pytest

from builders import campaign
from protocol.ledger_watch import LedgerWatch
from protocol.test_protocol_model import CONTROL_NUMBER, NUMBERS, SENDERS, SETTINGS, SendProtocol
from protocol.twilio_in_memory import TwilioInMemory
from twilio_campaigns.domain.campaign import Message

NUMBER = NUMBERS[0]
SERVICE = SENDERS[0].messaging_service_sid
LIST_LAG = timedelta(hours=4)
LEASE_OVER = SETTINGS.lease + timedelta(seconds=1)
GAP_OVER = SETTINGS.lookup_gap + timedelta(seconds=1)


@pytest.fixture
def protocol(warehouse):
    """A model whose account has a message that lists must show; in the end everything is driven to its end."""
    model = SendProtocol(warehouse)
    model.list_lag, model.with_templates = LIST_LAG, False
    model.twilio = TwilioInMemory(model.clock, LIST_LAG)
    model.watch = LedgerWatch(warehouse, model.twilio)
    claim(model, "control", CONTROL_NUMBER, "accepted")
    model._record(model.attempts[0].pop())
    model.advance(LIST_LAG + timedelta(minutes=1))
    yield model
    model.teardown()


def claim(model, name, number, fate=None, listed_after=0.0):
    """Freeze a run to one number and claim its row; post it if there is a fate for it. Give its key and claim."""
    model._freeze(campaign(campaign_id=name, message=Message(body="Sale today"), send_within="3d"), [number])
    run_key = list(model.campaigns)[-1]
    held = model._claim(0, run_key, 1, 1)
    (row,) = held.chunk.rows
    if fate is not None:
        model._post(held, fate, listed_after)
    return row.key, held


def state(model, key):
    return model.watch.rows[key]["send_state"]


def test_nothing_is_sent_again_before_lists_must_show_it(protocol):
    key, _ = claim(protocol, "spring", NUMBER, "answer_lost", listed_after=1.0)
    protocol.attempts[0].clear()
    protocol.advance(LEASE_OVER)
    for _ in range(4):
        protocol._look_as_the_runs_do()
        assert state(protocol, key) == "unknown"
        protocol.advance(GAP_OVER)
    protocol.advance(LIST_LAG)
    protocol._look_as_the_runs_do()
    assert state(protocol, key) == "accepted"


def test_what_shows_no_trace_is_sent_again_after_two_looks_a_gap_apart(protocol):
    key, _ = claim(protocol, "spring", NUMBER, "lost_before")
    protocol.attempts[0].clear()
    protocol.advance(LEASE_OVER + LIST_LAG)
    for _ in range(2):  # the second one comes too soon to count
        protocol._look_as_the_runs_do()
        assert state(protocol, key) == "unknown"
    protocol.advance(GAP_OVER)
    protocol._look_as_the_runs_do()
    assert state(protocol, key) == "planned"


def test_a_list_that_is_decided_about_late_brings_no_look_forward(protocol):
    key, _ = claim(protocol, "spring", NUMBER, "lost_before")
    protocol.attempts[0].clear()
    protocol.advance(LEASE_OVER + LIST_LAG)
    protocol._age()
    read_at, read_long_ago = protocol.clock.now(), protocol.twilio.listed(NUMBER)
    protocol.advance(GAP_OVER)
    protocol._look_as_the_runs_do()
    protocol._resolve(NUMBER, read_long_ago, read_at, absence_counts=True)
    protocol._look_as_the_runs_do()
    assert state(protocol, key) == "unknown"


def test_a_worker_that_stood_still_posts_nothing_once_its_row_may_be_somebody_elses(protocol):
    key, zombie = claim(protocol, "spring", NUMBER)
    protocol.advance(LEASE_OVER + LIST_LAG)
    for _ in range(3):
        protocol._look_as_the_runs_do()
        protocol.advance(GAP_OVER)
    assert state(protocol, key) == "planned"
    successor = protocol._claim(1, protocol.watch.rows[key]["run_key"], 1, 1)
    protocol._post(successor, "accepted")
    protocol._post(zombie, "accepted")
    protocol.watch.look()
    assert len([message for message in protocol.twilio.messages if message.to == NUMBER]) == 1


def test_a_message_that_fits_two_rows_is_given_to_neither(protocol):
    """Two campaigns said the same to one person; which of them Twilio took, nobody can tell."""
    lost = claim(protocol, "spring", NUMBER, "lost_before")[0], claim(protocol, "autumn", NUMBER, "answer_lost")[0]
    protocol.attempts[0].clear()
    protocol.advance(LEASE_OVER)
    protocol._look_as_the_runs_do()
    assert [state(protocol, key) for key in lost] == ["unknown", "unknown"]


@pytest.mark.parametrize("is_ours_first", [True, False])
def test_a_row_that_two_messages_fit_gets_neither(protocol, is_ours_first):
    """Somebody else said the same to the same person through the same sender, at that moment."""

    def somebody_else_texts():
        protocol.twilio.create(
            to=NUMBER, shown="Sale today", service=SERVICE, from_number=None, created_at=protocol.clock.now()
        )

    key, held = claim(protocol, "spring", NUMBER)
    if not is_ours_first:
        somebody_else_texts()
    protocol._post(held, "answer_lost")
    if is_ours_first:
        somebody_else_texts()
    protocol.attempts[0].clear()
    protocol.advance(LEASE_OVER)
    protocol._look_as_the_runs_do()
    assert state(protocol, key) == "unknown"
