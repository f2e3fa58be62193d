"""The promises that need a real Airflow: the demo's path, clearing tasks, backfilling days."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from psycopg.rows import dict_row

from include.local import report, stack
from include.local.demo import SETTINGS, SIMULATOR, wait_for_runs, wait_until_settled
from include.local.environment import ACCOUNT_SID, BIN, LOCAL, Stack

pytestmark = pytest.mark.system

CAMPAIGNS = ("spring_sale", "product_launch")
#: The simulator's clock begins this long ago, so that messages of past days can be made.
DAYS = 4
DAY = 86400
#: A claim's lease must outlast its posts: the window in which they may begin, and Twilio's 30 seconds to answer.
#: The tracking window has to leave time for two look-ups after that.
STACK_SETTINGS = {
    **SETTINGS,
    "POST_WINDOW": "5s",
    "LEASE": "36s",
    "LOOKUP_GAP": "3s",
    "TRACKING_WINDOW": "150s",
    "LADDER": f"{SETTINGS['LADDER']},100s,150s",
}
#: What becomes of status callbacks while a campaign is sent.
USUAL = {"callback_lost_share": 0.0, "callback_copies": 1, "callback_shuffle_seconds": 0.0}
KILLED = "the API server is killed"
CALLBACKS = {
    "usual": USUAL,
    KILLED: USUAL,
    "three times, shuffled": {**USUAL, "callback_copies": 3, "callback_shuffle_seconds": 2.0},
    "lost": {**USUAL, "callback_lost_share": 1.0},
}
#: So many times as soon as by reading alone do events come by callbacks: a slow machine slows down both.
PROMPT = 2


class Running:
    """A stack that runs, its Airflow and its warehouse."""

    def __init__(self, made: Stack, api):
        self.stack = made
        self.api = api

    def query(self, statement, *args):
        url = self.stack.database_url("warehouse")
        with psycopg.connect(url, row_factory=dict_row, options="-c search_path=messaging") as connection:
            cursor = connection.execute(statement, args)
            return cursor.fetchall() if cursor.description else []

    def forget_who_was_texted(self):
        """A day passes for `repeat_after`. Rows are locked in everybody's order: late callbacks write meanwhile."""
        self.query(
            "with texted as (select message_key from messages where send_state = 'accepted' order by 1 for update) "
            "update messages as m set claimed_at = claimed_at - interval '1 day' from texted as t "
            "where m.message_key = t.message_key"
        )

    def advance_clock(self, seconds):
        url = f"{self.stack.simulator_url}/_simulator/clock"
        httpx.post(url, json={"advance_seconds": seconds}, timeout=30).raise_for_status()

    def let_callbacks(self, **faults):
        """Say what goes wrong with status callbacks from now on."""
        url = f"{self.stack.simulator_url}/_simulator/faults"
        httpx.post(url, json=faults, timeout=30).raise_for_status()

    def sources(self, run_id):
        """How the news of a run's messages came, and how long after Twilio dated them, in seconds."""
        rows = self.query(
            "select e.source, min(extract(epoch from e.recorded_at - e.occurred_at)) as seconds "
            "from campaign_events as e join campaign_runs as r using (run_key) "
            "where r.dag_run_id = %s and e.status in ('delivered', 'failed', 'rejected') group by 1",
            run_id,
        )
        return {row["source"]: row["seconds"] for row in rows}

    def repair(self, day):
        """Read a day whole, trusting Twilio alone; give how many rows and events that changed."""
        command = [str(BIN / "twilio-campaigns"), "reconcile", "--day", str(day)]
        subprocess.run(command, env=self.stack.environ(), check=True, stdout=subprocess.DEVNULL)
        (last,) = self.query(
            "select changed, events_written from reconcile_passes where day = %s and full_read and complete "
            "order by started_at desc limit 1",
            day,
        )
        return last["changed"], last["events_written"]

    def simulated_messages(self):
        return httpx.get(f"{self.stack.simulator_url}/_simulator/messages", timeout=60).json()["messages"]

    def run_campaign(self, campaign):
        dag = f"campaign__{campaign}"
        run_id = self.api.trigger(dag)
        wait_for_runs(self.api, {dag: run_id}, self.stack)
        return run_id

    def run_campaign_while_the_api_server_dies(self, campaign):
        """Kill it while callbacks pour in, and start it again."""
        dag = f"campaign__{campaign}"
        run_id = self.api.trigger(dag)
        until = time.monotonic() + 60
        while self._callbacks_of(run_id) < 200:
            assert time.monotonic() < until, "no callback came"
            time.sleep(0.2)
        processes = stack.processes_of(self.stack)
        assert processes.kill("api-server", whole_session=True)
        while processes.running("api-server"):
            time.sleep(0.1)
        stack.start_component(processes, "api-server")
        while not self.api.is_healthy():
            assert time.monotonic() < until + 60, "the API server did not come back"
            time.sleep(0.3)
        wait_for_runs(self.api, {dag: run_id}, self.stack)
        return run_id

    def _callbacks_of(self, run_id):
        (row,) = self.query(
            "select count(*) as n from campaign_events join campaign_runs using (run_key) "
            "where dag_run_id = %s and source = 'webhook'",
            run_id,
        )
        return row["n"]

    def backfill(self, first, last, behavior="none"):
        body = {
            "dag_id": "reconcile_messages",
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "reprocess_behavior": behavior,
            "max_active_runs": 4,
        }
        backfill = self.api.request("POST", "backfills", json=body)["id"]
        until = time.monotonic() + 150
        while self.api.request("GET", f"backfills/{backfill}")["completed_at"] is None:
            assert time.monotonic() < until, self.failures()
            time.sleep(1)
        wanted = {str(first + timedelta(days=n)) for n in range((last - first).days + 1)}
        runs = {run["logical_date"][:10]: run["state"] for run in self.api.runs("reconcile_messages")}
        assert {day: runs.get(day) for day in wanted} == dict.fromkeys(wanted, "success"), self.failures()

    def failures(self):
        runs = self.api.runs("reconcile_messages")
        return "\n".join(self.api.failures("reconcile_messages", run["dag_run_id"]) for run in runs)

    def events(self):
        rows = self.query("select * from campaign_events order by event_id")
        for row in rows:
            del row["recorded_at"], row["source"], row["provider_status"]
        return rows

    def ledger(self):
        return self.query(
            "select message_key, provider_status, status, status_code, number_of_message_parts, sent_at, final_at, "
            "price from messages where send_state = 'accepted' order by message_key"
        )


@pytest.fixture(scope="module")
def running():
    LOCAL.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="test-", dir=LOCAL))
    folder.chmod(0o755)
    began = (datetime.now(UTC) - timedelta(days=DAYS)).strftime("%Y-%m-%dT%H:%M:%S")
    made = Stack.load_or_make(folder, simulator_options={**SIMULATOR, "started-at": began}, settings=STACK_SETTINGS)
    try:
        api = stack.start(made, lambda _phase: None)
        dags = [f"campaign__{campaign}" for campaign in CAMPAIGNS]
        api.wait_for_dags({*dags, "reconcile_messages", "warehouse_upgrade"})
        for dag in dags:
            api.unpause(dag)
        yield Running(made, api)
    finally:
        stack.stop(made)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def past_days(running):
    """Three days of messages, four to two days ago by Twilio's clock; the clock is back at now then."""
    runs = []
    for _ in range(3):
        runs.append(running.run_campaign("spring_sale"))
        # The same people again: the runs are days apart by Twilio's clock, minutes by ours.
        running.forget_who_was_texted()
        running.advance_clock(DAY)
    running.advance_clock(DAY)
    return runs


@pytest.fixture(scope="module")
def reconciled_days(running, past_days):
    """The same days after a backfill of `reconcile_messages`, as from Airflow's UI."""
    running.api.unpause("reconcile_messages")
    last = datetime.now(UTC).date() - timedelta(days=2)
    running.backfill(last - timedelta(days=2), last)
    return last - timedelta(days=2), last


def test_a_backfill_over_three_days_settles_every_message(running, reconciled_days):
    first, last = reconciled_days
    rows = running.query(
        "select tracked_on, count(*) as messages, count(settled_at) as settled from messages "
        "where send_state = 'accepted' group by 1 order by 1"
    )
    assert [row["tracked_on"] for row in rows] == [first, first + timedelta(days=1), last]
    assert all(row["messages"] == row["settled"] > 4000 for row in rows)
    ends = {m["sid"]: m["final_status"] for m in running.simulated_messages()}
    found = running.query("select message_sid, provider_status from messages where send_state = 'accepted'")
    assert {row["message_sid"]: row["provider_status"] for row in found} == ends


def test_the_same_backfill_repairs_deleted_events_and_altered_rows(running, reconciled_days):
    before, ledger = running.events(), running.ledger()
    assert {row["status"] for row in before} >= {"enqueued", "sent", "delivered", "failed", "rejected"}
    running.query("delete from campaign_events where left(event_id::text, 1) in ('0', '4', '8', 'c', 'd')")
    sent = len(running.simulated_messages())
    assert len(running.events()) < len(before)
    running.query(
        "update messages set provider_status = 'queued', status_code = null, price = null, "
        "status = case when left(message_key::text, 1) = '2' then 'enqueued' else 'delivered' end "
        "where left(message_key::text, 1) in ('2', '7', 'b') and send_state = 'accepted'"
    )
    assert running.ledger() != ledger
    running.backfill(*reconciled_days, behavior="completed")
    assert running.events() == before
    assert running.ledger() == ledger
    assert len(running.simulated_messages()) == sent


def test_both_campaigns_come_to_their_end(running, reconciled_days):
    """What `make demo` does, on today's messages: the scheduled run follows them, however callbacks fare."""
    runs = {}
    for way, faults in CALLBACKS.items():
        running.let_callbacks(**faults)
        running.forget_who_was_texted()
        run = running.run_campaign_while_the_api_server_dies if way == KILLED else running.run_campaign
        runs[way] = run("product_launch")
    # The last way is that of all that is still to come.
    running.run_campaign("spring_sale")
    wait_until_settled(running.api, running.stack)
    sources = {way: running.sources(run_id) for way, run_id in runs.items()}
    assert "webhook" not in sources["lost"], sources
    assert PROMPT * sources["usual"]["webhook"] < min(sources["lost"].values()), sources
    assert "webhook" in sources["three times, shuffled"], sources
    # Every way led to the same tables: those that follow from Twilio's list alone.
    before = running.ledger(), running.events()
    days = running.query("select distinct tracked_on from messages where tracked_on >= current_date - 1 order by 1")
    assert [running.repair(row["tracked_on"]) for row in days] == [(0, 0)] * len(days)
    assert (running.ledger(), running.events()) == before
    checks = report.show(running.stack.database_url("warehouse"))
    assert {check.campaign for check in checks} == set(CAMPAIGNS)
    assert [check for check in checks if not check.holds] == []
    (customers,) = running.query("select count(*) as n from demo.customers where marketing_opt_in")
    audiences = running.query("select audience from campaign_performance where campaign_id = 'spring_sale'")
    assert {row["audience"] for row in audiences} == {customers["n"]}
    reasons = {row["skip_reason"] for row in running.query("select distinct skip_reason from message_status")}
    assert reasons >= {"invalid_number", "not_mobile", "duplicate_number", "missing_variable"}
    runs = {run["run_type"]: run["state"] for run in running.api.runs("reconcile_messages")}
    assert runs["scheduled"] == "running"  # today is not over


@pytest.mark.parametrize(("known", "says"), [(True, "Connected to account"), (False, "does not accept")])
def test_the_test_button_tells_good_credentials_from_bad_ones(running, known, says):
    """What the UI asks for when somebody saves the form and then presses the button in the list."""
    token = running.stack.secrets["auth_token"] if known else "wrong"
    connection = {
        "connection_id": f"twilio_{known}",
        "conn_type": "twilio",
        "description": "",
        "host": "http://127.0.0.1",
        "port": running.stack.simulator_port,
        "login": ACCOUNT_SID,
        "schema": "",
        "extra": json.dumps({"api_key_sid": None, "api_key_secret": None, "list_lag_seconds": None}),
    }
    running.api.request("POST", "connections", json={**connection, "password": token})
    # The button sends what the list shows: the secret is masked.
    verdict = running.api.request("POST", "connections/test", json={**connection, "password": "***"})
    assert verdict["status"] is known
    assert says in verdict["message"]


@pytest.mark.parametrize("task", ["prepare_audience", "send_batch", "resolve_unknown", "report"])
def test_clearing_a_task_of_a_finished_run_changes_nothing(running, past_days, task):
    dag, run_id = "campaign__spring_sale", past_days[0]
    before = running.query("select * from messages order by message_key"), running.events()
    sent = len(running.simulated_messages())
    body = {"dry_run": False, "task_ids": [task], "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True}
    cleared = running.api.request("POST", f"dags/{dag}/clearTaskInstances", json=body)
    assert cleared["total_entries"] >= 1
    wait_for_runs(running.api, {dag: run_id}, running.stack)
    tries = running.api.request("GET", f"dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
    assert any(entry["task_id"] == task and entry["try_number"] > 1 for entry in tries)
    assert len(running.simulated_messages()) == sent
    assert (running.query("select * from messages order by message_key"), running.events()) == before


def test_a_task_that_is_killed_while_it_sends_texts_nobody_twice_and_loses_nobody(running):
    dag = "campaign__spring_sale"
    running.api.unpause("reconcile_messages")
    running.forget_who_was_texted()
    run_id = running.api.trigger(dag)
    killed = kill_sending_task(running, dag, run_id)
    wait_for_runs(running.api, {dag: run_id}, running.stack, patience=240)
    tries = running.api.request("GET", f"dags/{dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
    assert [entry["try_number"] for entry in tries if entry["map_index"] == killed] == [2]
    run_key = "campaign_runs.run_key = messages.run_key and campaign_runs.dag_run_id = %s"
    states = running.query(
        f"select send_state, count(*) as n from messages join campaign_runs on {run_key} group by 1", run_id
    )
    assert {row["send_state"] for row in states} <= {"accepted", "skipped"}
    # Whatever Twilio has is owned by exactly one row, and no row of this run shares its number with another one.
    ours = {
        row["message_sid"] for row in running.query("select message_sid from messages where message_sid is not null")
    }
    assert {message["sid"] for message in running.simulated_messages()} == ours
    sources = running.query(
        f"select sid_source, count(*) as n from messages join campaign_runs on {run_key} group by 1", run_id
    )
    assert running.query("select * from stray_messages") == []
    assert {row["sid_source"] for row in sources} >= {"answer"}


def kill_sending_task(running, dag, run_id):
    """Kill one task of a run while it sends; give its map index."""
    path = f"dags/{dag}/dagRuns/{run_id}/taskInstances"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for task in running.api.request("GET", path)["task_instances"]:
            if task["task_id"] == "send_batch" and task["state"] == "running":
                (sent,) = running.query(
                    "select count(*) as n from messages join campaign_runs using (run_key) "
                    "where dag_run_id = %s and batch_no = %s and send_state = 'accepted'",
                    run_id,
                    task["map_index"] + 1,
                )
                for pid in task_processes(task["id"]) if sent["n"] > 100 else ():
                    os.kill(pid, signal.SIGKILL)
                    return task["map_index"]
        time.sleep(0.2)
    raise AssertionError("no task was seen sending")


def task_processes(task_id):
    """Processes that run a task: its title, and at the head of a group of their own."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            title = (folder / "cmdline").read_text("utf-8", "replace")
            if task_id in title and os.getpgid(int(folder.name)) == int(folder.name):
                yield int(folder.name)
