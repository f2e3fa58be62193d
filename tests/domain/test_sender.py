import pytest
from pydantic import ValidationError

from twilio_campaigns.domain.sender import SenderProfile

MG = "MG0123456789abcdef0123456789ABCDEF"


def test_defaults():
    profile = SenderProfile(name="a", messaging_service_sid=MG)
    assert (profile.channel, profile.parts_per_second, profile.is_messaging_service) == ("sms", 1.0, True)
    assert SenderProfile.model_validate(profile.model_dump(mode="json")) == profile


@pytest.mark.parametrize(
    "number",
    [
        "+12025550142",
        "+4915112345678",
        "12345",
        "123456",
        "12345678",
        "ACME",
        "Acme 24",
        "A",
        "My-Shop_1&+",
        "7ELEVEN",
        "ABCDEFGHIJK",
    ],
)
def test_senders(number):
    profile = SenderProfile(name="a", from_number=number)
    assert profile.from_number == number
    assert not profile.is_messaging_service


@pytest.mark.parametrize(
    "number",
    ["", "12", "123456789", "+02025550142", "+123", "+1234567890123456", "ABCDEFGHIJKL", "!", "Ümlaut",
     "+1 202", "12025550142", "A\n", "+12025550142\n", "٣٣٣٣٣"],
)  # fmt: skip
def test_no_senders(number):
    with pytest.raises(ValidationError, match=r"is no sender\. Write a number with country code"):
        SenderProfile(name="a", from_number=number)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "the profile names no sender. Add messaging_service_sid or from_number"),
        ({"messaging_service_sid": MG, "from_number": "ACME"}, "exclude one another"),
        (
            {"messaging_service_sid": "MG0123"},
            "is not a Messaging Service SID. Copy it from Twilio's console",
        ),
        ({"messaging_service_sid": MG + "0"}, "is not a Messaging Service SID"),
        ({"channel": "mms", "from_number": "ACME"}, "the alphanumeric sender 'ACME' cannot send MMS"),
        ({"from_number": "ACME", "parts_per_second": 0}, "greater than 0"),
        ({"from_number": "ACME", "parts_per_second": float("inf")}, "finite"),
        ({"from_number": "ACME", "parts_per_second": True}, "parts_per_second"),
        ({"from_number": "ACME", "price_limit": 1}, "price_limit"),
        ({"from_number": "ACME", "name": ""}, "name"),
    ],
)
def test_says_what_is_wrong(values, message):
    with pytest.raises(ValidationError) as caught:
        SenderProfile(**{"name": "a"} | values)
    assert message in str(caught.value)


def test_a_short_code_sends_mms():
    assert SenderProfile(name="a", channel="mms", from_number="12345").channel == "mms"
