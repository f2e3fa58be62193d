"""What people are told before they act follows from the run."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest

from builders import campaign
from twilio_campaigns.warehouse.insight.answers import (
    CountryFigures,
    Counts,
    DelayBucket,
    RunRow,
    Timeline,
    TimelinePoint,
)
from twilio_campaigns.web.pages import advice
from twilio_campaigns.web.pages.figures import funnel, histogram, timeline

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def counts(**given):
    return Counts(**{**{field.name: 0 for field in fields(Counts)}, **given})


def some_run(state="sending", *, logical_date=NOW - timedelta(days=2), **given):
    known = {field.name: None for field in fields(RunRow)}
    return RunRow(
        **{
            **known,
            "run_key": "spring/1",
            "campaign_id": "spring",
            "dag_id": "campaign__spring",
            "dag_run_id": "manual__1",
            "state": state,
            "logical_date": logical_date,
            "created_at": NOW,
            "counts": counts(**given),
        }
    )


def country(**given):
    known = {field.name: 0 for field in fields(CountryFigures)}
    return CountryFigures(**{**known, "country": "US", "sends_receipts": True, **given})


class TestRerun:
    @pytest.mark.parametrize(
        ("state", "verdict", "says"),
        [
            ("freezing", "Yes", "Nobody was texted yet"),
            ("sending", "Yes, nobody is texted twice", "never sent again"),
            ("paused", "Resume first", "sends nothing while the run is paused"),
            ("stopped", "Without effect", "trigger a new run of campaign__spring"),
            ("too_late", "Without effect", "twilio-campaigns send-late spring/1"),
            ("done", "Yes, nothing is sent twice", "left out of it"),
        ],
    )
    def test_every_state_has_its_answer(self, state, verdict, says):
        given = advice.rerun(some_run(state, planned=10, enqueued=10), campaign())
        assert given.verdict == verdict
        assert says in given.text

    def test_what_is_left_is_counted(self):
        text = advice.rerun(some_run(waiting=1200, unknown=3, undecided=1, enqueued=50), campaign()).text
        assert "What Twilio has (50) is never sent again. 1,200 messages still wait" in text
        assert "Of 3 the answer was lost" in text
        assert "1 of them could be one of several messages" in text

    def test_no_figure_yet_is_not_told_as_nothing(self):
        assert "What Twilio has is never sent again." in advice.rerun(some_run(), campaign()).text

    @pytest.mark.parametrize(
        ("state", "resumed_at", "says"),
        [
            ("sending", None, "send_batch sends, and what its tasks leave, resolve_unknown does within 2 min"),
            ("sending", NOW, "was resumed, so resolve_unknown begins to send within 2 min; if it has ended, clear it"),
            ("paused", None, "after a resumption resolve_unknown begins to send within 2 min"),
            ("paused", NOW, "after a resumption resolve_unknown begins to send within 2 min"),
        ],
    )
    def test_who_sends_what_waits_depends_on_a_pause(self, state, resumed_at, says):
        text = advice.rerun(some_run(state, waiting=1), campaign(), resumed_at).text
        assert "1 message still waits: " in text
        assert says in text
        assert ("send_batch sends" in text) == (resumed_at is None and state == "sending")

    def test_how_long_people_are_spared_is_the_campaigns(self):
        text = advice.rerun(some_run("done"), campaign(repeat_after=timedelta(hours=36))).text
        assert "within 1 d 12 h" in text


class TestBackfill:
    def test_a_slot_that_is_too_old_texts_nobody(self):
        given = advice.backfill(some_run(), campaign(schedule="@daily"), NOW)
        assert (given.verdict, given.tone) == ("Texts nobody", "good")
        assert "older than 1 h (max_lateness)" in given.text

    def test_a_slot_within_max_lateness_is_a_danger_and_says_so(self):
        given = advice.backfill(some_run(), campaign(schedule="@daily", max_lateness=timedelta(days=3)), NOW)
        assert given.tone == "care"
        assert "texts people for slots that are not yet older than 3 d" in given.text

    def test_without_a_schedule_airflow_refuses(self):
        given = advice.backfill(some_run(), campaign(max_lateness=timedelta(days=3)), NOW)
        assert (given.verdict, given.tone) == ("Cannot be backfilled: it has no schedule", "good")

    @pytest.mark.parametrize("state", ["stopped", "too_late", "done"])
    def test_a_run_that_is_over_sends_nothing_however_young_its_slot_is(self, state):
        given = advice.backfill(some_run(state), campaign(schedule="@daily", max_lateness=timedelta(days=3)), NOW)
        assert (given.verdict, given.tone) == ("Nothing of this run", "wait")
        assert f"This run is {state.replace('_', ' ')}: reprocessed or not, it sends nothing more" in given.text
        assert "text people if they have no run yet" in given.text

    def test_reading_days_again_never_texts(self):
        for of in (None, campaign(), campaign(schedule="@daily")):
            assert (
                "backfill of reconcile_messages over its days texts nobody" in advice.backfill(some_run(), of, NOW).text
            )


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        ({"sends_receipts": False, "enqueued": 500, "unreported": 500}, "Silent by nature"),
        ({"enqueued": 500, "delivered": 400, "failed": 100}, "Working"),
        ({"enqueued": 500, "delivered": 100, "failed": 400}, "Broken?"),
        ({"enqueued": 500, "unreported": 500}, "Silent"),
        ({"enqueued": 500, "open": 500}, "Under way"),
        ({"enqueued": 3, "delivered": 3}, "Too few to tell"),
        ({"planned": 3, "enqueue_failed": 3}, "Nothing sent"),
    ],
)
def test_a_silent_country_is_told_from_a_broken_one(given, verdict):
    assert advice.country(country(**given)).verdict == verdict


def test_the_funnel_says_where_people_were_lost():
    stages = funnel(
        counts(audience=10, excluded=2, planned=8, enqueued=6, enqueue_failed=2, sent=6, delivered=4, failed=1)
    )
    assert [(stage.label, stage.count) for stage in stages] == [
        ("audience", 10),
        ("planned", 8),
        ("enqueued", 6),
        ("sent", 6),
        ("delivered", 4),
        ("clicked", 0),
    ]
    assert stages[1].note == "2 left out"
    assert stages[2].note == "2 refused at once"
    assert stages[4].note == "1 failed"


def test_what_waits_in_a_stopped_run_is_never_sent():
    waiting = counts(audience=10, planned=10, waiting=10)
    assert funnel(waiting)[2].note == "10 waiting"
    assert funnel(waiting, stopped=True)[2].note == "10 never sent"


def test_a_timeline_has_no_gaps():
    at = NOW.replace(minute=0)
    points = [TimelinePoint(at, "sent", 3), TimelinePoint(at + timedelta(hours=3), "delivered", 2)]
    told = timeline(Timeline(timedelta(hours=1), points))
    assert told["statuses"] == ["sent", "delivered"]
    assert [(moment.hour, row) for moment, row in told["rows"]] == [
        (12, {"sent": 3}),
        (13, {}),
        (14, {}),
        (15, {"delivered": 2}),
    ]
    assert timeline(Timeline(timedelta(hours=1), []))["rows"] == []


def test_a_histogram_counts_every_message_once():
    buckets = [DelayBucket(0.9, 1.0, 2), DelayBucket(7, 7.7, 5), DelayBucket(100_000, 110_000, 1)]
    told = histogram(buckets)
    assert told[0] == ("< 1 s", 2)
    assert dict(told)["< 10 s"] == 5
    assert told[-1] == ("≥ 1 d", 1)
    assert sum(count for _, count in told) == 8
    assert histogram([]) == []
