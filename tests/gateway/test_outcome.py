import asyncio
import json

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from gateway.scripted_server import MESSAGE_SID, message_json
from twilio_campaigns.domain.status import Source
from twilio_campaigns.gateway.outcome import OutcomeKind, outcome_of_answer, outcome_of_failure, retry_after

NUMBER = "+15005550010"


def error(code, status=400, **more):
    return json.dumps({"code": code, "message": f"The 'To' number {NUMBER} is bad", "status": status, **more})


HTML = "<html><body>502 from a proxy</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        # Twilio's word about this message.
        (400, error(21211), OutcomeKind.REFUSED),
        (400, error(21610), OutcomeKind.REFUSED),
        (400, error(21617), OutcomeKind.REFUSED),
        (400, error("21211"), OutcomeKind.REFUSED),
        (400, error(29999), OutcomeKind.REFUSED),
        # Twilio's word about everybody.
        (401, error(20003, 401), OutcomeKind.STOPPED),
        (401, error(29999, 401), OutcomeKind.STOPPED),
        (403, error(20003, 403), OutcomeKind.STOPPED),
        (403, error(20005, 403), OutcomeKind.STOPPED),
        (403, error(29999, 403), OutcomeKind.STOPPED),
        (404, error(20404, 404), OutcomeKind.STOPPED),
        (400, error(21606), OutcomeKind.STOPPED),
        (400, error(63038), OutcomeKind.STOPPED),
        # Not processed, slow down.
        (429, error(20429, 429), OutcomeKind.THROTTLED),
        # Not Twilio's word, or not a word about the message's fate.
        (429, HTML, OutcomeKind.UNKNOWN),
        (429, "", OutcomeKind.UNKNOWN),
        (429, json.dumps({"message": "API rate limit exceeded"}), OutcomeKind.UNKNOWN),
        (401, HTML, OutcomeKind.UNKNOWN),
        (403, json.dumps({"code": 403, "message": "forbidden by gateway"}), OutcomeKind.UNKNOWN),
        (400, json.dumps({"code": None}), OutcomeKind.UNKNOWN),
        (400, json.dumps({"code": True}), OutcomeKind.UNKNOWN),
        (400, json.dumps([21211]), OutcomeKind.UNKNOWN),
        (413, HTML, OutcomeKind.UNKNOWN),
        (500, error(20500, 500), OutcomeKind.UNKNOWN),
        (502, HTML, OutcomeKind.UNKNOWN),
        (503, error(20503, 503), OutcomeKind.UNKNOWN),
        (504, "", OutcomeKind.UNKNOWN),
        (200, json.dumps({"sid": "no"}), OutcomeKind.UNKNOWN),
        (202, "{}", OutcomeKind.UNKNOWN),
        (302, "", OutcomeKind.UNKNOWN),
        (201, "", OutcomeKind.UNKNOWN),
        (201, HTML, OutcomeKind.UNKNOWN),
        (201, "[]", OutcomeKind.UNKNOWN),
        (201, json.dumps(message_json(sid=None)), OutcomeKind.UNKNOWN),
        (201, json.dumps(message_json(sid="SM123")), OutcomeKind.UNKNOWN),
        (201, json.dumps(message_json())[:200], OutcomeKind.UNKNOWN),
        # Created.
        (201, json.dumps(message_json()), OutcomeKind.ACCEPTED),
        (201, json.dumps(message_json(sid="MM" + "a" * 32)).encode(), OutcomeKind.ACCEPTED),
    ],
)
def test_the_table_of_answers(status, body, kind):
    outcome = outcome_of_answer(status, body, {})
    assert outcome.kind is kind
    assert outcome.http_status == status
    assert (outcome.observation is not None) == (kind is OutcomeKind.ACCEPTED)


def test_an_accepted_message_is_observed_with_sid_and_dates():
    outcome = outcome_of_answer(201, json.dumps(message_json(status="accepted", num_segments="0")), {})
    seen = outcome.observation
    assert (seen.sid, seen.provider_status, seen.source) == (MESSAGE_SID, "accepted", Source.SEND)
    assert seen.created_at.isoformat() == "2026-11-23T20:00:00+00:00"
    assert seen.parts is None


def test_a_sid_is_not_lost_over_a_missing_date():
    body = json.dumps(message_json(date_created=None, date_updated="soon"))
    outcome = outcome_of_answer(201, body, {"date": "Mon, 23 Nov 2026 21:00:00 GMT"})
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert outcome.observation.created_at.isoformat() == "2026-11-23T21:00:00+00:00"
    assert outcome_of_answer(201, body, {}).kind is OutcomeKind.UNKNOWN


def test_request_id_code_and_wait_are_kept_whatever_the_case_of_the_headers():
    headers = {"twilio-request-id": "RQ1", "RETRY-AFTER": "7"}
    outcome = outcome_of_answer(429, error(20429, 429), headers)
    assert (outcome.request_id, outcome.retry_after, outcome.code) == ("RQ1", 7.0, 20429)


@pytest.mark.parametrize("status", [201, 400, 401, 429, 500])
def test_no_detail_repeats_what_twilio_says_about_a_person(status):
    body = error(21211, to=NUMBER) if status != 201 else json.dumps(message_json(sid=NUMBER))
    outcome = outcome_of_answer(status, body, {})
    assert outcome.detail
    assert NUMBER not in outcome.detail


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": " 12 "}, 12.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "Mon, 23 Nov 2026 20:00:30 GMT", "Date": "Mon, 23 Nov 2026 20:00:00 GMT"}, 30.0),
        ({"Retry-After": "Mon, 23 Nov 2026 19:00:30 GMT", "Date": "Mon, 23 Nov 2026 20:00:00 GMT"}, 0.0),
        ({"Retry-After": "Mon, 23 Nov 2026 20:00:30 GMT"}, None),
    ],
)
def test_retry_after_in_both_forms(headers, seconds):
    assert retry_after(headers) == seconds


KEY = ConnectionKey("127.0.0.1", 1, False, True, None, None, None)


@pytest.mark.parametrize(
    ("failure", "left", "kind"),
    [
        (aiohttp.ClientConnectorError(KEY, OSError("refused")), None, OutcomeKind.RELEASED),
        (aiohttp.ClientConnectorDNSError(KEY, OSError("no such host")), None, OutcomeKind.RELEASED),
        (aiohttp.ConnectionTimeoutError(), None, OutcomeKind.RELEASED),
        (aiohttp.ServerDisconnectedError(), None, OutcomeKind.UNKNOWN),
        (aiohttp.ClientOSError(104, "reset"), None, OutcomeKind.UNKNOWN),
        (TimeoutError(), None, OutcomeKind.UNKNOWN),
        (ValueError("anything"), None, OutcomeKind.UNKNOWN),
        (asyncio.CancelledError(), None, OutcomeKind.UNKNOWN),
        # Who has watched the connection knows better than the kind of the error.
        (TimeoutError(), False, OutcomeKind.RELEASED),
        (aiohttp.ConnectionTimeoutError(), True, OutcomeKind.UNKNOWN),
    ],
)
def test_failures_without_an_answer(failure, left, kind):
    assert outcome_of_failure(failure, request_may_have_left=left).kind is kind
