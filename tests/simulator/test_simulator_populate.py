"""Messages by the million: the same every time, complete in every list, and cheap to page through."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import ACCOUNT_SID
from simulator.api import MESSAGES, NOON, OUR_NUMBER, PERSON, SERVICE, message_path, refusal
from twilio_campaigns.simulator.answers import Page, answer, message_text
from twilio_campaigns.simulator.life import Life
from twilio_campaigns.simulator.populate import PEOPLE, Population, person, populate, release
from twilio_campaigns.simulator.store import Filter, Message, Store

NOW = NOON.timestamp()


def wanted(count=3000, **changes):
    values = {"begins_at": NOON - timedelta(hours=6), "ends_at": NOON - timedelta(hours=2), "senders": [OUR_NUMBER]}
    return Population(**{"count": count, **values, **changes})


def make(api, count=3000, **changes):
    body = wanted(count, **changes).model_dump(mode="json", exclude_none=True)
    response = api.call("POST", "/_simulator/populate", json=body)
    assert response.status_code == 200, response.text
    return [line.split(",") for line in response.text.splitlines()]


def walk(api, **query):
    page = api.read(MESSAGES, PageSize="1000", **query)
    yield from page["messages"]
    while page["next_page_uri"]:
        page = api.read(page["next_page_uri"])
        yield from page["messages"]


def test_the_same_seed_gives_the_same_messages(start_api):
    told = [make(start_api(seed=seed)) for seed in (7, 7, 8)]
    assert told[0] == told[1]
    assert not {sid for sid, *_ in told[0]} & {sid for sid, *_ in told[2]}


def test_lists_are_complete_and_in_order(api):
    sids = {sid for sid, *_ in make(api)}
    listed = list(walk(api))
    assert len(listed) == 3000
    assert {message["sid"] for message in listed} == sids
    never_sent = [message for message in listed if message["date_sent"] is None]
    assert listed[: len(never_sent)] == never_sent
    assert {message["status"] for message in never_sent} == {"failed"}
    by_date = list(walk(api, **{"DateSent>": NOON.date().isoformat()}))
    assert by_date == listed[len(never_sent) :]


def test_what_was_there_and_what_comes_later_stand_in_one_order(api):
    before = api.send()["sid"]
    told = make(api, 50)
    after = api.send()["sid"]
    api.advance(30)
    listed = list(walk(api))
    assert {message["sid"] for message in listed} == {before, after, *(sid for sid, *_ in told)}
    assert {message["sid"] for message in listed if message["date_sent"]} > {before, after}
    assert {message["sid"] for message in list(walk(api, **{"DateSent>": "2026-11-20"}))[:2]} == {before, after}
    sid, to, _ = told[10]
    assert api.sids(To=to) == [sid]
    assert api.fetch(sid)["to"] == to


def test_one_person_has_all_of_theirs(api):
    first, to, _ = make(api, 300)[250]
    second = api.send(To=to)["sid"]
    api.advance(60)
    assert api.sids(To=to) == [second, first]
    api.call("DELETE", message_path(first))
    assert api.sids(To=to) == [second]


def test_statuses_are_as_mixed_as_any_others(api):
    make(api)
    statuses = [message["status"] for message in walk(api)]
    assert min(statuses.count(status) for status in ("delivered", "undelivered", "failed", "sent")) > 0
    assert statuses.count("delivered") > 2500


def test_nobody_is_told_of_strangers(api):
    assert make(api, 100, told=False) == []
    assert len(list(walk(api))) == 100


def test_what_is_held_is_delivered_when_it_is_released(api):
    make(api, 1000, held_share=0.05, priced_after=1e9)
    before = {message["sid"]: message for message in walk(api)}
    assert api.control("POST", "release") == {"released": 50}
    after = {message["sid"]: message for message in walk(api)}
    changed = [sid for sid in before if before[sid] != after[sid]]
    assert len(changed) == 50
    assert {(before[sid]["status"], after[sid]["status"]) for sid in changed} == {("sent", "delivered")}
    assert {message["price"] for message in after.values()} == {None}
    assert api.control("POST", "release") == {"released": 0}


def test_statuses_and_what_was_read_are_told_in_short(api):
    make(api, 10)
    listed = list(walk(api))
    told = api.call("GET", "/_simulator/statuses").text.splitlines()
    assert sorted(told) == sorted(f"{message['sid']},{message['status']}" for message in listed)
    reading = api.control("GET", "reading")
    assert (reading["pages"], reading["messages"]) == (1, 10)
    assert 0 < reading["first"] <= reading["last"]
    assert api.call("POST", "/_simulator/reading").json()["messages"] == 0
    list(walk(api))
    assert api.control("GET", "reading")["first"] > reading["last"]


def test_a_services_messages_name_it(api):
    make(api, 5, service=SERVICE, senders=["+12025550101", "+12025550102"])
    listed = list(walk(api))
    assert {message["messaging_service_sid"] for message in listed} == {SERVICE}
    assert {message["from"] for message in listed} == {"+12025550101", "+12025550102"}


@pytest.mark.parametrize("wrong", [{"count": 0}, {"ends_at": "2026-11-20T01:00:00Z"}, {"senders": []}, {"speed": 2}])
def test_a_population_that_makes_no_sense_is_refused(api, wrong):
    body = {**wanted().model_dump(mode="json", exclude_none=True), **wrong}
    assert api.call("POST", "/_simulator/populate", json=body).status_code == 422


def test_numbers_are_nobodys_and_differ():
    numbers = {person(number) for number in range(PEOPLE)}
    assert len(numbers) == PEOPLE
    assert all(number[5:10] == "55501" and len(number) == 12 for number in numbers)


def test_the_first_page_of_everything_looks_at_few_of_many():
    store = Store(seed=1)
    populate(store, 1, wanted(20_000))
    looked_at = list(store._unsent_at(Filter(as_of=NOW)))
    assert {message.status_at(NOW) for message in looked_at} == {"failed"}
    assert 0 < len(looked_at) < 1000
    moments = [message.created_at for message in looked_at]
    assert moments == sorted(moments, reverse=True)


def test_a_million_share_what_is_the_same():
    store = Store(seed=1)
    messages = populate(store, 1, wanted(10_000))
    assert len({id(message.life) for message in messages}) <= 4096
    assert release(store, NOW) == 0


def test_there_is_one_account_for_those_who_ask_which_there_are(api):
    listed = api.read("/2010-04-01/Accounts.json")
    assert [account["sid"] for account in listed["accounts"]] == [ACCOUNT_SID]
    assert listed["next_page_uri"] is None
    assert refusal(api.call("GET", "/2010-04-01/Accounts.json", auth=("AC", "wrong"))) == (401, 20003)


@given(st.text(), st.none() | st.text(max_size=11), st.sampled_from(["failed", "delivered"]))
def test_a_resource_is_json_whatever_somebody_writes(body, sender, end):
    life = Life(0.1, 0.2, 0.3 if end == "delivered" else None, 0.4, end, None if end == "delivered" else 30006, 0.1, 9)
    message = Message("SM1", PERSON, sender, None, body, (), 1, "outbound-api", NOW, NOW, life)
    read = json.loads(message_text(message, ACCOUNT_SID, NOW + 60))
    assert (read["body"], read["from"], read["status"]) == (body, sender, end)
    assert len(read) == 20
    page = json.loads(answer(Page([message_text(message, ACCOUNT_SID, NOW + 60)] * 2, {"page": 0})).body)
    assert page == {"messages": [read, read], "page": 0}
    assert json.loads(Page([], {"page": 0}).encoded()) == {"messages": [], "page": 0}
