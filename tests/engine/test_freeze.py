"""Freezing: who is texted, who is not and why; re-running changes nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from builders import campaign, freeze, people, run
from twilio_campaigns.domain.campaign import AudienceRules, Message
from twilio_campaigns.domain.exceptions import AudienceError, TransientError
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.engine.freeze import freeze_audience
from twilio_campaigns.warehouse.expiry import Expiry

NOW = datetime.now(UTC)


def states(query):
    rows = query("select coalesce(skip_reason, send_state) as word, count(*) as n from messages group by 1")
    return {row["word"]: row["n"] for row in rows}


def test_every_row_is_kept_with_its_reason(warehouse, query):
    rows = [
        *people(3),
        {"customer_id": "a", "phone": "not a number", "first_name": "A"},
        {"customer_id": "b", "phone": "+12025550001", "first_name": "same number as c000001"},
        {"customer_id": "c", "phone": "+441212345678", "first_name": "landline of Birmingham"},
        {"customer_id": "d", "phone": "+12025559999", "first_name": None},
        {"customer_id": "e", "phone": "+12025559998", "first_name": "x" * 1700},
    ]
    frozen = freeze(warehouse, rows)
    assert frozen.state is RunState.SENDING
    assert frozen.batches == [1]
    assert states(query) == {
        "planned": 3,
        "invalid_number": 1,
        "duplicate_number": 1,
        "not_mobile": 1,
        "missing_variable": 1,
        "body_too_long": 1,
    }
    assert query("select audience_rows from campaign_runs")[0]["audience_rows"] == len(rows)


def test_the_lowest_customer_id_gets_a_shared_number(warehouse, query):
    same = [{"customer_id": name, "phone": "+12025550100", "first_name": "x"} for name in ("b", "a", "c")]
    freeze(warehouse, same)
    assert [r["customer_id"] for r in query("select * from messages where send_state = 'planned'")] == ["a"]


def test_identical_bad_rows_each_keep_a_row(warehouse, query):
    freeze(warehouse, [{"customer_id": "a", "phone": "junk", "first_name": "x"}] * 3)
    assert states(query) == {"invalid_number": 3}


def test_a_frozen_run_stays_as_it_is(warehouse, query):
    freeze(warehouse, people(5))
    before = query("select * from messages order by message_key")
    again = freeze_audience(warehouse, run(), campaign(message=Message(body="Other")), pytest.fail)
    assert again.batches == [1]
    assert query("select * from messages order by message_key") == before


def test_keys_are_deterministic(warehouse, query):
    rows = [*people(4), {"customer_id": "a", "phone": "junk", "first_name": "x"}]
    freeze(warehouse, rows)
    first = {row["message_key"] for row in query("select message_key from messages")}
    query("delete from messages")
    query("delete from campaign_runs")
    freeze(warehouse, list(reversed(rows)))
    assert {row["message_key"] for row in query("select message_key from messages")} == first


def test_a_segment_that_breaks_half_way_leaves_nothing(warehouse, query):
    def broken():
        yield people(10)
        raise AudienceError("row 11 cannot be read")

    with pytest.raises(AudienceError):
        freeze_audience(warehouse, run(), campaign(), broken)
    assert query("select * from messages") == []
    assert query("select * from audience_staging") == []
    assert freeze(warehouse, people(10)).state is RunState.SENDING


def test_suppressed_numbers_are_left_out_until_lifted(warehouse, query):
    query("insert into suppressions values ('+12025550000', 'opt_out', 'test')")
    query("insert into suppressions values ('+12025550001', 'opt_out', 'test', now(), now())")
    freeze(warehouse, people(3))
    assert states(query) == {"planned": 2, "suppressed": 1}


def test_a_late_run_texts_nobody_and_reads_nothing(warehouse, query):
    late = run(logical_date=NOW - timedelta(hours=3))
    frozen = freeze_audience(warehouse, late, campaign(), pytest.fail)
    assert (frozen.state, frozen.batches) == (RunState.TOO_LATE, [])
    # Whatever happens to the setting later, the judgement stands.
    again = freeze_audience(warehouse, late, campaign(max_lateness=timedelta(days=9)), pytest.fail)
    assert again.state is RunState.TOO_LATE
    assert query("select * from messages") == []


def test_a_run_in_time_is_not_late(warehouse):
    assert freeze(warehouse, people(1), as_run=run(logical_date=NOW - timedelta(minutes=30))).batches == [1]


def test_a_second_run_soon_after_leaves_out_whom_the_first_one_has(warehouse, query):
    freeze(warehouse, people(3))
    freeze(warehouse, people(5), as_run=run("second"))
    assert states(query) == {"planned": 5, "recently_texted": 3}


def test_another_campaign_is_no_repetition(warehouse, query):
    freeze(warehouse, people(3))
    freeze(warehouse, people(3), of=campaign(campaign_id="autumn"), as_run=run("x", "autumn"))
    assert states(query) == {"planned": 6}


def test_batches_follow_the_audience(warehouse, query):
    assert freeze(warehouse, people(25), of=campaign(batch_size=10)).batches == [1, 2, 3]
    sizes = query("select batch_no, count(*) as n from messages group by 1 order by 1")
    assert [row["n"] for row in sizes] == [10, 10, 5]


def test_never_more_batches_than_airflow_maps(warehouse):
    assert len(freeze(warehouse, people(3000), of=campaign(batch_size=1)).batches) == 1000


def test_an_empty_segment_is_a_run_without_batches(warehouse):
    assert freeze(warehouse, []).batches == []


def test_the_spec_in_the_ledger_is_the_campaign(warehouse, query):
    spec = campaign(audience=AudienceRules(default_region="DE"), batch_size=7)
    freeze(warehouse, people(1), of=spec)
    stored = query("select spec from campaign_runs")[0]["spec"]
    assert type(spec).model_validate(stored) == spec


def test_a_server_that_lost_staged_rows_freezes_nobody(warehouse, query):
    """Crash recovery empties an unlogged table; whoever was in it must not vanish without a row."""

    def chunks():
        yield people(10)
        query("delete from audience_staging")
        yield people(10, first=10)

    with pytest.raises(TransientError, match=r"Of 20 rows .* kept 10"):
        freeze_audience(warehouse, run(), campaign(), chunks)
    assert query("select count(*) as n from messages") == [{"n": 0}]
    assert query("select state from campaign_runs") == [{"state": "freezing"}]
    assert freeze_audience(warehouse, run(), campaign(), lambda: iter([people(20)])).batches == [1]


def words_of(query, campaign_run):
    rows = query("select coalesce(skip_reason, send_state) as s from messages where run_key = %s", campaign_run.run_key)
    return {row["s"] for row in rows}


def test_whom_a_stopped_run_never_reached_may_be_texted_by_the_next_one(warehouse, query):
    freeze(warehouse, people(3))
    query("update campaign_runs set state = 'stopped'")
    freeze(warehouse, people(3), as_run=run("second"))
    assert words_of(query, run("second")) == {"planned"}


def test_whom_a_run_may_text_at_any_moment_is_left_out_however_old_it_is(warehouse, query):
    freeze(warehouse, people(3))
    query("update campaign_runs set created_at = now() - interval '13 hours'")
    freeze(warehouse, people(3), as_run=run("second"))
    assert words_of(query, run("second")) == {"recently_texted"}


def test_what_counts_is_when_somebody_was_texted_not_when_the_run_began(warehouse, query):
    freeze(warehouse, people(2))
    query("update campaign_runs set created_at = now() - interval '20 hours'")
    query(
        "update messages set send_state = 'accepted', message_sid = 'SM' || to_number, "
        "claimed_at = now() - case when customer_id = 'c000000' then interval '11 hours' else interval '13 hours' end"
    )
    freeze(warehouse, people(2), as_run=run("second"))
    rows = query("select customer_id, skip_reason from messages where run_key = %s order by 1", run("second").run_key)
    assert [row["skip_reason"] for row in rows] == ["recently_texted", None]


def test_rows_without_a_number_never_share_a_key(warehouse, query):
    bad = [
        {"customer_id": "x|1", "phone": "y"},
        {"customer_id": "x", "phone": "1|y"},
        {"customer_id": "x", "phone": ""},
    ]
    freeze(warehouse, bad)
    assert query("select count(*) as n from messages where send_state = 'skipped'") == [{"n": 3}]


def test_what_nobody_sent_in_time_is_given_up_whatever_became_of_its_run(warehouse, query):
    freeze(warehouse, people(3))
    freeze(warehouse, people(3, first=10), as_run=run("alive"))
    query("update campaign_runs set state = 'stopped' where run_key = %s", run().run_key)
    query("update messages set send_before = now() where run_key = %s", run().run_key)
    assert Expiry(warehouse).close_late() == 3
    assert words_of(query, run()) == {"too_late"}
    assert words_of(query, run("alive")) == {"planned"}
    assert Expiry(warehouse).close_late() == 0
