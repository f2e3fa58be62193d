"""What goes wrong on purpose: what the client sees, and what the simulator knows."""

from __future__ import annotations

import asyncio
import socket
import time

import aiohttp
import httpx
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from builders import ACCOUNT_SID, TOKEN
from simulator.api import ACCOUNT, MESSAGES, OUR_NUMBER, PERSON, message_path, people, refusal
from simulator.faulty import HELLO, NOT_PROCESSED, PROCESSED, SEEN, OverHttp, met, sight
from twilio_campaigns.simulator.faults import Faults

PICTURE = {**HELLO, "MediaUrl": "https://example.com/a.jpg"}
AUTHORIZATION = httpx.BasicAuth(ACCOUNT_SID, TOKEN)._auth_header


def certain(fault):
    return {f"{fault}_share": 1.0, "delay_seconds": 0.05}


@pytest.mark.parametrize("fault", NOT_PROCESSED)
def test_a_create_that_is_not_processed_makes_nothing(start, fault):
    client = start(**certain(fault))
    assert sight(lambda: client.post(**HELLO)) == SEEN[fault]
    assert client.truth() == []
    assert client.control("GET", "stats")["faults"] == {fault: 1}


@pytest.mark.parametrize("fault", PROCESSED)
def test_a_create_that_is_processed_makes_a_message_whatever_its_client_sees(start, fault):
    client = start(**certain(fault))
    assert sight(lambda: client.post(**HELLO)) == SEEN[fault]
    assert [(message["to"], message["fault"]) for message in client.truth()] == [(PERSON, fault)]
    assert client.control("GET", "stats")["faults"] == {fault: 1}


@pytest.mark.parametrize("fault", PROCESSED)
def test_a_create_that_twilio_refuses_meets_its_fault_all_the_same(start, fault):
    client = start(**certain(fault))
    expected = (400, 21211) if fault == "delayed" else SEEN[fault]
    assert sight(lambda: client.post(**{**HELLO, "To": "nobody"})) == expected
    assert client.truth() == []


def test_without_faults_nothing_is_dealt(start):
    client = start()
    assert sight(lambda: client.post(**HELLO)) == (201, None)
    assert met(client) == [None]
    assert client.control("GET", "stats")["faults"] == {}


def test_retry_after_is_asked_for_where_it_is_said(start):
    client = start(throttled_share=1)
    assert "Retry-After" not in client.post(**HELLO).headers
    client.control("POST", "faults", throttled_share=0, throttled_with_retry_after_share=1, retry_after_seconds=3)
    answer = client.post(**HELLO)
    assert answer.headers["Retry-After"] == "3"
    assert answer.headers["Twilio-Request-Id"].startswith("RQ")


def test_an_answer_is_late_where_its_client_has_given_up(start_simulator):
    client = OverHttp(start_simulator(faults=Faults(delayed_share=1)))
    with pytest.raises(httpx.ReadTimeout):
        client.call("POST", MESSAGES, data=HELLO, timeout=0.3)
    assert met(client) == ["delayed"]
    client.close()


def test_a_server_ends_without_waiting_for_late_answers(start_simulator):
    server = start_simulator(faults=Faults(delayed_share=1))
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        form = b"To=%2B12025550199&From=%2B12025550100&Body=hello"
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n"
        connection.sendall(head % (MESSAGES.encode(), AUTHORIZATION.encode(), len(form)) + form)
        while not server.truth():
            time.sleep(0.01)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5
        assert connection.recv(1) == b""


def test_pictures_are_slow_and_texts_are_not(start):
    client = start(slow_media_seconds=0.3)
    began = time.monotonic()
    assert sight(lambda: client.post(**HELLO)) == (201, None)
    between = time.monotonic()
    assert sight(lambda: client.post(**PICTURE)) == (201, None)
    assert between - began < 0.3 <= time.monotonic() - between
    assert met(client) == [None, None]


def test_a_young_message_is_not_found_but_listed(start_api):
    api = start_api(faults=Faults(young_404_seconds=60))
    sid = api.send()["sid"]
    assert refusal(api.call("GET", message_path(sid))) == (404, 20404)
    assert api.sids() == [sid]
    api.advance(59.9)
    assert refusal(api.call("GET", message_path(sid))) == (404, 20404)
    api.advance(0.1)
    assert api.fetch(sid)["sid"] == sid
    assert api.control("GET", "stats")["faults"] == {"young_404": 2}


def test_a_revoked_token_opens_nothing_and_uses_up_no_fault(start):
    client = start(revoked=True)
    client.control("POST", "faults/next", faults=["lost"])
    for method, path in [("GET", f"{ACCOUNT}.json"), ("GET", MESSAGES), ("GET", message_path("SM" + "0" * 32))]:
        assert sight(lambda method=method, path=path: client.call(method, path)) == (401, 20003)
    assert sight(lambda: client.post(**HELLO)) == (401, 20003)
    assert client.truth() == []
    client.control("POST", "faults", revoked=False)
    assert sight(lambda: client.post(**HELLO)) is None
    assert client.control("GET", "stats")["faults"] == {"revoked": 4, "lost": 1}


@pytest.mark.parametrize(
    ("fault", "seen"), [("read_throttled", (429, 20429)), ("read_unavailable", (503, 20503)), ("read_reset", None)]
)
def test_reads_meet_faults_of_their_own(start, fault, seen):
    client = start(**{f"{fault}_share": 1.0})
    created = client.post(**HELLO)
    assert created.status_code == 201
    for path in (MESSAGES, message_path(created.json()["sid"])):
        assert sight(lambda path=path: client.call("GET", path)) == seen
    assert sight(lambda: client.call("GET", f"{ACCOUNT}.json")) == (200, None)
    assert client.control("GET", "stats")["faults"] == {fault: 2}


def test_a_fault_ends_one_connection_and_leaves_the_others(start_simulator):
    server = start_simulator(faults=Faults(lost_share=0.3))
    numbers = people(300)

    async def send(session, number):
        try:
            async with session.post(server.url + MESSAGES, data={**HELLO, "To": number}) as answer:
                return answer.status
        except aiohttp.ServerDisconnectedError:
            return None

    async def send_all():
        headers = {"Authorization": AUTHORIZATION}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=20), headers=headers) as session:
            return await asyncio.gather(*(send(session, number) for number in numbers))

    statuses = asyncio.run(send_all())
    truth = {message["to"]: message["fault"] for message in server.truth()}
    assert {number: None if status else "lost" for number, status in zip(numbers, statuses, strict=True)} == truth
    assert set(statuses) == {201, None}


def test_twilios_own_package_is_told_503_after_the_message_was_accepted(start_simulator):
    server = start_simulator()
    server.control("POST", "faults/next", faults=["unavailable_after", "throttled_with_retry_after"])
    http = TwilioHttpClient(timeout=10)
    twilio = Client(ACCOUNT_SID, TOKEN, http_client=http)
    twilio.api.base_url = server.url
    for status, code in [(503, 20503), (429, 20429)]:
        with pytest.raises(TwilioRestException) as caught:
            twilio.messages.create(to=PERSON, from_=OUR_NUMBER, body="hello")
        assert (caught.value.status, caught.value.code) == (status, code)
    assert [message.body for message in twilio.messages.list(to=PERSON)] == ["hello"]
    assert met(server) == ["unavailable_after"]
    http.session.close()
