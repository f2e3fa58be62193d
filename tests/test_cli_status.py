"""What `status` says needs a person, for people and for monitors."""

import json

import pytest
from typer.testing import CliRunner

from told_run import tell_run
from twilio_campaigns.cli import app


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def run_key(warehouse, query):
    return tell_run(warehouse, query)


def test_each_run_is_named_on_a_line_of_its_own(run_key, database_url):
    assert f"  run 1  {run_key}\n" in invoke("status", "--database-url", database_url).stdout


def test_what_needs_a_person_is_told_and_checked(run_key, query, database_url):
    def concerns():
        result = invoke("status", "--format", "json", "--check", "--database-url", database_url)
        found = json.loads(result.stdout)["concerns"]
        assert result.exit_code == (1 if found else 0)
        return {row["concern"].split()[0]: row["count"] for row in found}

    assert concerns() == {"days": 1}
    query("insert into reconcile_days (day, last_pass_at) values ('2026-11-20', now())")
    assert concerns() == {}
    said = invoke("status", "--database-url", database_url)
    assert (said.exit_code, "Needs a person: none." in said.stdout) == (0, True)
    query("update campaign_runs set state = 'paused', state_changed_at = now()")
    query(
        "update messages set send_state = 'unknown', message_sid = null, undecided_at = now() "
        "where send_state = 'accepted' and provider_status = 'queued'"
    )
    query("insert into stray_messages (message_sid, reason) values ('SM1', 'test')")
    query("insert into webhook_rejections values (current_date, 'forged', 7, now())")
    query("insert into webhook_rejections values (current_date, 'malformed', 7, now())")
    assert concerns() == {"runs": 1, "lost": 1, "messages": 1, "webhooks": 7}
    table = invoke("status", "--check", "--database-url", database_url)
    assert (table.exit_code, "Needs a person" in table.stdout) == (1, True)


def test_an_audit_concerns_until_a_later_one_is_clean(run_key, query, database_url):
    query("insert into reconcile_days (day, last_pass_at) values ('2026-11-20', now())")
    for orphans, minutes in ((3, 20), (0, 10)):
        query(
            "insert into reconcile_audits (audit_id, day, connection, started_at, complete, orphans) values "
            "(gen_random_uuid(), current_date - 6, 'twilio_default', now() - make_interval(mins => %s), true, %s)",
            minutes,
            orphans,
        )
        result = invoke("status", "--check", "--format", "json", "--database-url", database_url)
        assert (result.exit_code, len(json.loads(result.stdout)["concerns"])) == ((1, 1) if orphans else (0, 0))
