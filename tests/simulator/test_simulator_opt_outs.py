"""Who writes STOP to a sender is refused from then on, as with Twilio; START undoes it."""

import pytest

from simulator.api import OUR_NUMBER, PERSON, people, refusal
from twilio_campaigns.simulator.intake import POOL

ANOTHER_NUMBER = "+12025559001"


def fate(api, **form):
    """Give the code with which a message to the person fails, at once or later; `None` where it does not."""
    answer = api.post(**{"To": PERSON, "Body": "hello", **form})
    if answer.status_code != 201:
        return refusal(answer)[1]
    api.advance(1)
    message = api.fetch(answer.json()["sid"])
    return message["error_code"] if message["status"] == "failed" else None


@pytest.mark.parametrize("word", ["STOP", " stop\n", "Unsubscribe"])
def test_a_number_that_was_told_to_stop_is_refused_at_once(api, word):
    assert fate(api, From=ANOTHER_NUMBER) is None
    api.receive(To=ANOTHER_NUMBER, Body=word)
    assert fate(api, From=ANOTHER_NUMBER) == 21610
    assert fate(api, From="+12025559002") is None
    assert fate(api, From=ANOTHER_NUMBER, To=people(1)[0]) is None
    api.receive(To=ANOTHER_NUMBER, Body="please go on")
    assert fate(api, From=ANOTHER_NUMBER) == 21610
    api.receive(To=ANOTHER_NUMBER, Body="START")
    assert fate(api, From=ANOTHER_NUMBER) is None


def test_a_service_is_one_sender_whichever_of_its_numbers_was_told(api):
    api.receive(To=POOL[3], Body="STOP")
    answer = api.send_by_service()
    api.advance(1)
    assert (api.fetch(answer["sid"])["status"], api.fetch(answer["sid"])["error_code"]) == ("failed", 21610)
    api.receive(To=POOL[5], Body="unstop")
    answer = api.send_by_service()
    api.advance(1)
    assert api.fetch(answer["sid"])["error_code"] != 21610


def test_start_brings_back_who_had_opted_out_from_the_beginning(start_api):
    api = start_api(opted_out_share=1.0)
    assert fate(api, From=OUR_NUMBER) == 21610
    api.receive(Body="START")
    assert fate(api, From=OUR_NUMBER) is None
    api.control("POST", "reset")
    assert fate(api, From=OUR_NUMBER) == 21610
