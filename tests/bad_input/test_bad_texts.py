"""Bodies, media and Content variables that fail for one recipient: a reasoned row, and the others are planned."""

import json
import logging

import pytest

from bad_input.checks import assert_clear
from builders import campaign, freeze, sender
from twilio_campaigns.domain.campaign import AudienceRules, Message

HX = "HX0123456789abcdef0123456789abcdef"
PICTURES = sender(channel="mms")
GOOD = [
    {"customer_id": f"good{n}", "phone": f"+1202555011{n}", "name": "Ann", "points": 3, "items": ["a", "b"]}
    for n in range(2)
]


@pytest.fixture
def frozen(warehouse, query, caplog):
    """Freeze one row between good ones; give what the ledger has of each, and of `bad` above all."""

    def run(message, *, expect="planned", others=(), **row):
        message = message if isinstance(message, Message) else Message(body=message)
        bad = {**GOOD[0], "customer_id": "bad", "phone": "+12025550142", **row}
        of = campaign(message=message, sender=PICTURES if message.media_urls else sender(), **dict(others))
        caplog.set_level(logging.DEBUG)
        freeze(warehouse, [GOOD[0], bad, GOOD[1]], of=of)
        rows = {row["customer_id"]: row for row in query("select * from messages")}
        assert {rows[good["customer_id"]]["skip_reason"] or "planned" for good in GOOD} == {expect}
        assert "2025550" not in caplog.text
        assert "dear reader" not in caplog.text
        return rows["bad"]

    return run


#: The body, what is wrong with the row, and its reason.
BAD_ROWS = {
    "no value": ("dear reader {{ name }}", {"name": None}, "missing_variable"),
    "empty value": ("dear reader {{ name }}", {"name": ""}, "missing_variable"),
    "blank value": ("dear reader {{ name }}", {"name": " \u00a0\n"}, "missing_variable"),
    "bytes that are no text": ("dear reader {{ name }}", {"name": b"J\xfcrgen"}, "missing_variable"),
    "white space alone": ("{% if points > 2 %}dear reader{% endif %} \n", {"points": 1}, "empty_body"),
    "nothing visible": ("{{ name }}", {"name": "\u200b\ufeff\u00ad"}, "empty_body"),
    "NUL alone": ("{{ name }}", {"name": "\0"}, "empty_body"),
    "1,601 characters": ("{{ name }}", {"name": "x" * 1601}, "body_too_long"),
    "11 parts of Cyrillic": ("{{ name }}", {"name": "ш" * 671}, "body_too_long"),
    "two million characters": ("{{ name }}", {"name": "x" * 2_000_000}, "template_error"),
    "a text where a number belongs": ("dear reader {{ points + 1 }}", {"points": "three"}, "template_error"),
    "division by zero": ("dear reader {{ 6 / points }}", {"points": 0}, "template_error"),
    "a number where a list belongs": ("{% for i in items %}{{ i }}{% endfor %}", {"items": 5}, "template_error"),
    "a list that never ends": ("{% for i in items %}{{ i }}{% endfor %}", {"items": ["x"] * 100_000}, "template_error"),
    "an entry that is missing": ("dear reader {{ items[1] }}", {"items": ["a"]}, "missing_variable"),
}


@pytest.mark.parametrize(("body", "row", "reason"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_text_that_fails_for_one_row_leaves_out_that_row(frozen, body, row, reason):
    found = frozen(body, **row)
    assert (found["send_state"], found["skip_reason"], found["batch_no"]) == ("skipped", reason, None)
    assert found["to_number"] == "+12025550142"


#: What looks bad and can be sent all the same.
GOOD_ROWS = {
    "emoji alone": ("{{ name }}", {"name": "🌷🎉"}, "🌷🎉"),
    "NUL within": ("dear reader {{ name }}", {"name": "An\0n"}, "dear reader Ann"),
    "half of a surrogate pair": ("dear reader {{ name }}", {"name": "Ann\ud83d"}, "dear reader Ann"),
    "bytes": ("dear reader {{ name }}", {"name": "Jürgen".encode()}, "dear reader Jürgen"),
    "bytes in a filter": ("dear reader {{ name | upper }}", {"name": b"Ann"}, "dear reader ANN"),
    "braces in a value": ("dear reader {{ name }}", {"name": "{{ 7 * 7 }}"}, "dear reader {{ 7 * 7 }}"),
    "markup": ("dear reader {{ name }}", {"name": "<b>A & B</b>"}, "dear reader <b>A & B</b>"),
    "SQL": ("dear reader {{ name }}", {"name": "'; drop table messages; --"}, "dear reader '; drop table messages; --"),
    "marks of COPY": ("dear reader {{ name }}", {"name": "\\N\t\\."}, "dear reader \\N\t\\."),
    "a default": ("dear {{ name | default('reader') }}", {"name": None}, "dear reader"),
    "right to left": ("dear reader {{ name }}", {"name": "\u202eAnn"}, "dear reader \u202eAnn"),
    "exactly 1,600 characters": ("{{ name }}", {"name": "x" * 1600}, "x" * 1600),
}


@pytest.mark.parametrize(("body", "row", "text"), GOOD_ROWS.values(), ids=GOOD_ROWS)
def test_what_can_be_sent_all_the_same_is_planned(frozen, body, row, text):
    found = frozen(body, others={"audience": AudienceRules(max_parts=24)}, **row)
    assert (found["send_state"], found["body"]) == ("planned", text)


#: Templates that fail for everybody: nobody is texted, and the log says why, once.
BAD_TEMPLATES = {
    "another case": (
        "dear reader {{ Name }}",
        "missing_variable",
        "no value for 'Name'. Let the segment give a column",
    ),
    "a column that nobody selected": ("dear reader {{ city }}", "missing_variable", "no value for 'city'"),
    "a hyphen": ("dear reader {{ name-tag }}", "missing_variable", "no value for 'tag'"),
    "a loop without end": (
        "{% for i in range(1000000000) %}dear reader{% endfor %}",
        "missing_variable",
        "no value for 'range'",
    ),
    "the inside of Python": ("dear reader {{ name.__class__.__mro__ }}", "template_error", "SecurityError"),
    "the inside by index": ("dear reader {{ name['__class__'] }}", "template_error", "SecurityError"),
    "a text a billion times": ("{{ name * 1000000000 }}", "template_error", "works on numbers only"),
    "a width of a billion": ("{{ '%1000000000d' | format(points) }}", "template_error", "wider than 99"),
    "nothing to print": ("dear reader {{ none }}", "template_error", "gives nothing to print"),
    "always white space": ("{# dear reader #} ", "empty_body", ""),
    "always too long": ("dear reader " * 140, "body_too_long", ""),
}


@pytest.mark.parametrize(("body", "reason", "says"), BAD_TEMPLATES.values(), ids=BAD_TEMPLATES)
def test_a_template_that_fails_for_everybody_texts_nobody_and_says_why_once(frozen, caplog, body, reason, says):
    assert frozen(body, expect=reason)["skip_reason"] == reason
    told = [text for text in caplog.messages if text.startswith("Rows are left out because of the message:")]
    assert len(told) == bool(says)
    assert all(says in text for text in told)
    if reason == "missing_variable":
        assert_clear(told[0])


#: An address that the row makes, and its reason.
BAD_MEDIA = {
    "no scheme": ("example.com/a.jpg", "invalid_media_url"),
    "another scheme": ("ftp://example.com/a.jpg", "invalid_media_url"),
    "code": ("javascript:alert(1)", "invalid_media_url"),
    "a file": ("file:///etc/passwd", "invalid_media_url"),
    "no host": ("https:///a.jpg", "invalid_media_url"),
    "a space": ("https://example.com/a b.jpg", "invalid_media_url"),
    "a line end within": ("https://example.com/a\nb.jpg", "invalid_media_url"),
    "a port that is none": ("https://example.com:99999/a.jpg", "invalid_media_url"),
    "too long": (f"https://example.com/{'a' * 2048}", "invalid_media_url"),
    "none": (None, "missing_variable"),
}


@pytest.mark.parametrize(("address", "reason"), BAD_MEDIA.values(), ids=BAD_MEDIA)
def test_media_that_one_row_names_badly_leave_out_that_row(frozen, address, reason):
    message = Message(media_urls=("{{ image | default('https://example.com/a.jpg') if name != 'bad' else image }}",))
    found = frozen(message, name="bad", image=address)
    assert (found["send_state"], found["skip_reason"]) == ("skipped", reason)


@pytest.mark.parametrize("name", ['A "B" \\ C', "a\nb", "🌷", "A\0nn", "Ann\ud83d", "</script>"])
def test_content_variables_stay_json_whatever_the_row_holds(frozen, name):
    found = frozen(Message(content_sid=HX, content_variables={"1": "{{ name }}"}), name=name)
    assert found["send_state"] == "planned"
    assert json.loads(found["content_variables"]) == {"1": name.replace("\0", "").replace("\ud83d", "")}


def test_a_missing_content_variable_leaves_out_that_row(frozen):
    found = frozen(Message(content_sid=HX, content_variables={"1": "{{ name }}"}), name=None)
    assert found["skip_reason"] == "missing_variable"
