"""The tasks of a campaign, run as Airflow runs them: real warehouse, real HTTP, and a context."""

import json
import logging
import re
import socket
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from structlog.testing import capture_logs

from builders import TOKEN, campaign, in_run, people, sender
from twilio_campaigns.domain.campaign import SqlSegment
from twilio_campaigns.domain.exceptions import TwilioUnavailableError, UnfinishedError
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.operators.campaign import (
    TwilioCampaignReportOperator,
    TwilioCampaignSendOperator,
    TwilioPrepareAudienceOperator,
    run_of,
)
from twilio_campaigns.operators.warehouse import WarehouseUpgradeOperator
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.outcomes import Outcomes
from twilio_campaigns.warehouse.runs import RunStore

SEGMENT = SqlSegment(query="select customer_id, phone, first_name from public.people")
NUMBER_SENDER = {"messaging_service_sid": None, "from_number": "+15005550006"}
#: The simulator refuses it at once, as one that has opted out.
REFUSED_NUMBER = "+15005550004"


RUN = in_run()
RUN_KEY = "spring/manual__one"


@pytest.fixture
def connections(database_url, simulator, connect_twilio, connect_warehouse):
    """Both connections, good ones."""
    connect_twilio(simulator.url)
    connect_warehouse(database_url)


@pytest.fixture
def segment(query):
    """Fill the table from which the segment is read."""
    query("create table public.people (customer_id text, phone text, first_name text)")

    def fill(rows):
        query("truncate public.people")
        for row in rows:
            query("insert into public.people values (%s, %s, %s)", *row.values())

    return fill


@pytest.fixture
def logged(caplog):
    """Give what a task's log holds so far: our lines, and the libraries' where the site logs at DEBUG."""
    for name in ("", "twilio", "twilio.async_http_client", "aiohttp.client", "psycopg.pool"):
        caplog.set_level(logging.DEBUG, logger=name)
    with capture_logs() as entries:
        yield lambda: "\n".join([caplog.text, *(str(entry) for entry in entries)])


def prepare(context=RUN, include=None, **changes):
    of = campaign(**{"segment": SEGMENT, **changes})
    return TwilioPrepareAudienceOperator(task_id="prepare_audience", campaign=of, include=include).execute(context)


def send_batch(batch_no=1, context=RUN, **changes):
    operator = TwilioCampaignSendOperator(task_id="send_batch", campaign_id="spring", batch_no=batch_no, **changes)
    return operator.execute(context)


def report(context=RUN):
    return TwilioCampaignReportOperator(task_id="report", campaign_id="spring").execute(context)


def end_or_pause(warehouse, state):
    runs = RunStore(warehouse)
    change = runs.stop if state is RunState.STOPPED else runs.pause
    return change(RUN_KEY, "somebody", "a reason")


def states(query):
    return {row["send_state"]: row["n"] for row in query("select send_state, count(*) as n from messages group by 1")}


class TestRunOf:
    def test_the_logical_date_names_the_run_in_utc(self):
        moment = datetime(2026, 11, 20, 11, 30, 0, 250, timezone(timedelta(hours=2)))
        run = run_of(in_run(moment, run_id="scheduled__x"), "spring")
        assert run.run_key == "spring/2026-11-20T09:30:00.000250Z"
        assert run.logical_date == moment
        assert (run.campaign_id, run.dag_id, run.dag_run_id) == ("spring", "campaign__spring", "scheduled__x")

    def test_neither_run_id_nor_run_type_changes_the_name_of_a_date(self):
        moment = datetime(2026, 11, 20, tzinfo=UTC)
        scheduled = run_of(in_run(moment, run_id="scheduled__x", run_type="scheduled"), "spring")
        backfilled = run_of(in_run(moment, run_id="backfill__x", run_type="backfill"), "spring")
        assert scheduled.run_key == backfilled.run_key

    def test_a_run_without_a_date_is_named_by_its_id(self):
        run = run_of(in_run(None, run_id="manual__2026-11-20T09:30:00+00:00_x"), "spring")
        assert run.run_key == "spring/manual__2026-11-20T09:30:00+00:00_x"
        assert run.logical_date is None


class TestPrepare:
    def test_it_gives_the_numbers_of_the_batches(self, connections, segment, query):
        segment(people(5))
        assert prepare(batch_size=2) == [1, 2, 3]
        assert states(query) == {"planned": 5}
        (run,) = query("select * from campaign_runs")
        assert (run["run_key"], run["dag_run_id"], run["state"]) == (RUN_KEY, "manual__one", "sending")
        assert run["spec"]["segment"]["query"] == SEGMENT.query

    def test_an_empty_segment_gives_no_batch(self, connections, segment):
        assert prepare() == []

    def test_another_try_changes_nothing_though_segment_and_campaign_did(self, connections, segment, query):
        segment(people(5))
        first = prepare(batch_size=2)
        before = query("select * from messages order by message_key"), query("select * from campaign_runs")
        segment(people(40, first=3))
        assert prepare(batch_size=7, sender=sender(name="other")) == first
        assert (query("select * from messages order by message_key"), query("select * from campaign_runs")) == before

    def test_a_sql_file_is_read_from_the_include_folder(self, connections, segment, query, tmp_path):
        segment(people(2))
        (tmp_path / "people.sql").write_text(SEGMENT.query, "utf-8")
        assert prepare(include=str(tmp_path), segment=SqlSegment(sql="people.sql")) == [1]
        assert query("select spec from campaign_runs")[0]["spec"]["segment"]["query"] == SEGMENT.query

    def test_a_run_that_is_too_late_texts_nobody_and_stays_so(self, connections, segment, query):
        segment(people(5))
        late = in_run(datetime.now(UTC) - timedelta(hours=2))
        for _ in range(2):
            with pytest.raises(AirflowSkipException, match=r"max_lateness \(1:00:00\)"):
                prepare(late)
        assert states(query) == {}
        assert query("select state from campaign_runs") == [{"state": "too_late"}]
        assert report(late)["audience"] == 0

    def test_a_run_that_may_be_that_late_is_prepared(self, connections, segment):
        segment(people(5))
        assert prepare(in_run(datetime.now(UTC) - timedelta(hours=2)), max_lateness=timedelta(hours=3)) == [1]

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"segment": SqlSegment(query="selec")}, "Correct the query"),
            ({"segment": SqlSegment(query="select 1 as customer_id, 2 as telephone")}, "no column 'phone'"),
            ({"segment": SqlSegment(query="select 1", connection="crm")}, "AIRFLOW_CONN_CRM"),
            ({"segment": SqlSegment(sql="missing.sql")}, "missing.sql"),
        ],
    )
    def test_a_segment_that_a_person_has_to_mend_is_not_retried(self, connections, query, tmp_path, changes, says):
        with pytest.raises(AirflowFailException, match=says):
            prepare(include=str(tmp_path), **changes)
        assert states(query) == {}

    def test_a_broken_segment_freezes_once_it_is_mended(self, connections, segment):
        with pytest.raises(AirflowFailException):
            prepare(segment=SqlSegment(query="select phone from public.people"))
        segment(people(3))
        assert prepare() == [1]


TASKS = {
    "prepare": prepare,
    "send": send_batch,
    "report": report,
    "upgrade": lambda: WarehouseUpgradeOperator(task_id="upgrade").execute(RUN),
}


class TestConfiguration:
    @pytest.mark.parametrize("task", TASKS)
    def test_a_warehouse_that_is_not_postgresql_is_not_retried(self, connect_warehouse, task):
        connect_warehouse("mysql://user:hidden@host/warehouse")
        with pytest.raises(AirflowFailException, match="Change its type to postgres") as caught:
            TASKS[task]()
        assert "hidden" not in str(caught.value)

    @pytest.mark.parametrize("task", TASKS)
    def test_a_misspelt_setting_is_not_retried(self, connect_warehouse, monkeypatch, task):
        connect_warehouse("postgresql://127.0.0.1:1/warehouse")
        monkeypatch.setenv("TWILIO_CAMPAIGNS__LEESE", "10m")
        with pytest.raises(AirflowFailException, match="TWILIO_CAMPAIGNS__LEESE is no setting"):
            TASKS[task]()

    @pytest.mark.parametrize("task", ["prepare", "send", "report"])
    def test_a_warehouse_without_tables_names_the_dag_that_makes_them(
        self, connect_warehouse, empty_database_url, task
    ):
        connect_warehouse(empty_database_url)
        with pytest.raises(AirflowFailException, match="warehouse_upgrade"):
            TASKS[task]()

    @pytest.mark.parametrize("task", ["send", "report"])
    def test_a_run_that_was_never_frozen_names_the_task_to_clear(self, connections, task):
        with pytest.raises(AirflowFailException, match="Clear its task `prepare_audience`"):
            TASKS[task]()

    @pytest.mark.parametrize("task", TASKS)
    def test_a_warehouse_out_of_reach_may_be_tried_again(self, connect_warehouse, task):
        connect_warehouse("postgresql://user:hidden@127.0.0.1:1/warehouse")
        with pytest.raises(Exception, match="refused") as caught:
            TASKS[task]()
        assert not isinstance(caught.value, AirflowFailException)
        assert "hidden" not in str(caught.value)

    def test_the_upgrade_makes_the_tables_and_may_be_repeated(self, connect_warehouse, empty_database_url):
        connect_warehouse(empty_database_url)
        revision = TASKS["upgrade"]()
        assert TASKS["upgrade"]() == revision
        with pytest.raises(AirflowFailException, match="no frozen audience"):
            report()


class TestSend:
    def test_each_batch_sends_its_own_messages_once(self, connections, segment, query, simulator):
        segment(people(5))
        prepare(batch_size=3)
        assert send_batch(1) == {"sent": 3, "refused": 0}
        assert states(query) == {"accepted": 3, "planned": 2}
        assert send_batch(2) == {"sent": 2, "refused": 0}
        assert Counter(m["to"] for m in simulator.truth()) == Counter(row["phone"] for row in people(5))

    def test_another_try_sends_nothing(self, connections, segment, query, simulator):
        segment(people(5))
        prepare()
        send_batch()
        before = query("select * from messages order by message_key"), query("select * from campaign_events")
        assert send_batch() == {"sent": 0, "refused": 0}
        assert len(simulator.truth()) == 5
        assert (query("select * from messages order by message_key"), query("select * from campaign_events")) == before

    def test_it_sends_what_was_frozen_and_not_what_the_segment_says_by_now(self, connections, segment, simulator):
        segment(people(3))
        prepare()
        segment(people(3, first=100))
        send_batch()
        assert {m["to"] for m in simulator.truth()} == {row["phone"] for row in people(3)}

    def test_a_refused_account_fails_for_good_and_loses_nobody(
        self, connections, segment, query, simulator, connect_twilio
    ):
        segment(people(20))
        prepare()
        connect_twilio(simulator.url, password="another-token")
        with pytest.raises(AirflowFailException, match="stays planned") as caught:
            send_batch()
        assert "another-token" not in str(caught.value)
        assert states(query) == {"planned": 20}
        assert simulator.truth() == []
        connect_twilio(simulator.url)
        assert send_batch() == {"sent": 20, "refused": 0}

    def test_twilio_out_of_reach_may_be_tried_again(self, connections, segment, query, simulator, connect_twilio):
        segment(people(20))
        prepare()
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            connect_twilio(f"http://127.0.0.1:{unused.getsockname()[1]}")
            with pytest.raises(TwilioUnavailableError):
                send_batch()
        assert states(query) == {"planned": 20}
        connect_twilio(simulator.url)
        assert send_batch() == {"sent": 20, "refused": 0}

    @pytest.mark.parametrize("state", [RunState.STOPPED, RunState.PAUSED])
    def test_a_stopped_run_sends_nothing(self, connections, segment, query, warehouse, simulator, state, logged):
        segment(people(5))
        prepare()
        assert end_or_pause(warehouse, state)
        assert send_batch() == {"sent": 0, "refused": 0}
        assert simulator.truth() == []
        assert states(query) == {"planned": 5}
        assert f"is {state}: 5 messages of the batch stay planned" in logged()

    def test_a_task_that_is_told_to_end_keeps_what_it_knows_and_is_tried_again(
        self, connections, segment, query, simulator
    ):
        segment(people(100))
        prepare(sender=sender(parts_per_second=40.0))
        operator = TwilioCampaignSendOperator(task_id="send_batch", campaign_id="spring", batch_no=1)

        def kill_when_the_first_is_sent():
            while not simulator.truth():
                time.sleep(0.05)
            operator.on_kill()

        killer = threading.Thread(target=kill_when_the_first_is_sent)
        killer.start()
        with pytest.raises(UnfinishedError, match="stay planned"):
            operator.execute(RUN)
        killer.join()
        found = states(query)
        assert set(found) == {"accepted", "planned"}
        assert found["accepted"] == len(simulator.truth())

    def test_a_task_that_is_told_to_end_before_it_began_to_send_sends_nothing(self, connections, segment, query):
        segment(people(3))
        prepare()
        operator = TwilioCampaignSendOperator(task_id="send_batch", campaign_id="spring", batch_no=1)
        operator.on_kill()
        with pytest.raises(UnfinishedError, match="3 messages of the batch stay planned"):
            operator.execute(RUN)
        assert states(query) == {"planned": 3}

    def test_what_an_earlier_try_gives_back_late_is_sent_by_its_successor(
        self, connections, segment, query, simulator, warehouse, monkeypatch
    ):
        """Airflow gave the earlier try up, and it is still at work: it holds rows while its successor finds none."""
        monkeypatch.setattr("twilio_campaigns.operators.campaign.LOOK_EVERY", 0.1)
        segment(people(20))
        prepare()
        ledger, claim_id = Ledger(warehouse), uuid4()
        claim = ledger.claim(RUN_KEY, 1, 20, claim_id, OutgoingMessage(to_number=""))
        given_back = Outcomes({}, {}, [row.key for row in claim.rows], [])
        late = threading.Timer(
            1.0, ledger.record, (claim_id, given_back), {"window": timedelta(days=4), "list_lag": timedelta(0)}
        )
        late.start()
        assert send_batch() == {"sent": 20, "refused": 0}
        late.join()
        assert states(query) == {"accepted": 20}

    def test_it_does_not_wait_for_the_dead(self, connections, segment, query, configure, warehouse, monkeypatch):
        monkeypatch.setattr("twilio_campaigns.operators.campaign.LOOK_EVERY", 0.1)
        configure(LEASE="1s")
        segment(people(5))
        prepare()
        Ledger(warehouse).claim(RUN_KEY, 1, 2, uuid4(), OutgoingMessage(to_number=""))
        assert send_batch() == {"sent": 3, "refused": 0}
        assert states(query) == {"accepted": 3, "claimed": 2}

    def test_to_end_a_task_that_does_not_run_is_no_error(self):
        TwilioCampaignSendOperator(task_id="send_batch", campaign_id="spring", batch_no=1).on_kill()


class TestReport:
    def test_its_figures_are_those_of_the_ledger(self, connections, segment, query, logged):
        rows = [
            *people(4),
            {"customer_id": "bad", "phone": "junk", "first_name": "x"},
            {"customer_id": "twice", "phone": people(1)[0]["phone"], "first_name": "x"},
            {"customer_id": "out", "phone": REFUSED_NUMBER, "first_name": "x"},
        ]
        segment(rows)
        prepare(sender=sender(**NUMBER_SENDER))
        assert send_batch() == {"sent": 4, "refused": 1}
        figures = report()
        assert figures == {
            "audience": 7,
            "excluded": 2,
            "enqueued": 4,
            "enqueue_failed": 1,
            "too_late": 0,
            "undecided": 0,
            "left": 0,
        }
        assert states(query) == {"skipped": 2, "accepted": 4, "enqueue_failed": 1}
        assert query("select state, finished_at is not null as ended from campaign_runs") == [
            {"state": "done", "ended": True}
        ]
        for line in (f"Run {RUN_KEY} is done.", "  duplicate_number     1", "  invalid_number       1"):
            assert line in logged()

    def test_rows_that_were_too_late_are_counted_and_nothing_is_left(self, connections, segment, query):
        segment(people(3))
        prepare()
        query("update messages set send_before = now()")
        send_batch()
        assert report() == {
            "audience": 3,
            "excluded": 0,
            "enqueued": 0,
            "enqueue_failed": 0,
            "too_late": 3,
            "undecided": 0,
            "left": 0,
        }

    def test_an_empty_audience_is_done(self, connections, segment, query):
        prepare()
        assert set(report().values()) == {0}
        assert query("select state from campaign_runs") == [{"state": "done"}]

    @pytest.mark.parametrize("left", ["planned", "claimed", "unknown"])
    def test_it_fails_while_a_message_has_no_outcome(self, connections, segment, query, warehouse, configure, left):
        configure(LEASE="1s")  # nobody waits longer than that for the claims of others
        segment(people(3))
        prepare()
        Ledger(warehouse).claim(RUN_KEY, 1, 2, uuid4(), OutgoingMessage(to_number=""))
        query("update messages set send_state = %s where send_state = 'claimed'", left)
        if left != "planned":
            assert send_batch() == {"sent": 1, "refused": 0}
        found = 3 if left == "planned" else 2
        with pytest.raises(UnfinishedError, match=rf"\b{found} (messages are )?{left}\b") as caught:
            report()
        assert RUN_KEY in str(caught.value)
        assert query("select state from campaign_runs") == [{"state": "sending"}]

    @pytest.mark.parametrize("state", [RunState.STOPPED, RunState.PAUSED])
    def test_what_a_person_stopped_is_no_failure(self, connections, segment, warehouse, state):
        segment(people(3))
        prepare()
        assert end_or_pause(warehouse, state)
        assert report()["left"] == 3


def test_neither_results_nor_logs_carry_a_phone_number(connections, segment, query, simulator, connect_twilio, logged):
    rows = [*people(10), {"customer_id": "out", "phone": REFUSED_NUMBER, "first_name": "x"}]
    segment([*rows, {"customer_id": "bad", "phone": "(202) 555-01", "first_name": "x"}])
    results = [prepare(sender=sender(**NUMBER_SENDER))]
    connect_twilio(simulator.url, password="wrong")
    with pytest.raises(AirflowFailException) as refused:
        send_batch()
    with pytest.raises(UnfinishedError) as unfinished:
        report()
    connect_twilio(simulator.url)
    results += [send_batch(), report()]
    assert states(query) == {"accepted": 10, "enqueue_failed": 1, "skipped": 1}
    for line in ("1 batches", "accepted by this try +10", "is done"):
        assert re.search(line, logged())
    said = "\n".join([logged(), json.dumps(results), str(refused.value), str(unfinished.value)])
    for number in [*(row["phone"] for row in rows), "(202) 555-01"]:
        assert number.removeprefix("+1") not in said
    assert TOKEN not in said
