"""Signatures: what Twilio's documentation and SDK make, and nothing else."""

from base64 import b64encode
from hashlib import sha256
from hmac import digest
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import HMAC_SHA256, RequestValidator

from twilio_campaigns.gateway.signature import SignatureCheck, spellings
from twilio_campaigns.gateway.webhooks import Form, MalformedWebhookError

URL = "https://example.com/twilio/status?message_key=1"
TOKEN = "12345"
SHARED = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"


def form(pairs):
    return Form(urlencode(pairs).encode())


def signed(text, token=TOKEN, algorithm="sha1"):
    return b64encode(digest(token.encode(), text.encode(), algorithm)).decode()


@settings(max_examples=200)
@given(pairs=st.lists(st.tuples(st.text(min_size=1), st.text()), min_size=1, max_size=8))
def test_it_agrees_with_the_sdk_on_every_form(pairs):
    try:
        fields = form(pairs)
    except UnicodeEncodeError:
        return
    for algorithm, header in ((None, None), (HMAC_SHA256, SHARED)):
        signature = RequestValidator(TOKEN).compute_signature(URL, fields, algorithm)
        assert SignatureCheck([TOKEN]).holds([URL], fields, signature, header)
        assert not SignatureCheck(["1234"]).holds([URL], fields, signature, header)
        assert not SignatureCheck([TOKEN]).holds([URL + "&"], fields, signature, header)


def test_the_fields_are_signed_in_order_and_a_doubled_value_once():
    fields = form([("b", "2"), ("a", "y"), ("a", "x"), ("a", "x"), ("c", "")])
    assert SignatureCheck([TOKEN]).holds([URL], fields, signed(f"{URL}axayb2c"), None)


def test_a_json_body_is_signed_by_its_hash():
    body = b'{"click": "\xc3\xa9"}'
    url = f"{URL}&bodySHA256={sha256(body).hexdigest()}"
    check = SignatureCheck([TOKEN], ["shared"])
    assert check.holds([url], body, signed(url), None)
    assert check.holds([url], body, signed(url, "shared", "sha256"), SHARED)
    assert RequestValidator(TOKEN).validate(url, body.decode(), signed(url))
    assert not check.holds([url], body + b" ", signed(url), None)
    assert not check.holds([URL], body, signed(URL), None)
    twice = f"{url}&bodySHA256={sha256(body).hexdigest()}"
    assert not check.holds([twice], body, signed(twice), None)
    other = f"{URL}&bodySHA256={'0' * 64}"
    assert not check.holds([other], body, signed(other), None)


def test_the_algorithm_says_which_secret():
    check, fields = SignatureCheck(["new", "old"], ["shared"]), form({"a": "1"})
    text = f"{URL}a1"
    for token in ("new", "old"):
        assert check.holds([URL], fields, signed(text, token), None)
        assert check.holds([URL], fields, signed(text, token), "key=k,algorithm=HMAC_SHA1")
    assert check.holds([URL], fields, signed(text, "shared", "sha256"), SHARED)
    assert not check.holds([URL], fields, signed(text, "shared"), None)
    assert not check.holds([URL], fields, signed(text, "new", "sha256"), None)
    for header in ("algorithm=NONE", "algorithm=HMAC_MD5", "algorithm=HMAC_SHA512"):
        assert not check.holds([URL], fields, signed(text, "new"), header)


@pytest.mark.parametrize("signature", ["", "=", "a" * 28, "Ä" * 28, signed("x") + "\n", " " + signed(f"{URL}a1")])
def test_anything_else_is_no_signature(signature):
    assert not SignatureCheck([TOKEN]).holds([URL], form({"a": "1"}), signature, None)


def test_without_a_secret_nothing_holds():
    assert not SignatureCheck([]).can_hold
    assert SignatureCheck([], ["shared"]).can_hold
    assert not SignatureCheck([]).holds([URL], form({"a": "1"}), signed(f"{URL}a1", ""), None)


@pytest.mark.parametrize(
    ("address", "other"),
    [
        ("https://example.com/twilio", "https://example.com:443/twilio"),
        ("https://example.com:443/twilio", "https://example.com/twilio"),
        ("http://example.com", "http://example.com:80"),
        ("https://example.com:8443", "https://example.com"),
        ("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]/x"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]:443/x"),
    ],
)
def test_an_address_has_two_spellings(address, other):
    assert spellings(address) == (address, other)


@pytest.mark.parametrize("body", [b"a", b"a=%FF", b"a=\xc3", b"&a=1", b"&".join([b"a=1"] * 501)])
def test_a_body_that_is_no_form(body):
    with pytest.raises(MalformedWebhookError):
        Form(body)


def test_a_field_that_stands_there_twice_has_no_value():
    fields = form([("a", "1"), ("a", "2")])
    with pytest.raises(MalformedWebhookError, match="a stands there several times"):
        fields.get("a")
    assert fields.getlist("a") == ["1", "2"]
