"""Text segments: counted as the network counts them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_campaigns.domain.parts import Encoding, count_parts, shortened

SHARED = Path(__file__).parents[3] / "shared" / "twilio" / "gsm7_charset_septets.json"
GSM = "abcXYZ019 @£\n"
EXTENDED = "^{}\\[~]|€\f"


@pytest.mark.parametrize(
    ("body", "encoding", "units", "parts"),
    [
        ("", Encoding.GSM7, 0, 1),
        ("a" * 160, Encoding.GSM7, 160, 1),
        ("a" * 161, Encoding.GSM7, 161, 2),
        ("a" * 306, Encoding.GSM7, 306, 2),
        ("a" * 307, Encoding.GSM7, 307, 3),
        ("€" * 80, Encoding.GSM7, 160, 1),
        ("€" * 81, Encoding.GSM7, 162, 2),
        ("a" * 152 + "€" + "a" * 10, Encoding.GSM7, 164, 2),
        ("\u00e1" * 70, Encoding.UCS2, 70, 1),
        ("\u00e1" * 71, Encoding.UCS2, 71, 2),
        ("\U0001f600" * 35, Encoding.UCS2, 70, 1),
        ("\U0001f600" * 36, Encoding.UCS2, 72, 2),
    ],
)
def test_the_limits(body, encoding, units, parts):
    counted = count_parts(body)
    assert (counted.encoding, counted.units, counted.parts) == (encoding, units, parts)


def split(body, encoding):
    """Cut a body as a phone would, one character after the other."""
    single, joined = (160, 153) if encoding is Encoding.GSM7 else (70, 67)
    cost = (lambda c: 2 if c in EXTENDED else 1) if encoding is Encoding.GSM7 else (lambda c: 2 if c > "\uffff" else 1)
    if sum(map(cost, body)) <= single:
        return [body]
    parts = [""]
    for character in body:
        if sum(map(cost, parts[-1])) + cost(character) > joined:
            parts.append("")
        parts[-1] += character
    return parts


@given(st.text(alphabet=GSM + EXTENDED, max_size=700))
def test_gsm7_is_split_like_a_phone_does(body):
    counted = count_parts(body)
    assert counted.encoding is Encoding.GSM7
    assert counted.parts == len(split(body, Encoding.GSM7))


@given(st.text(alphabet=GSM + "\u0434\u00e1\U0001f600\U0001f680", max_size=300).map(lambda body: body + "\u0434"))
def test_ucs2_is_split_like_a_phone_does(body):
    counted = count_parts(body)
    assert counted.encoding is Encoding.UCS2
    assert counted.parts == len(split(body, Encoding.UCS2))


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data lie beside the repository only in our workshop")
def test_the_alphabet_is_twilios():
    septets = {chr(int(code.replace("U+", "0x"), 0)): cost for code, cost in json.loads(SHARED.read_text()).items()}
    for character, cost in septets.items():
        counted = count_parts(character)
        assert (counted.encoding, counted.units) == (Encoding.GSM7, cost), hex(ord(character))
    others = set(map(chr, range(0x2100))) - set(septets) - {chr(n) for n in range(0xD800, 0xE000)}
    assert all(count_parts(character).encoding is Encoding.UCS2 for character in others)


class TestShortened:
    @pytest.mark.parametrize("body", ["", "x", "x" * 306, "日" * 134], ids=len)
    def test_what_fits_stays_as_it_is(self, body):
        assert shortened(body, 2) == body

    @pytest.mark.parametrize(
        ("body", "max_parts", "kept"),
        [
            ("x" * 161, 1, "x" * 157),
            ("x" * 307, 2, "x" * 303),
            ("日" * 71, 1, "日" * 67),
            ("€" * 200, 1, "€" * 78),
            ("x" * 150 + " " * 20 + "日", 1, "x" * 150),
        ],
        ids=["one part", "two parts", "UCS-2", "two septets each", "no blanks before the dots"],
    )
    def test_what_does_not_is_cut_as_late_as_possible_and_ends_with_three_dots(self, body, max_parts, kept):
        assert shortened(body, max_parts) == kept + "..."
        assert count_parts(kept + "...").parts == max_parts

    @given(st.text(max_size=2000), st.integers(1, 10))
    def test_it_never_takes_more_parts_than_it_may(self, body, max_parts):
        assert count_parts(shortened(body, max_parts)).parts <= max_parts
