"""Sender profiles as people write them: one broken profile stops only the campaigns that name it."""

import pytest
from typer.testing import CliRunner

from bad_input.checks import SECRET, assert_clear
from twilio_campaigns.cli import app
from twilio_campaigns.domain.campaign_files import load_campaigns

GOOD = "texts:\n  messaging_service_sid: MG0123456789abcdef0123456789abcdef\n"
CAMPAIGN = "sender: {}\nsegment: {{query: select 1}}\nmessage: {{body: Hello dear reader}}\n"

#: The lines of profile `bad`, and how the problem of the file begins after its name.
BAD = {
    "nothing": ("bad:", "1: bad: the profile is not a mapping."),
    "only a number": ("bad: '12345'", "1: bad: the profile is not a mapping."),
    "neither sender": ("bad:\n  channel: sms", "1: bad: the profile names no sender."),
    "both senders": (
        "bad:\n  from_number: ACME\n  messaging_service_sid: MG0123456789abcdef0123456789abcdef",
        "2: bad.from_number: from_number and messaging_service_sid exclude one another.",
    ),
    "SID in small letters": (
        "bad:\n  messaging_service_sid: mg0123456789abcdef0123456789abcdef",
        "2: bad.messaging_service_sid: 'mg0123456789abcdef0123456789abcdef' is not a Messaging Service SID.",
    ),
    "SID with a space": (
        "bad:\n  messaging_service_sid: 'MG0123456789abcdef0123456789abcdef '",
        "2: bad.messaging_service_sid: 'MG0123456789abcdef0123456789abcdef ' is not",
    ),
    "SID of something else": (
        "bad:\n  messaging_service_sid: PN0123456789abcdef0123456789abcdef",
        "2: bad.messaging_service_sid: 'PN0123456789abcdef0123456789abcdef' is not",
    ),
    "short code without quotes": (
        "bad:\n  from_number: 12345",
        "2: bad.from_number: YAML takes 12345 for a number. Put it in quotes: '12345'.",
    ),
    "short code with a leading zero": (
        "bad:\n  from_number: 012345",
        "2: bad.from_number: YAML takes 012345 for the number 5349. Put it in quotes: '012345'.",
    ),
    "number for WhatsApp": ("bad:\n  from_number: 'whatsapp:+15005550006'", "2: bad.from_number: 'whatsapp:+1500"),
    "channel WhatsApp": (
        "bad:\n  channel: whatsapp\n  from_number: ACME",
        "2: bad.channel: 'whatsapp' is not one of 'sms' or 'mms'.",
    ),
    "channel in capitals": ("bad:\n  channel: SMS\n  from_number: ACME", "2: bad.channel: 'SMS' is not one of"),
    "emoji as name": ("bad:\n  from_number: 'ACME 🌷'", "2: bad.from_number: 'ACME 🌷' is no sender."),
    "name that is too long": ("bad:\n  from_number: ACME Stores Ltd", "2: bad.from_number: 'ACME Stores Ltd' is no"),
    "name that sends pictures": (
        "bad:\n  channel: mms\n  from_number: ACME",
        "3: bad.from_number: the alphanumeric sender 'ACME' cannot send MMS.",
    ),
    "NUL in a name": ('bad:\n  from_number: ACME\n  description: "a\\0"', "3: bad.description: holds the character"),
    "negative speed": ("bad:\n  from_number: ACME\n  parts_per_second: -1", "3: bad.parts_per_second: -1 has to be"),
    "speed in quotes": (
        "bad:\n  from_number: ACME\n  parts_per_second: '10'",
        "3: bad.parts_per_second: '10' is not a number.",
    ),
    "speed that is no number": ("bad:\n  from_number: ACME\n  parts_per_second: .nan", "3: bad.parts_per_second: .nan"),
    "speed with a unit": ("bad:\n  from_number: ACME\n  parts_per_second: 10/s", "3: bad.parts_per_second: '10/s' is"),
    "near name": ("bad:\n  from_number: ACME\n  part_per_second: 1", "3: bad.part_per_second: the key is not known."),
}


@pytest.fixture
def include(tmp_path):
    folder = tmp_path / "include"
    (folder / "campaigns").mkdir(parents=True)
    for name, sender in (("good", "texts"), ("other", "bad")):
        (folder / "campaigns" / f"{name}.yaml").write_text(CAMPAIGN.format(sender), "utf-8")
    return folder


@pytest.mark.parametrize(("profile", "expected"), BAD.values(), ids=BAD)
def test_a_broken_profile_is_named_and_leaves_the_other_alone(include, profile, expected):
    (include / "senders.yaml").write_text(f"{profile}\n{GOOD}", "utf-8")
    campaigns, errors = load_campaigns(include)
    assert "good" in [campaign.campaign_id for campaign in campaigns]
    (problem,) = errors[0].problems
    assert problem.startswith(f"include/senders.yaml:{expected}")
    # The remedy shows a sender of ours as its example.
    assert_clear(problem.replace("'+12025550142'", ""))


@pytest.mark.parametrize(
    "content", [None, b"", b"- a\n", b"{}\n", "a: \xe9\n".encode("latin-1"), GOOD.encode("utf-16")]
)
def test_without_a_readable_file_each_campaign_says_whose_fault_it_is(include, content):
    if content is not None:
        (include / "senders.yaml").write_bytes(content)
    campaigns, errors = load_campaigns(include)
    assert campaigns == []
    assert len(errors) == (2 if content == b"{}\n" else 3)
    for error in errors:
        assert_clear(str(error), "include/senders.yaml")
    for name in ("good", "other"):
        assert any(str(error).startswith(f"include/campaigns/{name}.yaml:1: sender: ") for error in errors)


def test_a_folder_instead_of_the_file_is_named(include):
    (include / "senders.yaml").mkdir()
    _, errors = load_campaigns(include)
    assert_clear(str(errors[0]), "include/senders.yaml:1: the file cannot be read: Is a directory")


def test_a_secret_in_the_wrong_file_is_not_repeated(include):
    (include / "senders.yaml").write_text(f"{GOOD}  auth_token: {SECRET}\n", "utf-8")
    result = CliRunner().invoke(app, ["validate", "--include", str(include)])
    assert result.exit_code == 1
    first, *_ = result.stderr.splitlines()
    assert_clear(first, "include/senders.yaml:3: texts.auth_token: the key is not known")
    assert SECRET not in result.output
