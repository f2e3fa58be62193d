"""What becomes of messages: a way that only ever leads on, told by a seed, on a clock of its own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import pytest
from pydantic import ValidationError

from simulator.api import MESSAGES, NOON, OUR_NUMBER, PERSON, SERVICE, Api, moment, people
from twilio_campaigns.simulator.clock import Clock

DAY = 86400
GERMAN = "+491511234"
BRITISH = "+44740012"
#: Moments at which a crowd is looked at: closely at first, then ever more rarely until four days are over.
LOOKS = [0.05] * 60 + [1] * 27 + [60] * 10 + [7200] * 20 + [DAY] * 3
ENDS = {"delivered", "undelivered", "failed"}
#: Where a message can be later, from where it is now.
LATER = {
    "accepted": {"queued", "sending", "sent", *ENDS},
    "queued": {"sending", "sent", *ENDS},
    "sending": {"sent", *ENDS},
    "sent": {"delivered", "undelivered"},
    "delivered": set(),
    "undelivered": set(),
    "failed": set(),
}
NEVER_SENT = {"accepted", "queued", "sending", "failed"}


def everybody(api, **query):
    return {message["sid"]: message for message in api.read(MESSAGES, PageSize="1000", **query)["messages"]}


class Look(NamedTuple):
    """What Twilio said at one moment: of everybody, and in the list of those that have left."""

    at: datetime
    messages: dict
    left: set


@pytest.fixture(scope="module")
def diary():
    """A crowd's four days, look by look: half of the messages sent by a service, some to Germany."""
    api, looks, at = Api(), [], NOON
    for number in people(160):
        api.send(To=number)
    for number in people(160, "+1415555") + people(20, GERMAN):
        api.send_by_service(To=number)
    for seconds in LOOKS:
        looks.append(Look(at, everybody(api), set(everybody(api, **{"DateSent>": "2026-11-20"}))))
        api.advance(seconds)
        at += timedelta(seconds=seconds)
    api.close()
    return looks


def lives(diary):
    """Give every message's looks in their order."""
    return [[look.messages[sid] for look in diary] for sid in diary[0].messages]


def test_a_message_only_ever_moves_on(diary):
    moves = {
        (before["status"], after["status"])
        for life in lives(diary)
        for before, after in pairwise(life)
        if before["status"] != after["status"]
    }
    assert all(after in LATER[before] for before, after in moves)
    usual = [("accepted", "queued"), ("queued", "sending"), ("sending", "sent"), ("sent", "delivered")]
    assert moves >= {*usual, ("sent", "undelivered"), ("sending", "failed")}


def test_a_service_accepts_first_and_other_messages_are_queued_at_once(diary):
    first = {(life[0]["messaging_service_sid"], life[0]["status"]) for life in lives(diary)}
    assert first == {(None, "queued"), (SERVICE, "accepted")}


def test_a_service_queues_every_message_before_it_is_sent(diary):
    for life in lives(diary):
        assert "queued" in {seen["status"] for seen in life}


def test_sender_and_parts_are_unknown_until_a_service_has_picked(diary):
    for life in lives(diary):
        for seen in life:
            picked = seen["status"] != "accepted"
            assert (seen["from"] is not None, seen["num_segments"] != "0") == (picked, picked)
        assert len({seen["from"] for seen in life} - {None}) == 1


def test_what_never_left_has_no_date_sent_and_is_in_no_list_by_date(diary):
    for look in diary:
        assert all((seen["date_sent"] is None) == (seen["status"] in NEVER_SENT) for seen in look.messages.values())
        assert look.left == {sid for sid, seen in look.messages.items() if seen["date_sent"] is not None}
    assert "failed" in {seen["status"] for seen in diary[-1].messages.values()}


def test_date_updated_tells_when_anything_changed_and_the_other_dates_stay(diary):
    for life in lives(diary):
        for (look, later), (before, after) in zip(pairwise(diary), pairwise(life), strict=True):
            updated = moment(after["date_updated"])
            assert updated >= moment(before["date_updated"])
            assert updated <= later.at
            assert before == after or updated >= look.at.replace(microsecond=0)
        assert {moment(seen["date_created"]) for seen in life} == {NOON}
        assert len({seen["date_sent"] for seen in life} - {None}) <= 1


def test_a_code_tells_why_and_only_of_messages_that_did_not_arrive(diary):
    for seen in (seen for life in lives(diary) for seen in life):
        lost = seen["status"] in {"failed", "undelivered"}
        assert (seen["error_code"] is not None, bool(seen["error_message"])) == (lost, lost)


def test_the_price_comes_after_the_end_and_stays(diary):
    for life in lives(diary):
        prices = [seen["price"] for seen in life]
        known = next(place for place, price in enumerate(prices) if price is not None)
        assert life[known]["status"] == life[-1]["status"]
        assert len(set(prices[known:])) == 1
        assert -1 < float(prices[known]) < 0


def test_the_price_takes_from_a_minute_to_a_day(api):
    for number in people(100) + people(10, GERMAN):
        api.send(To=number)
    for message in api.truth():
        end = datetime.fromisoformat(message["final_at"] or message["sent_at"])
        assert timedelta(minutes=1) <= datetime.fromisoformat(message["priced_at"]) - end <= timedelta(days=1)


def test_most_are_delivered_within_moments(diary):
    soon = [look for look in diary if look.at <= NOON + timedelta(minutes=2)][-1]
    assert [seen["status"] for seen in soon.messages.values()].count("delivered") > 0.75 * len(soon.messages)
    assert {seen["status"] for seen in diary[-1].messages.values()} == {"delivered", "undelivered", "failed", "sent"}


def test_countries_without_receipts_stay_sent(diary):
    german = [life for life in lives(diary) if life[0]["to"].startswith(GERMAN)]
    assert len(german) == 20
    assert {life[-1]["status"] for life in german} <= {"sent", "failed"}
    assert "sent" in {life[-1]["status"] for life in german}


def test_a_service_writes_to_a_person_from_one_number(api):
    for _ in range(3):
        api.send_by_service()
    for number in people(30):
        api.send_by_service(To=number)
    api.advance(1)
    senders = {}
    for message in everybody(api).values():
        senders.setdefault(message["to"], set()).add(message["from"])
    assert {len(numbers) for numbers in senders.values()} == {1}
    assert len(set.union(*senders.values())) > 1


def test_a_service_told_which_sender_queues_at_once(api):
    message = api.send_by_service(From=OUR_NUMBER)
    assert (message["status"], message["from"], message["num_segments"]) == ("queued", OUR_NUMBER, "1")
    later = api.schedule(NOON + timedelta(hours=2), From=OUR_NUMBER)
    assert (later["status"], later["from"], later["num_segments"]) == ("scheduled", OUR_NUMBER, "1")


def test_a_scheduled_message_waits_and_then_is_queued(api):
    message = api.schedule(NOON + timedelta(hours=2))
    assert (message["status"], message["from"], message["num_segments"]) == ("scheduled", None, "0")
    api.advance(7199.9)
    assert api.fetch(message["sid"]) == message
    api.advance(0.1)
    assert api.fetch(message["sid"])["status"] == "queued"
    api.advance(4 * DAY)
    left = api.fetch(message["sid"])
    assert moment(left["date_created"]) == NOON
    assert NOON + timedelta(hours=2) < moment(left["date_sent"]) < NOON + timedelta(hours=2, minutes=1)


def fates(api):
    """Give the end of every message, with the seconds that it takes."""
    return {
        message["sid"]: (
            message["to"],
            message["final_status"],
            message["error_code"],
            message["price"],
            *spans(message),
        )
        for message in api.truth()
    }


def spans(message):
    created = datetime.fromisoformat(message["created_at"])
    ends = [message[name] for name in ("sent_at", "final_at", "priced_at")]
    return tuple(end and round((datetime.fromisoformat(end) - created).total_seconds(), 3) for end in ends)


def send_all(api, numbers, pause=0.0):
    for number in numbers:
        api.send(To=number)
        if pause:
            api.advance(pause)


def test_the_same_requests_meet_the_same_fates_whenever_they_come(start_api):
    first, second = start_api(), start_api(started_at=NOON + timedelta(days=3))
    send_all(first, people(60) * 2)
    send_all(second, people(60) * 2, pause=1.5)
    assert fates(first) == fates(second)
    assert len({fate[1] for fate in fates(first).values()}) > 1


def test_the_same_requests_after_a_reset_meet_the_same_fates(api):
    send_all(api, people(20))
    before = fates(api)
    api.control("POST", "reset")
    send_all(api, people(20))
    assert fates(api) == before


def test_a_fate_belongs_to_the_person_and_not_to_the_order(start_api):
    first, second = start_api(), start_api()
    send_all(first, people(40))
    send_all(second, reversed(people(40)))
    assert sorted(map(str, fates(first).values())) == sorted(map(str, fates(second).values()))


def test_another_seed_means_other_sids_and_other_fates(start_api):
    first, second = start_api(seed=1), start_api(seed=2)
    for api in (first, second):
        send_all(api, people(40))
    assert not set(fates(first)) & set(fates(second))
    assert not set(map(str, fates(first).values())) & set(map(str, fates(second).values()))


def test_a_second_message_to_a_person_has_a_fate_of_its_own(api):
    send_all(api, [PERSON, PERSON])
    first, second = fates(api).values()
    assert first != second


def test_life_speed_shortens_lives_and_leaves_the_clock_alone(start_api):
    usual, quick = start_api(), start_api(life_speed=100)
    for api in (usual, quick):
        send_all(api, people(10, BRITISH))
    for slow, fast in zip(fates(usual).values(), fates(quick).values(), strict=True):
        assert fast[:4] == slow[:4]
        assert fast[4:] == pytest.approx(tuple(None if span is None else span / 100 for span in slow[4:]), abs=0.002)
    assert quick.advance(60)["now"] == usual.advance(60)["now"]


def test_speed_makes_the_whole_clock_run(start_api):
    api = start_api(speed=36_000)
    begun = datetime.fromisoformat(api.control("GET", "stats")["now"])
    time.sleep(0.02)
    assert datetime.fromisoformat(api.control("GET", "stats")["now"]) - begun >= timedelta(minutes=12)


def test_every_answer_waits_for_the_latency(start_api):
    api = start_api(latency_seconds=0.05)
    begun = time.monotonic()
    api.call("GET", MESSAGES)
    assert time.monotonic() - begun >= 0.05


class RealTime:
    """A steady clock that a test moves."""

    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


def test_the_clock_keeps_its_time_when_its_speed_changes():
    real = RealTime()
    clock = Clock(10.0, datetime.fromtimestamp(0, UTC), real)
    real.seconds += 2
    assert clock.now() == 20
    assert clock.change(speed=100.0) == 20
    real.seconds += 1
    assert clock.now() == 120
    assert clock.change(advance_seconds=5.0) == 125
    real.seconds += 1
    assert clock.now() == 225


@pytest.mark.parametrize("change", [{"advance_seconds": -0.1}, {"speed": 0.0}, {"speed": -2.0}])
def test_the_clock_does_not_run_backwards(change):
    with pytest.raises(ValueError, match="forward"):
        Clock(1.0).change(**change)


def test_a_first_moment_without_a_zone_is_refused(start_api):
    with pytest.raises(ValidationError, match="timezone"):
        start_api(started_at=NOON.replace(tzinfo=None))


def test_who_wants_no_texts_is_refused_at_once_or_later_by_a_service(start_api):
    """Of a crowd some have written STOP; the answer to that depends on who sends."""
    api = start_api(opted_out_share=0.1)
    crowd = people(300, "+1415556")
    answers = {number: api.post(To=number, From=OUR_NUMBER, Body="hello") for number in crowd}
    refused = {number for number, answer in answers.items() if answer.status_code == 400}
    assert {answers[number].json()["code"] for number in refused} == {21610}
    assert 15 < len(refused) < 60
    texts = {number: api.send_by_service(To=number)["sid"] for number in crowd}
    api.advance(DAY)
    messages = {number: api.fetch(sid) for number, sid in texts.items()}
    assert {number for number, message in messages.items() if message["error_code"] == 21610} == refused
    assert {messages[number]["status"] for number in refused} == {"failed"}
