"""What an audit compares, and how it tells what it found."""

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from uuid import uuid4

import pytest

from builders import observation
from twilio_campaigns.domain.audit_result import KEPT, AccountAudit, AuditResult, Finding, Kind
from twilio_campaigns.domain.auditing import (
    AuditedRow,
    Senders,
    SidSet,
    audited_day,
    is_ahead,
    looks_like_ours,
    pages,
    periods,
)
from twilio_campaigns.domain.exceptions import ConfigurationError, TwilioUnavailableError
from twilio_campaigns.domain.status import Status

DAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
SERVICE, OTHER_SERVICE = "MG" + "0" * 32, "MG" + "1" * 32
NUMBER = "+15005550006"
SENDERS = Senders(frozenset({SERVICE}), frozenset({NUMBER, "ACME"}))


def row(provider_status, status, **changes):
    return AuditedRow("SM" + "0" * 32, uuid4(), provider_status, status, **changes)


def account(**changes):
    return AccountAudit(**{"day": DAY, "connection": "twilio_default", "started_at": NOON, "complete": True, **changes})


class TestLooksLikeOurs:
    @pytest.mark.parametrize(
        ("changes", "is_ours"),
        [
            ({"messaging_service_sid": SERVICE, "from_number": "+12025550199"}, True),
            ({"messaging_service_sid": SERVICE}, True),
            ({"messaging_service_sid": OTHER_SERVICE}, False),
            ({"from_number": NUMBER}, True),
            ({"from_number": "ACME"}, True),
            ({"from_number": "+15005550007"}, False),
            # Another application's service that shares our number.
            ({"from_number": NUMBER, "messaging_service_sid": OTHER_SERVICE}, False),
            ({}, False),
        ],
    )
    def test_it_comes_from_a_sender_of_campaigns(self, changes, is_ours):
        assert looks_like_ours(observation(at=NOON, **changes), DAY, SENDERS) is is_ours

    @pytest.mark.parametrize("direction", ["inbound", "outbound-reply", "outbound-call"])
    def test_replies_and_calls_are_no_campaigns(self, direction):
        assert not looks_like_ours(observation(at=NOON, from_number=NUMBER, direction=direction), DAY, SENDERS)

    @pytest.mark.parametrize(
        ("at", "is_ours"),
        [
            (datetime(2026, 11, 19, 23, 59, 59, tzinfo=UTC), False),
            (datetime(2026, 11, 20, tzinfo=UTC), True),
            (datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC), True),
            (datetime(2026, 11, 21, tzinfo=UTC), False),
            (datetime(2026, 11, 20, 20, tzinfo=timezone(timedelta(hours=-5))), False),
        ],
    )
    def test_it_was_created_on_the_utc_day(self, at, is_ours):
        assert looks_like_ours(observation(at=at, from_number=NUMBER), DAY, SENDERS) is is_ours

    def test_a_sender_that_is_not_campaigns_alone_can_be_left_out(self):
        senders = SENDERS.without([NUMBER])
        assert not looks_like_ours(observation(at=NOON, from_number=NUMBER), DAY, senders)
        assert looks_like_ours(observation(at=NOON, messaging_service_sid=SERVICE), DAY, senders)


class TestIsAhead:
    @pytest.mark.parametrize(
        ("ledger", "status", "listed", "code", "ahead"),
        [
            ("delivered", Status.DELIVERED, "delivered", None, False),
            ("sent", Status.SENT, "delivered", None, True),
            ("queued", Status.ENQUEUED, "sent", None, True),
            ("sent", Status.SENT, "undelivered", 30003, True),
            # The ledger knows more: a webhook told it.
            ("delivered", Status.DELIVERED, "sent", None, False),
            ("delivered", Status.DELIVERED, "undelivered", 30003, False),
            ("read", Status.DELIVERED, "delivered", None, False),
            # The code came later and tells who refused it.
            ("undelivered", Status.FAILED, "undelivered", 30007, True),
            ("undelivered", Status.REJECTED, "undelivered", None, False),
            # Evidence of delivery wins.
            ("undelivered", Status.REJECTED, "delivered", None, True),
            (None, None, "queued", None, True),
            # A word that nobody has seen tells nothing.
            ("sent", Status.SENT, "teleported", None, False),
        ],
    )
    def test_only_what_the_ledger_does_not_know_counts(self, ledger, status, listed, code, ahead):
        seen = observation(status=listed, error_code=code)
        assert is_ahead(seen, row(ledger, status)) is ahead


@pytest.mark.parametrize(
    ("window", "day"),
    [
        (timedelta(days=4), date(2026, 11, 20)),
        (timedelta(seconds=2), date(2026, 11, 20)),
        (timedelta(days=5), date(2026, 11, 19)),
        (timedelta(days=4, hours=1), date(2026, 11, 19)),
    ],
)
def test_a_day_is_closed_when_every_window_and_its_run_are_over(window, day):
    assert audited_day(datetime(2026, 11, 25, 6, tzinfo=UTC), window) == day
    assert audited_day(datetime(2026, 11, 25, 1, tzinfo=timezone(timedelta(hours=-5))), window) == day


class TestPeriods:
    def test_the_day_is_one_period_that_reaches_half_a_day_beyond(self):
        assert periods(DAY, hours=False) == [
            (datetime(2026, 11, 19, 23, 55, tzinfo=UTC), datetime(2026, 11, 21, 11, 59, 59, tzinfo=UTC))
        ]

    def test_hours_follow_each_other_without_gap_or_overlap(self):
        hours = periods(DAY, hours=True)
        ((begin, end),) = periods(DAY, hours=False)
        assert (hours[0][0], hours[-1][1]) == (begin, end + timedelta(seconds=1))
        assert len(hours) == 37
        for (_, before), (after, _) in pairwise(hours):
            assert after - before == timedelta(seconds=1)


@pytest.mark.parametrize(("messages", "expected"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (1_000_000, 1000)])
def test_pages(messages, expected):
    assert pages(messages) == expected


class TestSidSet:
    SIDS = ("SM" + "0" * 32, "MM" + "0" * 32, "SM" + "af" * 16, "SM" + "AF" * 16, "made by hand", "SM1", "")

    def test_it_gives_back_what_it_was_given(self):
        held = SidSet(self.SIDS)
        assert len(held) == len(self.SIDS)
        assert all(sid in held for sid in self.SIDS)
        assert sorted(held.take(100)) == sorted(self.SIDS)
        assert (len(held), held.take(1)) == (0, [])

    def test_it_tells_what_was_new_and_what_was_there(self):
        held = SidSet()
        assert [held.add(self.SIDS[0]), held.add(self.SIDS[0]), held.add(self.SIDS[1])] == [True, False, True]
        assert [held.remove(self.SIDS[0]), held.remove(self.SIDS[0])] == [True, False]
        assert held.take(5) == [self.SIDS[1]]


class TestWords:
    def test_a_clean_day_is_told_in_one_line_and_needs_nobody(self):
        result = AuditResult(DAY, (account(accepted=1200, matched=1200, listed=3000, api_calls=4),))
        (line,) = result.lines()
        assert "1,200 accepted: 1,200 match, 0 missing, 0 different, 0 orphans (4 API calls, 3,000 listed" in line
        assert (result.is_clean, result.needs_a_person, result.problem()) == (True, False, "")

    def test_a_gap_is_told_with_figures_first_sid_and_remedy(self):
        found = account(accepted=3, matched=1)
        found.find(Finding(Kind.MISSING, "SMmissing", uuid4(), "sent"))
        found.find(Finding(Kind.DIFFERENT, "SMdifferent", uuid4(), "sent", "delivered"))
        found.find(Finding(Kind.ORPHAN, "SMorphan", provider_status="delivered"))
        result = AuditResult(DAY, (found, account(connection="other")))
        problem = result.problem()
        assert problem.startswith("Day 2026-11-20 has 1 missing, 1 different, 1 orphans.\n")
        for words in ("SMmissing", "SMdifferent", "SMorphan", "reconcile --day 2026-11-20", "stray_messages"):
            assert words in problem
        assert str(found.audit_id) in problem
        assert "Connection other" not in problem
        assert (result.is_clean, result.needs_a_person) == (False, True)

    @pytest.mark.parametrize(
        ("failure", "gaps", "needs_a_person"),
        [
            (TwilioUnavailableError("away"), 0, False),
            # Another try may find more: then is the time to call somebody.
            (TwilioUnavailableError("away"), 1, False),
            (ConfigurationError("login is missing"), 0, True),
        ],
    )
    def test_what_could_not_be_read_is_no_clean_day(self, failure, gaps, needs_a_person):
        result = AuditResult(DAY, (account(complete=False, failure=failure), account(missing=gaps)))
        assert (result.is_clean, result.is_complete, result.needs_a_person) == (False, False, needs_a_person)
        assert "The audit is incomplete." in result.problem()
        assert str(failure) in result.problem()
        assert "INCOMPLETE" in next(result.lines())

    def test_a_day_without_campaigns_is_clean(self):
        result = AuditResult(DAY, ())
        assert result.is_clean
        assert "nothing to compare" in next(result.lines())

    def test_counts_are_exact_where_findings_are_not_kept_any_more(self):
        found = account()
        for number in range(KEPT + 5):
            found.find(Finding(Kind.ORPHAN, f"SM{number:032x}"))
        found.find(Finding(Kind.MISSING, "SMmissing"))
        assert (found.orphans, found.missing, len(found.findings)) == (KEPT + 5, 1, KEPT + 1)
