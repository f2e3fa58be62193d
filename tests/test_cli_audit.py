"""Command `audit`, as a person or a script at the shell meets it."""

import asyncio
import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from builders import campaign, freeze, people, run
from twilio_campaigns.cli import app
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway


@pytest.fixture
def day(warehouse, query, simulator, connect_twilio, connect_warehouse, database_url):
    """The day of twenty messages whose fate the ledger knows."""
    freeze(warehouse, people(20))
    connect_twilio(simulator.url)
    connect_warehouse(database_url)

    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            await BatchSender(warehouse, twilio, campaign(), Settings()).send(run().run_key, 1)

    asyncio.run(work())
    query("update messages set provider_status = 'read', status = 'delivered', tracking_closes_at = now()")
    return query("select distinct tracked_on as day from messages")[0]["day"]


@pytest.fixture
def lost(query):
    """Let two rows have SIDs that Twilio does not know."""

    def lose():
        rows = query("select message_key from messages order by message_key limit 2")
        for number, row in enumerate(rows):
            query("update messages set message_sid = %s where message_key = %s", f"SM{number:032x}", row["message_key"])

    return lose


def invoke(*words):
    return CliRunner().invoke(app, ["audit", *[str(word) for word in words]])


def test_a_clean_day_is_a_table_and_exit_code_0(day):
    result = invoke("--day", day)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"Audit of {day}" in result.stdout
    assert "twilio_default" in result.stdout
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in result.stdout.splitlines() if "│" in line]
    assert cells[:5] == [["accepted", "20"], ["matched", "20"], ["missing", "0"], ["different", "0"], ["orphans", "0"]]
    assert max(len(line) for line in result.stdout.splitlines()) < 80


def test_a_gap_is_exit_code_1_and_says_what_to_do(day, lost):
    lost()
    result = invoke("--day", day)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
    assert f"Day {day} has 2 missing, 0 different, 2 orphans." in result.stderr
    assert "Twilio does not know 2 messages" in result.stderr
    assert "Traceback" not in result.stderr
    assert "+1202" not in result.output


def test_json_is_for_programs_with_every_finding(day, lost):
    assert json.loads(invoke("--day", day, "--format", "json").stdout)["clean"] is True
    lost()
    result = invoke("--day", day, "--format", "json")
    said = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (said["day"], said["clean"], said["complete"], said["missing"]) == (str(day), False, True, 2)
    (account,) = said["accounts"]
    missing = {finding["message_sid"] for finding in account["findings"] if finding["kind"] == "missing"}
    assert missing == {f"SM{number:032x}" for number in range(2)}
    assert account["connection"] == "twilio_default"


def test_the_last_audit_is_shown_without_asking_twilio(day, lost, simulator):
    lost()
    fresh = json.loads(invoke("--day", day, "--format", "json").stdout)
    simulator.stop()
    result = invoke("--day", day, "--last", "--format", "json")
    shown = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {f["message_sid"] for f in shown["accounts"][0]["findings"]} == {
        f["message_sid"] for f in fresh["accounts"][0]["findings"]
    }
    assert shown["accounts"][0]["audit_id"] == fresh["accounts"][0]["audit_id"]
    assert "Twilio does not know 2 messages" in result.stderr


def test_what_no_table_keeps_is_not_shown_of_the_last_audit(day, lost):
    lost()
    assert "fetched" in invoke("--day", day).stdout
    assert "fetched" not in invoke("--day", day, "--last").stdout
    shown = json.loads(invoke("--day", day, "--last", "--format", "json").stdout)
    assert "fetched" not in {**shown, **shown["accounts"][0]}


def test_an_incomplete_audit_is_exit_code_1_and_is_shown_as_such(day, connect_twilio, simulator):
    connect_twilio(simulator.url, password="hidden")
    for words in (["--day", day], ["--day", day, "--last"]):
        result = invoke(*words)
        assert result.exit_code == 1
        assert "(incomplete)" in result.stdout
        assert "does not accept these credentials" in result.stderr
        assert "hidden" not in result.output


def test_senders_that_are_not_campaigns_alone_are_left_out(day, query):
    query("delete from messages where customer_id >= 'c000010'")
    assert "orphans" in invoke("--day", day).stderr
    assert invoke("--day", day, "--other-sender", "MG" + "0" * 32).exit_code == 0


def test_a_day_without_campaigns_is_said_to_be_one(day):
    result = invoke("--day", day - timedelta(days=30))
    assert (result.exit_code, "nothing to compare" in result.stdout) == (0, True)


def test_a_day_that_nobody_audited_has_no_last_audit(day):
    result = invoke("--day", day, "--last")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Nobody has audited" in result.stderr


@pytest.mark.parametrize("words", [["--day", "yesterday"], [], ["--day", "2026-11-20", "--format", "xml"]])
def test_what_cannot_be_read_is_a_wrong_usage(words):
    assert invoke(*words).exit_code == 2
