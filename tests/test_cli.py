"""The command line, as a person or a script at the shell meets it."""

import asyncio
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from builders import campaign, freeze, people, run
from twilio_campaigns.cli import app
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway

INCLUDE = Path(__file__).parent.parent / "include"
SENDERS = "marketing:\n  messaging_service_sid: MG0123456789abcdef0123456789abcdef\n"
GOOD = """\
sender: marketing
segment:
  query: select 1 as customer_id, '+12025550100' as phone
message:
  body: Hello
"""
#: What no address of a test leads to.
NOWHERE = "postgresql://user:hidden@127.0.0.1:1/warehouse"


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def assert_refused(result, says, lines=1):
    """Exit code 1, nothing on stdout, so many lines on stderr, none of them a traceback."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == lines, result.stderr
    assert re.search(says, result.stderr), result.stderr
    assert "Traceback" not in result.stderr
    assert "hidden" not in result.stderr


@pytest.fixture
def include(tmp_path):
    """An include folder in a path longer than a terminal's line."""
    folder = tmp_path / ("long" * 25) / "include"
    (folder / "campaigns").mkdir(parents=True)
    (folder / "senders.yaml").write_text(SENDERS, "utf-8")
    return folder


@pytest.fixture
def frozen(warehouse):
    freeze(warehouse, people(20))
    return run().run_key


@pytest.fixture
def sent(frozen, warehouse, simulator, connect_twilio):
    """Twenty messages that Twilio has; gives the day of their acceptance."""
    connect_twilio(simulator.url)

    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            await BatchSender(warehouse, twilio, campaign(), Settings()).send(frozen, 1)

    asyncio.run(work())
    with warehouse.transaction() as connection:
        return connection.execute("select distinct tracked_on from messages").fetchone()["tracked_on"]


class TestValidate:
    def test_our_own_campaigns_are_good(self):
        result = invoke("validate", "--include", INCLUDE)
        assert result.exit_code == 0
        assert result.stdout == "product_launch: ok\nspring_sale: ok\n"
        assert result.stderr == ""

    def test_each_broken_file_is_named_with_line_field_and_remedy_and_hides_no_good_one(self, include):
        (include / "campaigns" / "good.yaml").write_text(GOOD, "utf-8")
        (include / "campaigns" / "bad.yaml").write_text(f"{GOOD}timezone: Europe/Berlim\nmax_latenes: 2h\n", "utf-8")
        (include / "campaigns" / "worse.yaml").write_text(GOOD.replace("marketing", "marketin"), "utf-8")
        result = invoke("validate", "--include", include)
        assert result.exit_code == 1
        assert result.stdout == "good: ok\n"
        first, second, third = sorted(result.stderr.splitlines())
        assert re.search(r"campaigns/bad\.yaml:6: timezone: .* Did you mean 'Europe/Berlin'\?", first)
        assert re.search(r"campaigns/bad\.yaml:7: max_latenes: .*max_lateness", second)
        assert re.search(r"campaigns/worse\.yaml:1: sender: .*marketing", third)

    def test_a_folder_without_campaigns_is_not_taken_for_good(self, include):
        assert_refused(invoke("validate", "--include", include), r"no campaign in .*campaigns\. Add a file")

    def test_a_folder_that_does_not_exist_is_not_either(self, tmp_path):
        assert_refused(invoke("validate", "--include", tmp_path / "nowhere"), "Create it, or point")


class TestUpgrade:
    def test_an_empty_database_gets_tables_and_keeps_them(self, empty_database_url):
        first, again = (invoke("upgrade", "--database-url", empty_database_url) for _ in range(2))
        assert (first.exit_code, again.exit_code) == (0, 0)
        told = re.search(r"^Schema messaging has revision \w+\.$", first.stdout, re.MULTILINE)
        assert told
        assert told[0] in again.stdout
        with psycopg.connect(empty_database_url) as connection:
            assert connection.execute("select count(*) from messaging.message_status").fetchone() == (0,)

    def test_airflows_connection_and_the_schemas_name_come_from_the_environment(
        self, empty_database_url, connect_warehouse, monkeypatch
    ):
        connect_warehouse(empty_database_url)
        monkeypatch.setenv("TWILIO_CAMPAIGNS__SCHEMA", "texts")
        assert re.search(r"^Schema texts has revision \w+\.$", invoke("upgrade").stdout, re.MULTILINE)
        with psycopg.connect(empty_database_url) as connection:
            assert connection.execute("select count(*) from texts.campaign_runs").fetchone() == (0,)


class TestCreateDatabase:
    def test_it_is_made_once(self, postgres_url, connect_warehouse):
        url = postgres_url.replace("/postgres?", "/made_by_command?", 1)
        connect_warehouse(url)
        try:
            first, again = invoke("create-database"), invoke("create-database", "--database-url", url)
            assert (first.exit_code, again.exit_code) == (0, 0)
            assert (first.stdout, again.stdout) == ("The database was created.\n", "The database is there already.\n")
            assert invoke("upgrade").exit_code == 0
        finally:
            with psycopg.connect(postgres_url, autocommit=True) as connection:
                connection.execute("drop database if exists made_by_command")

    @pytest.mark.parametrize(("url", "says"), [(None, "--database-url"), (NOWHERE, "Check that it runs")])
    def test_a_server_that_is_away_is_said_in_one_line(self, url, says):
        assert_refused(invoke("create-database", *(["--database-url", url] if url else [])), says)


class TestReconcile:
    def test_it_reads_the_day_and_repairs_its_events(self, sent, query, database_url):
        query("delete from campaign_events")
        result = invoke("reconcile", "--day", sent, "--database-url", database_url)
        assert result.exit_code == 0, result.output
        (line,) = result.stdout.splitlines()
        assert re.match(rf"{sent}: Repair: \d+ API calls .*, 20 observed, ", line)
        assert {row["status"] for row in query("select status from campaign_events")} >= {"enqueued", "delivered"}
        assert "+1202" not in result.output

    def test_programs_get_json(self, sent, database_url):
        result = invoke("reconcile", "--day", sent, "--format", "json", "--database-url", database_url)
        said = json.loads(result.stdout)
        assert (said["day"], said["read"], "20 observed" in said["summary"]) == (str(sent), True, True)

    def test_another_day_needs_no_call(self, sent, database_url, connect_twilio):
        connect_twilio("http://127.0.0.1:1")
        result = invoke("reconcile", "--day", sent - timedelta(days=1), "--database-url", database_url)
        assert (result.exit_code, "0 API calls" in result.stdout) == (0, True)

    def test_wrong_credentials_are_said_in_one_line(self, sent, query, database_url, simulator, connect_twilio):
        connect_twilio(simulator.url, password="hidden")
        result = invoke("reconcile", "--day", sent, "--database-url", database_url)
        assert_refused(result, "does not accept these credentials. Check the connection's Account SID")

    def test_a_missing_connection_is_said_in_one_line(self, sent, query, database_url, monkeypatch):
        monkeypatch.delenv("AIRFLOW_CONN_TWILIO_DEFAULT")
        result = invoke("reconcile", "--day", sent, "--database-url", database_url)
        assert_refused(result, r"twilio_default.* AIRFLOW_CONN_")
        # What this shell lacks is no failed pass, of which the health page would tell for a day.
        assert query("select * from reconcile_passes") == []

    @pytest.mark.parametrize("day", ["2026-13-01", "yesterday", None])
    def test_a_day_that_is_none_is_a_wrong_usage(self, database_url, day):
        words = ["--day", day] if day else []
        result = invoke("reconcile", "--database-url", database_url, *words)
        assert (result.exit_code, "--day" in result.stderr) == (2, True)


class TestStop:
    def test_a_run_that_may_still_send_is_stopped(self, frozen, query, database_url):
        for state in (RunState.FREEZING, RunState.SENDING, RunState.PAUSED):
            query("update campaign_runs set state = %s", state)
            result = invoke("stop", frozen, "--database-url", database_url)
            assert (result.exit_code, result.stdout) == (0, f"Run {frozen} was stopped.\n")
            assert query("select state from campaign_runs") == [{"state": "stopped"}]

    def test_a_run_that_is_over_stays_what_it_is(self, frozen, query, database_url, connect_warehouse):
        connect_warehouse(database_url)
        for state in (RunState.STOPPED, RunState.DONE, RunState.TOO_LATE):
            query("update campaign_runs set state = %s", state)
            result = invoke("stop", frozen)
            assert (result.exit_code, result.stdout) == (0, f"Run {frozen} is {state} already.\n")
            assert query("select state from campaign_runs") == [{"state": state}]

    def test_an_unknown_run_is_an_error_and_others_go_on(self, frozen, query, database_url):
        result = invoke("stop", f"{frozen}-{'and-so-on' * 10}", "--database-url", database_url)
        assert_refused(result, "There is no run .* See table campaign_runs")
        assert query("select state from campaign_runs") == [{"state": "sending"}]


class TestSteering:
    def test_a_run_is_paused_and_resumed_by_name(self, frozen, query, database_url):
        result = invoke("pause", frozen, "--database-url", database_url)
        assert (result.exit_code, "is paused" in result.stdout) == (0, True)
        assert query("select state from campaign_runs") == [{"state": "paused"}]
        result = invoke("resume", frozen, "--database-url", database_url)
        assert (result.exit_code, "task `resolve_unknown`" in result.stdout) == (0, True)
        (row,) = query("select state, state_changed_by, resumed_at from campaign_runs")
        assert row["state"] == "sending"
        assert row["state_changed_by"]
        assert row["resumed_at"] is not None

    @pytest.mark.parametrize(
        ("action", "state", "changed", "then", "exit_code"),
        [
            ("pause", "sending", True, "paused", 0),
            ("pause", "paused", False, "paused", 0),
            ("pause", "done", False, "done", 3),
            ("resume", "paused", True, "sending", 0),
            ("resume", "sending", False, "sending", 0),
            ("resume", "stopped", False, "stopped", 3),
            ("stop", "paused", True, "stopped", 0),
            ("stop", "done", False, "done", 0),
            ("send-late", "sending", True, "sending", 0),
        ],
    )
    def test_programs_are_told_what_became_of_the_last_run_of_a_campaign(
        self, frozen, query, database_url, action, state, changed, then, exit_code
    ):
        query("update campaign_runs set state = %s", state)
        result = invoke(action, frozen.partition("/")[0], "--format", "json", "--database-url", database_url)
        told = json.loads(result.stdout)
        assert frozen in told.pop("said")
        assert told == {"action": action, "run_key": frozen, "changed": changed, "state": then}
        assert result.exit_code == exit_code

    def test_a_campaigns_name_means_its_latest_run_that_may_still_send(self, frozen, query, database_url):
        query(
            "insert into campaign_runs (run_key, campaign_id, dag_id, dag_run_id, state, created_at) "
            "values ('spring/later', 'spring', 'd', 'r', 'done', now() + interval '1 hour')"
        )
        result = invoke("stop", "spring", "--format", "json", "--database-url", database_url)
        said = json.loads(result.stdout)
        assert (said["run_key"], said["state"]) == (frozen, "stopped")
        assert f"Run {frozen} was stopped." in said["said"]
        assert "Run spring/later is done already." in invoke("stop", "spring", "--database-url", database_url).stdout

    def test_where_several_runs_are_under_way_the_campaigns_name_means_none(self, frozen, query, database_url):
        query(
            "insert into campaign_runs (run_key, campaign_id, dag_id, dag_run_id, state, created_at) "
            "values ('spring/later', 'spring', 'd', 'r', 'paused', now() + interval '1 hour')"
        )
        result = invoke("stop", "spring", "--database-url", database_url)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"2 runs of spring are under way. Name one: spring/later, {frozen}." in result.stderr
        assert {row["state"] for row in query("select state from campaign_runs")} == {"sending", "paused"}

    def test_what_came_too_late_is_sent_on_purpose(self, frozen, query, database_url):
        query("update messages set send_before = now(), send_state = 'too_late'")
        result = invoke("send-late", frozen, "--within", "2h", "--database-url", database_url)
        assert (result.exit_code, "20 messages" in result.stdout) == (0, True)
        (row,) = query("select min(send_before) - now() as left from messages where send_state = 'planned'")
        assert timedelta(minutes=119) < row["left"] <= timedelta(hours=2)

    def test_where_nothing_came_too_late_nothing_was_done(self, frozen, query, database_url):
        query("update messages set send_state = 'skipped', skip_reason = 'suppressed'")
        result = invoke("send-late", frozen, "--database-url", database_url)
        assert (result.exit_code, "Nothing of run" in result.stdout) == (3, True)

    def test_a_duration_without_unit_is_a_wrong_usage(self, frozen, database_url):
        result = invoke("send-late", frozen, "--within", "2", "--database-url", database_url)
        assert (result.exit_code, "not a duration" in result.stderr) == (2, True)

    def test_after_a_restore_nothing_is_sent_before_it_was_looked_up(
        self, frozen, query, database_url, connect_twilio, simulator
    ):
        connect_twilio(simulator.url, extra={"list_lag_seconds": 3600})
        result = invoke("recover", "--since", "2026-11-20T10:00:00", "--database-url", database_url)
        assert (result.exit_code, "20 planned messages" in result.stdout) == (0, True)
        (row,) = query("select distinct send_state, claimed_at, resolve_after - now() as left from messages")
        assert row["send_state"] == "unknown"
        assert row["claimed_at"] == datetime(2026, 11, 20, 10, tzinfo=UTC)
        assert timedelta(minutes=59) < row["left"] <= timedelta(hours=1)


COMMANDS = {
    "upgrade": ["upgrade"],
    "reconcile": ["reconcile", "--day", "2026-11-20"],
    "pause": ["pause", "spring/x"],
    "resume": ["resume", "spring/x"],
    "stop": ["stop", "spring/x"],
    "send-late": ["send-late", "spring/x"],
    "recover": ["recover", "--since", "2026-11-20"],
    "audit": ["audit", "--day", "2026-11-20"],
    "status": ["status"],
    "report": ["report", "spring"],
}


@pytest.mark.parametrize("command", COMMANDS)
class TestMistakes:
    def test_no_database_is_named(self, command):
        assert_refused(invoke(*COMMANDS[command]), r"warehouse_default.* AIRFLOW_CONN_.* --database-url")

    def test_the_database_is_out_of_reach(self, command):
        result = invoke(*COMMANDS[command], "--database-url", NOWHERE)
        assert_refused(result, r"The warehouse at .* cannot be reached: .*Connection refused.* Check that it runs")

    def test_the_database_does_not_exist(self, command, postgres_url):
        result = invoke(*COMMANDS[command], "--database-url", postgres_url.replace("/postgres?", "/nowhere?", 1))
        assert_refused(result, r'database "nowhere" does not exist\. Check')

    def test_the_database_is_another_one(self, command):
        result = invoke(*COMMANDS[command], "--database-url", "mysql://user:hidden@host/warehouse")
        assert_refused(result, "must be PostgreSQL.* Give a connection")

    def test_a_setting_is_misspelt(self, command, monkeypatch):
        monkeypatch.setenv("TWILIO_CAMPAIGNS__LEESE", "10m")
        result = invoke(*COMMANDS[command], "--database-url", NOWHERE)
        assert_refused(result, "TWILIO_CAMPAIGNS__LEESE is no setting of ours. Unset it")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "upgrade"])
def test_a_database_without_tables_names_the_command_that_makes_them(command, empty_database_url):
    result = invoke(*COMMANDS[command], "--database-url", empty_database_url)
    assert_refused(result, "Run the DAG `warehouse_upgrade` or `twilio-campaigns upgrade`")


def test_what_is_a_fault_of_ours_keeps_its_traceback(monkeypatch):
    def fail(_include):
        raise ZeroDivisionError

    monkeypatch.setattr("twilio_campaigns.domain.file_review.review", fail)
    assert isinstance(invoke("validate").exception, ZeroDivisionError)


def test_help_names_every_command_and_does_not_wait_for_airflow():
    """In a process of its own: this one has imported Airflow long ago."""
    script = (
        "import sys; from typer.testing import CliRunner; from twilio_campaigns.cli import app; "
        "print(CliRunner().invoke(app, ['--help']).stdout); "
        "print('heavy:', sorted({'airflow', 'pandas', 'sqlalchemy', 'twilio'} & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "heavy: []" in said
    for command in ("validate", "preview", "simulator", "explain", *COMMANDS):
        assert re.search(rf"\W{command} ", said)
