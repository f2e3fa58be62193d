"""Who may ask: Auth Token or API key of this very account, and nobody else."""

from __future__ import annotations

import pytest

from builders import ACCOUNT_SID, TOKEN
from simulator.api import ACCOUNT, MESSAGES, message_path, refusal

OTHER_ACCOUNT = "AC" + "9" * 32
KEY = "SK" + "1" * 32
SID = "SM" + "0" * 32

EVERY_CALL = [
    ("GET", f"{ACCOUNT}.json"),
    ("GET", MESSAGES),
    ("POST", MESSAGES),
    ("GET", message_path(SID)),
    ("POST", message_path(SID)),
    ("DELETE", message_path(SID)),
    ("GET", message_path(SID, "/Media")),
    ("GET", message_path(SID, "/Media/ME1")),
    ("DELETE", message_path(SID, "/Media/ME1")),
    ("POST", message_path(SID, "/Feedback")),
]


@pytest.mark.parametrize("credentials", [(ACCOUNT_SID, TOKEN), (KEY, "secret of the key")])
def test_the_auth_token_and_api_keys_open_the_account(start_api, credentials):
    api = start_api(api_keys={KEY: "secret of the key"})
    assert api.call("GET", f"{ACCOUNT}.json", auth=credentials).json()["sid"] == ACCOUNT_SID


@pytest.mark.parametrize(
    "credentials",
    [
        (ACCOUNT_SID, "wrong"),
        (ACCOUNT_SID, ""),
        (ACCOUNT_SID, "secret of the key"),
        (KEY, TOKEN),
        (OTHER_ACCOUNT, TOKEN),
        ("SK" + "2" * 32, "secret of the key"),
    ],
)
def test_other_credentials_open_nothing(start_api, credentials):
    api = start_api(api_keys={KEY: "secret of the key"})
    assert refusal(api.call("GET", f"{ACCOUNT}.json", auth=credentials)) == (401, 20003)


@pytest.mark.parametrize("header", ["", "Basic", "Basic %%%", f"Bearer {TOKEN}", "Basic \xe9"])
def test_what_is_no_basic_authentication_opens_nothing(api, header):
    answer = api.call("GET", MESSAGES, auth=None, headers=[(b"Authorization", header.encode("latin-1"))])
    assert refusal(answer) == (401, 20003)


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
def test_every_call_asks_for_credentials_before_anything_else(api, method, path):
    assert refusal(api.call(method, path, auth=(ACCOUNT_SID, "wrong"))) == (401, 20003)


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
def test_another_account_is_as_closed_as_one_that_does_not_exist(api, method, path):
    assert refusal(api.call(method, path.replace(ACCOUNT_SID, OTHER_ACCOUNT))) == (401, 20003)


def test_nothing_is_sent_with_wrong_credentials(api):
    form = {"To": "+12025550199", "From": "+12025550100", "Body": "hello"}
    api.call("POST", MESSAGES, auth=(ACCOUNT_SID, "wrong"), data=form)
    assert api.truth() == []
