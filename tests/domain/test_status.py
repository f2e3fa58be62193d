"""Statuses: the vocabulary, its order, and what Twilio's words come to."""

from datetime import UTC, datetime, timedelta

import pytest

from builders import observation
from twilio_campaigns.domain.message import facts_of
from twilio_campaigns.domain.status import PROVIDER_ORDER, Status, provider_rank, status_of


def test_the_vocabulary_is_the_contract():
    words = "enqueued enqueue_failed sent delivered failed rejected incoming_message clicked"
    assert {str(status) for status in Status} == set(words.split(" "))


def test_knowledge_is_ordered():
    order = [Status.ENQUEUED, Status.SENT, Status.FAILED, Status.REJECTED, Status.DELIVERED]
    assert sorted(order, key=lambda status: status.rank) == order


@pytest.mark.parametrize(
    ("word", "refused", "status"),
    [
        ("accepted", False, Status.ENQUEUED),
        ("scheduled", False, Status.ENQUEUED),
        ("queued", False, Status.ENQUEUED),
        ("sending", False, Status.ENQUEUED),
        ("sent", False, Status.SENT),
        ("partially_delivered", False, Status.SENT),
        ("delivered", False, Status.DELIVERED),
        ("read", False, Status.DELIVERED),
        ("undelivered", False, Status.FAILED),
        ("undelivered", True, Status.REJECTED),
        ("failed", False, Status.FAILED),
        ("failed", True, Status.REJECTED),
        ("canceled", False, Status.REJECTED),
        ("something_new", False, None),
    ],
)
def test_every_word_of_twilio(word, refused, status):
    assert status_of(word, refused=refused) is status


def test_provider_words_are_ranked_and_unseen_ones_never_win():
    ranks = [provider_rank(word) for word in PROVIDER_ORDER]
    assert ranks == sorted(set(ranks))
    assert provider_rank("something_new") < min(ranks)


def test_facts_carry_the_providers_moments():
    at = datetime(2026, 11, 20, tzinfo=UTC)
    seen = observation(status="undelivered", at=at, sent_at=at + timedelta(seconds=3), error_code=30003)
    facts = facts_of(seen, refused=False)
    assert [(fact.status, fact.occurred_at, fact.status_code) for fact in facts] == [
        (Status.ENQUEUED, at, None),
        (Status.SENT, at + timedelta(seconds=3), None),
        (Status.FAILED, seen.updated_at, 30003),
    ]


def test_a_failure_before_sending_implies_no_sent():
    assert [fact.status for fact in facts_of(observation(status="failed"), refused=True)] == [
        Status.ENQUEUED,
        Status.REJECTED,
    ]
