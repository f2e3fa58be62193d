"""Every answer as Twilio's own description has it, and every request that the description names."""

from __future__ import annotations

import json
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from simulator.api import ACCOUNT, MESSAGES, NOON, OUR_NUMBER, PERSON, SERVICE, message_path, refusal

DESCRIPTION = Path(__file__).parents[2].parent / "shared" / "twilio" / "messages_openapi.json"
ITEM = "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json"
LIST = "/2010-04-01/Accounts/{AccountSid}/Messages.json"
MEDIA_LIST = "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Media.json"
MEDIA_ITEM = "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Media/{Sid}.json"
FEEDBACK = "/2010-04-01/Accounts/{AccountSid}/Messages/{MessageSid}/Feedback.json"
PICTURES = ["https://example.com/a.jpg", "https://example.com/b.jpg"]

formats = FormatChecker(formats=())


@formats.checks("date-time-rfc-2822", ValueError)
def _is_rfc_2822(value):
    return not isinstance(value, str) or parsedate_to_datetime(value) is not None


def as_json_schema(node):
    """Turn OpenAPI 3.0 into JSON Schema: `nullable`, and objects that have all their properties and no others."""
    if isinstance(node, list):
        return [as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {name: as_json_schema(value) for name, value in node.items()}
    if schema.pop("nullable", False):
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("properties"), dict):
        schema |= {"required": sorted(schema["properties"]), "additionalProperties": False}
    return schema


class Contract:
    """Twilio's description of the Messages paths."""

    def __init__(self):
        self.raw = json.loads(DESCRIPTION.read_text())
        self._schemas = as_json_schema(self.raw["components"])

    def check(self, answer, path):
        """Check status and body of an answer against what its operation may give."""
        operation = self.raw["paths"][path][answer.request.method.lower()]
        (status, described), *others = operation["responses"].items()
        assert not others
        assert answer.status_code == int(status)
        if "content" not in described:
            assert answer.content == b""
            return None
        assert answer.headers["content-type"] == "application/json"
        schema = as_json_schema(described["content"]["application/json"]["schema"])
        Draft202012Validator({**schema, "components": self._schemas}, format_checker=formats).validate(answer.json())
        return answer.json()

    def parameters_of_create(self):
        form = self.raw["paths"][LIST]["post"]["requestBody"]["content"]["application/x-www-form-urlencoded"]
        return set(form["schema"]["properties"])


@pytest.fixture(scope="module")
def contract():
    if not DESCRIPTION.exists():
        pytest.skip("Twilio's description lies beside the repository, not in it")
    return Contract()


WAYS = {
    "text": {"Body": "hello"},
    "picture": {"Body": None, "MediaUrl": PICTURES},
    "template": {"Body": None, "ContentSid": "HX" + "0" * 32, "ContentVariables": '{"1": "Ann"}'},
    "service": {"From": None, "MessagingServiceSid": SERVICE},
    "scheduled": {
        "From": None,
        "MessagingServiceSid": SERVICE,
        "ScheduleType": "fixed",
        "SendAt": "2026-11-20T13:00:00Z",
    },
    "picture of a service": {"From": None, "MessagingServiceSid": SERVICE, "MediaUrl": PICTURES},
    "landline of a service": {"From": None, "MessagingServiceSid": SERVICE, "To": "+15005550009"},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_message_keeps_the_contract_from_creation_to_deletion(contract, api, way):
    created = api.post(**{"To": PERSON, "From": OUR_NUMBER, "Body": "hello", **WAYS[way]})
    sid = contract.check(created, LIST)["sid"]
    for seconds in (0, 0.3, 1, 60, 7200, 4 * 86400):
        api.advance(seconds)
        message = contract.check(api.call("GET", message_path(sid)), ITEM)
        assert len(message) == 20
        assert contract.check(api.call("GET", MESSAGES), LIST)["messages"] == [message]
    contract.check(api.update(sid, Body=""), ITEM)
    contract.check(api.call("DELETE", message_path(sid)), ITEM)
    assert contract.check(api.call("GET", MESSAGES), LIST)["messages"] == []


def test_pages_keep_the_contract(contract, api):
    for _ in range(3):
        api.send()
    first = contract.check(api.call("GET", MESSAGES, params={"PageSize": "2"}), LIST)
    second = contract.check(api.call("GET", first["next_page_uri"]), LIST)
    assert [(page["page"], page["start"], page["end"], page["page_size"]) for page in (first, second)] == [
        (0, 0, 1, 2),
        (1, 2, 2, 2),
    ]
    assert second["next_page_uri"] is None


def test_a_canceled_message_keeps_the_contract(contract, api):
    sid = api.schedule(NOON + timedelta(hours=1))["sid"]
    assert contract.check(api.update(sid, Status="canceled"), ITEM)["status"] == "canceled"


def test_an_inbound_message_keeps_the_contract(contract, api):
    sid = api.receive()["sid"]
    message = contract.check(api.call("GET", message_path(sid)), ITEM)
    assert (message["direction"], message["status"]) == ("inbound", "received")


def test_media_keep_the_contract(contract, api):
    sid = api.send(MediaUrl=PICTURES)["sid"]
    listed = contract.check(api.call("GET", message_path(sid, "/Media")), MEDIA_LIST)["media_list"]
    path = message_path(sid, f"/Media/{listed[0]['sid']}")
    assert contract.check(api.call("GET", path), MEDIA_ITEM) == listed[0]
    contract.check(api.call("DELETE", path), MEDIA_ITEM)


@pytest.mark.parametrize("outcome", ["confirmed", "unconfirmed"])
def test_feedback_keeps_the_contract(contract, api, outcome):
    sid = api.send(ProvideFeedback="true")["sid"]
    answer = api.call("POST", message_path(sid, "/Feedback"), data={"Outcome": outcome})
    assert contract.check(answer, FEEDBACK)["outcome"] == outcome


def test_the_account_says_that_it_is_active(api):
    account = api.read(f"{ACCOUNT}.json")
    assert account["sid"] == api.config.account_sid
    assert (account["status"], account["type"]) == ("active", "Full")
    assert account["subresource_uris"]["messages"] == MESSAGES
    assert parsedate_to_datetime(account["date_created"]) == NOON


def test_every_answer_has_a_request_id(api):
    answers = [api.post(To=PERSON), api.call("GET", MESSAGES), api.call("GET", "/nothing")]
    ids = {answer.headers["Twilio-Request-Id"] for answer in answers}
    assert len(ids) == 3
    assert all(len(text) == 34 and text.startswith("RQ") for text in ids)


#: Per parameter of a create request: what else the request has, a usual value, and one that makes no sense.
PARAMETERS = {
    "To": ({}, PERSON, "nobody"),
    "From": ({}, OUR_NUMBER, "?"),
    "MessagingServiceSid": ({}, SERVICE, "MG1"),
    "Body": ({}, "hello", "x" * 1601),
    "MediaUrl": ({}, PICTURES, "ftp://example.com/a.jpg"),
    "ContentSid": ({"Body": None}, "HX" + "0" * 32, "HX1"),
    "ContentVariables": ({"Body": None, "ContentSid": "HX" + "0" * 32}, '{"1": "Ann"}', "{"),
    "ScheduleType": ({"MessagingServiceSid": SERVICE, "SendAt": "2026-11-20T13:00:00Z"}, "fixed", "sometimes"),
    "SendAt": ({"MessagingServiceSid": SERVICE, "ScheduleType": "fixed"}, "2026-11-20T13:00:00Z", "tomorrow"),
    "ValidityPeriod": ({}, "36000", "36001"),
    "StatusCallback": ({}, "https://example.com/status", "status"),
    "ApplicationSid": ({}, "AP" + "0" * 32, "AP1"),
    "MaxPrice": ({}, "0.05", "cheap"),
    "ProvideFeedback": ({}, "true", "perhaps"),
    "Attempt": ({}, "1", "first"),
    "ForceDelivery": ({}, "true", "perhaps"),
    "ContentRetention": ({}, "retain", "forget"),
    "AddressRetention": ({}, "obfuscate", "forget"),
    "SmartEncoded": ({}, "true", "perhaps"),
    "PersistentAction": ({}, ["geo:37.787890,-122.391664|Twilio"], ""),
    "TrafficType": ({}, "free", "heavy"),
    "ShortenUrls": ({"MessagingServiceSid": SERVICE}, "true", "perhaps"),
    "SendAsMms": ({}, "true", "perhaps"),
    "RiskCheck": ({}, "enable", "maybe"),
    "FallbackFrom": ({"MessagingServiceSid": SERVICE}, OUR_NUMBER, "?"),
    "MessageIntent": ({}, "marketing", "spam"),
}


def test_no_parameter_of_create_is_forgotten(contract):
    assert set(PARAMETERS) == contract.parameters_of_create()


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_of_create_is_taken_or_refused_as_twilio_would(contract, api, name):
    others, usual, senseless = PARAMETERS[name]
    request = {"To": PERSON, "From": OUR_NUMBER, "Body": "hello", **others}
    contract.check(api.post(**{**request, name: usual}), LIST)
    answer = api.post(**{**request, name: senseless})
    if answer.status_code == 201:
        contract.check(answer, LIST)
    else:
        assert refusal(answer)[0] in {400, 404}


def after(**ahead):
    """Give the form of a message scheduled so far from now."""
    at = (NOON + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"MessagingServiceSid": SERVICE, "ScheduleType": "fixed", "SendAt": at}


SCHEDULED = {"MessagingServiceSid": SERVICE, "ScheduleType": "fixed"}
TEMPLATE = {"Body": None, "ContentSid": "HX" + "0" * 32}


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"To": None}, (400, 21604)),
        ({"To": ""}, (400, 21604)),
        ({"To": "+1202555"}, (400, 21211)),
        ({"To": "+443069990000"}, (400, 21614)),
        ({"From": None}, (400, 21603)),
        ({"From": "+0"}, (400, 21212)),
        ({"From": "twelve chars"}, (400, 21212)),
        ({"MessagingServiceSid": "MG1"}, (404, 20404)),
        ({"Body": None}, (400, 21602)),
        ({"Body": "x" * 1601}, (400, 21617)),
        ({"MediaUrl": [*PICTURES * 5, "https://example.com/c.jpg"]}, (400, 21623)),
        ({"MediaUrl": "example.com/a.jpg"}, (400, 21620)),
        ({"ContentSid": "HX1"}, (404, 20404)),
        ({"ContentVariables": "{}"}, (400, 21654)),
        ({**TEMPLATE, "ContentVariables": "[]"}, (400, 21656)),
        ({**TEMPLATE, "ContentVariables": '{"1": 2}'}, (400, 21656)),
        ({"ValidityPeriod": "0"}, (400, 20001)),
        ({"ValidityPeriod": "²"}, (400, 20001)),
        ({"ValidityPeriod": "9" * 5000}, (400, 20001)),
        ({"ScheduleType": "fixed", "SendAt": "2026-11-20T13:00:00Z"}, (400, 35118)),
        (SCHEDULED, (400, 35111)),
        ({**SCHEDULED, "SendAt": "tomorrow"}, (400, 35114)),
        ({**SCHEDULED, "SendAt": "0001-01-01T00:00:00+14:00"}, (400, 35115)),
        (after(seconds=300), (400, 35115)),
        (after(days=35, seconds=1), (400, 35115)),
    ],
)
def test_what_twilio_refuses_at_once_is_refused_with_its_code(api, form, expected):
    assert refusal(api.post(**{"To": PERSON, "From": OUR_NUMBER, "Body": "hello", **form})) == expected
    assert api.truth() == []


@pytest.mark.parametrize(
    "form",
    [
        {"Body": "x" * 1600},
        {"Body": None, "MediaUrl": PICTURES * 5},
        {"From": "12345"},
        {"From": "Our Shop"},
        {"To": "(202) 555-0199"},
        {"ValidityPeriod": "1"},
        after(seconds=301),
        after(days=35),
    ],
)
def test_what_lies_just_within_the_limits_is_taken(api, form):
    assert api.send(**form)["to"] == PERSON


def test_text_that_is_no_utf_8_does_not_break_the_answer(api):
    form = b"To=%2B12025550199&From=%2B12025550100&Body=caf\xe9"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert api.call("POST", MESSAGES, content=form, headers=headers).status_code == 201


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_send_at_without_a_zone_is_utc_wherever_the_simulator_runs(api, here_is, zone):
    here_is(zone)
    sid = api.send_by_service(ScheduleType="fixed", SendAt="2026-11-20T12:10:00")["sid"]
    api.advance(599)
    assert api.fetch(sid)["status"] == "scheduled"
    api.advance(2)
    assert api.fetch(sid)["status"] != "scheduled"
