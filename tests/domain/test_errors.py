"""The error table: complete, in our own words, and consistent."""

import csv
import re
from pathlib import Path

import pytest

from twilio_campaigns.domain.errors import OUTCOME_UNKNOWN, ErrorClass, Scope, all_entries, error_entry

SHARED = Path(__file__).parents[3] / "shared" / "twilio" / "messaging_errors.csv"


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data lie beside the repository only in our workshop")
def test_every_messaging_code_is_covered_in_our_own_words():
    with SHARED.open() as file:
        theirs = {int(row["code"]): row for row in csv.DictReader(file)}
    assert set(theirs) <= set(all_entries())
    for code, entry in all_entries().items():
        if code in theirs:
            assert entry.comment.rstrip(".").lower() not in {
                theirs[code]["name"].lower(),
                theirs[code]["meaning_action"],
            }


def test_names_are_unique_and_stable_words():
    names = [entry.name for entry in all_entries().values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{2,60}", name) for name in names)


@pytest.mark.parametrize("entry", [*all_entries().values(), OUTCOME_UNKNOWN], ids=lambda entry: str(entry.code))
def test_comments_are_one_sentence_to_act_on(entry):
    assert entry.comment.endswith(".")
    assert entry.comment.count(".") == 1
    assert 40 <= len(entry.comment) <= 200


def test_an_unknown_code_is_normal():
    entry = error_entry(99999)
    assert (entry.name, entry.refused, entry.scope) == ("unknown_error", False, Scope.MESSAGE)
    assert "99999" in entry.comment


def test_no_code_no_error():
    assert error_entry(None) is None


@pytest.mark.parametrize(
    ("code", "refused", "suppresses", "scope"),
    [
        (20003, True, False, Scope.ACCOUNT),
        (21211, True, True, Scope.MESSAGE),
        (21408, True, False, Scope.MESSAGE),
        (21606, True, False, Scope.SENDER),
        (21610, True, True, Scope.MESSAGE),
        (21611, True, False, Scope.RATE),
        (20429, True, False, Scope.RATE),
        (30003, False, False, Scope.MESSAGE),
        (30005, False, True, Scope.MESSAGE),
        (30006, False, True, Scope.MESSAGE),
        (30007, True, False, Scope.MESSAGE),
        (30034, True, False, Scope.MESSAGE),
        (30036, False, False, Scope.MESSAGE),
        (63038, True, False, Scope.ACCOUNT),
    ],
)
def test_what_follows_from_a_code(code, refused, suppresses, scope):
    entry = error_entry(code)
    assert (entry.refused, entry.suppresses, entry.scope) == (refused, suppresses, scope)


def test_only_numbers_and_opt_outs_suppress():
    classes = {entry.error_class for entry in all_entries().values() if entry.suppresses}
    assert classes == {ErrorClass.RECIPIENT, ErrorClass.OPT_OUT}
