"""Words that opt out and in, and what follows from them and from Twilio's refusals, in any order."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import sender
from twilio_campaigns.domain.opt_out import Keyword, OptOutWords
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.suppression import EVERY_SENDER, Reason, Suppression, suppression_of

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
PERSON = "+12025550199"


@pytest.mark.parametrize(
    ("body", "meaning"),
    [
        ("STOP", Keyword.STOP),
        ("stop", Keyword.STOP),
        ("  Stop\n", Keyword.STOP),
        *[(word, Keyword.STOP) for word in ("STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT")],
        *[(word, Keyword.START) for word in ("START", "Yes", "UNSTOP")],
        *[(word, Keyword.HELP) for word in ("HELP", "info")],
        ("please stop", None),
        ("STOP texting me", None),
        ("stopp", None),
        ("", None),
        ("   ", None),
        (None, None),
    ],
)
def test_a_word_counts_only_when_it_is_the_whole_text(body, meaning):
    assert OptOutWords().meaning_of(body) is meaning


@pytest.mark.parametrize("body", ["arrêt", "ARRÊT", "arre\u0302t", " Arrêt "])
def test_words_of_the_account_are_added_to_the_english_ones(body):
    words = OptOutWords(stop=["ARRÊT"], start=["DÉBUT"], help_=["aide", "mehr info"])
    assert words.meaning_of(body) is Keyword.STOP
    assert words.meaning_of("début") is Keyword.START
    assert words.meaning_of("AIDE") is Keyword.HELP
    assert words.meaning_of("Mehr  Info") is Keyword.HELP
    assert words.meaning_of("stop") is Keyword.STOP
    assert OptOutWords().meaning_of(body) is None


def test_a_word_of_several_lists_opts_out():
    assert OptOutWords(start=["ende"], stop=["ENDE"]).meaning_of("Ende") is Keyword.STOP
    assert OptOutWords(stop=["YES"]).meaning_of("yes") is Keyword.STOP
    assert OptOutWords(start=["END"]).meaning_of("end") is Keyword.STOP


def test_words_are_settings():
    settings = Settings.from_environ(
        {"TWILIO_CAMPAIGNS__OPT_OUT_WORDS": "ARRÊT, ALTO,", "TWILIO_CAMPAIGNS__HELP_WORDS": "AIDE"}
    )
    assert settings.opt_out_words == ("ARRÊT", "ALTO")
    assert settings.opt_in_words == ()
    assert settings.help_words == ("AIDE",)
    assert settings.inbound_every == timedelta(minutes=15)


def test_an_opt_out_concerns_the_service_where_there_is_one_else_the_number():
    assert sender().scope == "MG" + "0" * 32
    assert sender(messaging_service_sid=None, from_number="+12025550142").scope == "+12025550142"


@pytest.mark.parametrize(
    ("code", "reason", "scope"),
    [
        (21610, Reason.OPT_OUT, "MG1"),
        (30630, Reason.OPT_OUT, "MG1"),
        (21211, Reason.BAD_NUMBER, EVERY_SENDER),
        (21614, Reason.BAD_NUMBER, EVERY_SENDER),
        (30005, Reason.BAD_NUMBER, EVERY_SENDER),
    ],
)
def test_a_code_says_whom_it_concerns(code, reason, scope):
    found = suppression_of(code, to_number=PERSON, sender_scope="MG1", at=AT)
    assert found == Suppression(PERSON, scope, reason, f"twilio:{code}", AT)


@pytest.mark.parametrize("code", [None, 30003, 30007, 99999])
def test_what_may_pass_next_time_suppresses_nobody(code):
    assert suppression_of(code, to_number=PERSON, sender_scope="MG1", at=AT) is None


def stop(second, source="inbound:SM1"):
    return Suppression(PERSON, "MG1", Reason.OPT_OUT, source, AT + timedelta(seconds=second))


def start(second, source="inbound:SM2"):
    return Suppression.start(PERSON, "MG1", source, AT + timedelta(seconds=second))


def test_the_last_word_counts():
    assert stop(1).merged(start(2)).lifted_at == AT + timedelta(seconds=2)
    assert start(1).merged(stop(2)).lifted_at is None
    assert start(1).merged(stop(1)).lifted_at is None
    assert stop(1).merged(start(2)).merged(stop(3)) == stop(3)
    assert start(2).merged(stop(1)).reason is Reason.OPT_OUT


facts = st.builds(
    lambda make, second, number: make(second, f"inbound:SM{number}"),
    st.sampled_from([stop, start]),
    st.integers(0, 4),
    st.integers(0, 3),
)


@given(st.lists(facts, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(seen, random):
    def outcome(order):
        (*_, state) = itertools.accumulate(order, Suppression.merged)
        return state

    expected = outcome(seen)
    assert outcome(random.sample([*seen, *seen], 2 * len(seen))) == expected
    stops = [fact.suppressed_at for fact in seen if fact.reason is Reason.OPT_OUT]
    starts = [fact.suppressed_at for fact in seen if fact.reason is Reason.OPT_IN]
    assert (expected.lifted_at is None) == bool(stops and (not starts or max(stops) >= max(starts)))
