"""The DAG files as Airflow meets them: parsed by its DagBag, and run by `dag.test()` in a process of its own."""

import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import CronTriggerTimetable
from airflow.serialization.serialized_objects import DagSerialization

from builders import campaign, sender
from gateway.independent_twilio import ACCOUNT_SID as INDEPENDENT_SID
from gateway.independent_twilio import AUTH_TOKEN as INDEPENDENT_TOKEN
from gateway.independent_twilio import independent_twilio
from twilio_campaigns.dag_builder import campaign_dag
from twilio_campaigns.domain.campaign import SqlSegment

ROOT = Path(__file__).parent.parent.parent
DAGS = ROOT / "dags"
#: Those of docs/airflow.md.
EXAMPLES = {"after_spring_sale", "after_each_reconciled_day", "nightly_load"}
CAMPAIGN_DAGS = {"campaign__spring_sale", "campaign__product_launch"}
CAMPAIGN_TASKS = {"prepare_audience": False, "send_batch": True, "resolve_unknown": False, "report": False}
#: Every DAG with its tasks, and whether each is mapped.
CONTRACT = {
    **dict.fromkeys(CAMPAIGN_DAGS, CAMPAIGN_TASKS),
    "reconcile_messages": {"reconcile": False},
    "reconcile_audit": {"audit": False},
    "warehouse_upgrade": {"upgrade": False},
}


def parsed(folder=DAGS):
    """Parse as the DAG processor does, which leaves out files that do not look like DAGs."""
    return DagBag(folder, bundle_path=folder, safe_mode=True)


@pytest.fixture
def include(tmp_path, monkeypatch):
    """A copy of our include folder, which the DAG files read instead."""
    folder = tmp_path / "include"
    shutil.copytree(ROOT / "include", folder, ignore=shutil.ignore_patterns("local", "__pycache__"))
    monkeypatch.setenv("TWILIO_CAMPAIGNS__INCLUDE", str(folder))
    return folder


def as_scheduled(dag):
    """Give what the scheduler knows of a DAG."""
    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


def first_slot(dag, now):
    """Give the moment of a new DAG's first run."""
    with time_machine.travel(now, tick=False):
        return as_scheduled(dag).next_dagrun_info(last_automated_run_info=None).run_after


@pytest.fixture(scope="module")
def bag():
    return parsed()


class TestParsing:
    def test_there_is_every_dag_of_the_contract_and_no_other(self, bag):
        assert bag.import_errors == {}
        assert bag.captured_warnings == {}
        assert {name: {t.task_id: t.is_mapped for t in dag.tasks} for name, dag in bag.dags.items()} == CONTRACT

    @pytest.mark.parametrize("name", sorted(CAMPAIGN_DAGS))
    def test_lost_answers_and_the_report_wait_for_whatever_became_of_the_rest(self, bag, name):
        resolve, report = (bag.dags[name].task_dict[task] for task in ("resolve_unknown", "report"))
        assert resolve.upstream_task_ids == {"send_batch"}
        assert report.upstream_task_ids == {"prepare_audience", "resolve_unknown"}
        assert (resolve.trigger_rule, report.trigger_rule) == ("all_done", "all_done")
        assert report.retries == 0

    def test_no_dag_makes_up_for_the_past(self, bag):
        assert {name: (dag.catchup, dag.max_active_runs) for name, dag in bag.dags.items()} == {
            "campaign__spring_sale": (False, 4),
            "campaign__product_launch": (False, 4),
            "reconcile_messages": (False, 16),
            "reconcile_audit": (False, 2),
            "warehouse_upgrade": (False, 1),
        }

    def test_only_reconciling_and_its_audit_run_by_themselves(self, bag):
        periodic = {name for name, dag in bag.dags.items() if as_scheduled(dag).timetable.periodic}
        assert periodic == {"reconcile_messages", "reconcile_audit"}

    def test_reconciling_begins_at_every_utc_midnight(self, bag):
        dag = bag.dags["reconcile_messages"]
        assert isinstance(dag.timetable, CronTriggerTimetable)
        # Unpaused at any time of the day, it follows that day first.
        assert first_slot(dag, datetime(2026, 11, 20, 17, tzinfo=UTC)) == datetime(2026, 11, 20, tzinfo=UTC)

    def test_the_audit_comes_when_the_run_of_the_day_before_is_over(self, bag):
        dag = bag.dags["reconcile_audit"]
        assert isinstance(dag.timetable, CronTriggerTimetable)
        assert first_slot(dag, datetime(2026, 11, 20, 7, tzinfo=UTC)) == datetime(2026, 11, 20, 6, tzinfo=UTC)
        assert "D - 5 days" in dag.doc_md
        assert dag.task_dict["audit"].retries == 5

    def test_every_dag_survives_the_way_to_the_scheduler(self, bag):
        for dag in bag.dags.values():
            assert set(as_scheduled(dag).task_dict) == set(dag.task_dict)


class TestBrokenFile:
    def test_it_is_named_apart_and_the_other_campaigns_go_on(self, include):
        broken = include / "campaigns" / "product_launch.yaml"
        broken.write_text(broken.read_text("utf-8").replace("sender: us_long_code", "sender: us_long_cod"), "utf-8")
        line = broken.read_text("utf-8").splitlines().index("sender: us_long_cod") + 1
        bag = parsed()
        assert set(bag.dags) == set(CONTRACT) - {"campaign__product_launch"}
        assert set(bag.import_errors) == {"campaign_errors.py"}
        (said,) = bag.import_errors.values()
        assert f"product_launch.yaml:{line}: sender: " in said
        assert "'us_long_code'" in said.partition(f"product_launch.yaml:{line}")[2]

    def test_every_broken_file_is_named(self, include):
        for name in ("spring_sale", "product_launch"):
            (include / "campaigns" / f"{name}.yaml").write_text("sender: [\n", "utf-8")
        bag = parsed()
        assert set(bag.dags) == set(CONTRACT) - CAMPAIGN_DAGS
        (said,) = bag.import_errors.values()
        assert ("spring_sale.yaml:" in said, "product_launch.yaml:" in said) == (True, True)

    def test_a_missing_include_folder_is_an_import_error_and_hides_nothing_else(self, monkeypatch, tmp_path):
        monkeypatch.setenv("TWILIO_CAMPAIGNS__INCLUDE", str(tmp_path / "nowhere"))
        bag = parsed()
        assert set(bag.dags) == {"reconcile_messages", "reconcile_audit", "warehouse_upgrade"}
        assert set(bag.import_errors) == {"campaign_errors.py"}
        assert "TWILIO_CAMPAIGNS__INCLUDE" in bag.import_errors["campaign_errors.py"]

    def test_a_new_file_is_a_new_dag(self, include):
        spring = (include / "campaigns" / "spring_sale.yaml").read_text("utf-8")
        (include / "campaigns" / "autumn_sale.yaml").write_text(spring, "utf-8")
        assert set(parsed().dags) == {*CONTRACT, "campaign__autumn_sale"}


class TestSchedule:
    #: A Friday.
    NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("schedule", "timezone", "slot"),
        [
            ("0 9 * * *", "UTC", datetime(2026, 11, 21, 9, tzinfo=UTC)),
            ("0 9 * * *", "America/New_York", datetime(2026, 11, 20, 14, tzinfo=UTC)),
            ("0 10 * * 1-5", "Europe/Berlin", datetime(2026, 11, 23, 9, tzinfo=UTC)),
            ("@hourly", "UTC", datetime(2026, 11, 20, 10, tzinfo=UTC)),
            ("@daily", "Asia/Kolkata", datetime(2026, 11, 20, 18, 30, tzinfo=UTC)),
            ("@weekly", "UTC", datetime(2026, 11, 22, tzinfo=UTC)),
            ("@monthly", "UTC", datetime(2026, 12, 1, tzinfo=UTC)),
            ("@quarterly", "UTC", datetime(2027, 1, 1, tzinfo=UTC)),
            ("@yearly", "UTC", datetime(2027, 1, 1, tzinfo=UTC)),
        ],
    )
    def test_a_new_campaign_waits_for_its_next_slot(self, schedule, timezone, slot):
        """Even where the last one was half an hour ago, within `max_lateness`: nobody asked for that one."""
        dag = campaign_dag(campaign(schedule=schedule, timezone=timezone))
        assert isinstance(dag.timetable, CronTriggerTimetable)
        assert first_slot(dag, self.NOW) == slot

    def test_a_parse_right_after_the_slot_does_not_lose_it(self):
        dag = campaign_dag(campaign(schedule="0 9 * * *"))
        slot = datetime(2026, 11, 20, 9, tzinfo=UTC)
        assert first_slot(dag, slot + timedelta(seconds=20)) == slot

    def test_no_slot_comes_before_the_start_date(self):
        dag = campaign_dag(campaign(schedule="0 9 * * *", start_date=datetime(2026, 12, 24, 10, tzinfo=UTC)))
        assert first_slot(dag, self.NOW) == datetime(2026, 12, 25, 9, tzinfo=UTC)

    def test_a_campaign_without_schedule_never_runs_by_itself(self):
        assert as_scheduled(campaign_dag(campaign())).next_dagrun_info(last_automated_run_info=None) is None


def test_a_campaign_made_in_python_is_a_dag_like_any_other():
    of = campaign(
        campaign_id="handmade",
        description="By hand.",
        tags=("vip",),
        segment=SqlSegment(sql="segments/vip.sql"),
    )
    dag = campaign_dag(of, "/somewhere/include")
    assert (dag.dag_id, dag.description, dag.tags) == ("campaign__handmade", "By hand.", {"campaign", "sms", "vip"})
    assert {task.task_id: task.is_mapped for task in dag.tasks} == CAMPAIGN_TASKS
    assert (dag.task_dict["prepare_audience"].campaign, dag.task_dict["prepare_audience"].include) == (
        of,
        "/somewhere/include",
    )


def test_a_picture_makes_an_mms_campaign():
    of = campaign(sender=sender(channel="mms"), message={"body": "x", "media_urls": ["https://example.com/a.png"]})
    dag = campaign_dag(of)
    assert "mms" in dag.tags
    assert dag.description == "MMS campaign spring"


ALL_GREEN = {task: ["success"] for task in CAMPAIGN_TASKS}


class TestRunning:
    def test_parsing_imports_neither_data_frames_nor_twilios_client(self, airflow):
        """Airflow parses every 30 seconds, in processes that it starts anew."""
        assert (airflow.parsed["heavy"], airflow.parsed["errors"]) == ([], {})
        assert airflow.parsed["dags"] == sorted({*CONTRACT, "campaign__handmade", "one_message", *EXAMPLES})

    @pytest.mark.parametrize(
        ("name", "who"),
        [("spring_sale", "marketing_opt_in"), ("product_launch", "marketing_opt_in and country in ('US', 'CA')")],
    )
    def test_everybody_is_accounted_for_and_a_second_run_of_the_date_sends_nothing(self, site, airflow, name, who):
        now = datetime.now(UTC)
        first = site.run(f"campaign__{name}", now)
        assert (first["state"], first["tasks"]) == ("success", ALL_GREEN)
        (audience,) = site.query(f"select count(*) as n from customers where {who}")
        states = site.states()
        assert sum(states.values()) == audience["n"] == site.query("select * from campaign_runs")[0]["audience_rows"]
        assert set(states) <= {"accepted", "enqueue_failed", "skipped"}
        assert states["accepted"] > 10
        held = {(m["sid"], m["to"]) for m in site.simulator.truth()}
        ledger = site.query("select message_sid, to_number from messages where send_state = 'accepted'")
        assert {(row["message_sid"], row["to_number"]) for row in ledger} == held
        assert len({number for _, number in held}) == len(held)
        events = site.query("select status, count(*) as n from campaign_events where status like 'enqueue%' group by 1")
        expected = {"enqueued": states["accepted"], "enqueue_failed": states.get("enqueue_failed", 0)}
        assert {row["status"]: row["n"] for row in events} == {word: n for word, n in expected.items() if n}

        before = site.tables()
        again = site.run(f"campaign__{name}", now)
        assert (again["state"], again["tasks"]) == ("success", ALL_GREEN)
        assert len(site.simulator.truth()) == len(held)
        assert site.tables() == before

        said = airflow.log.read_text("utf-8") + json.dumps([first["xcoms"], again["xcoms"]])
        assert re.search(rf"  enqueued +{states['accepted']:,}\b", said)
        assert [number for _, number in held if number.removeprefix("+") in said] == []

    def test_it_runs_against_any_server_that_follows_twilios_description(self, site):
        with independent_twilio() as server:
            account = {"host": server.url, "login": INDEPENDENT_SID, "password": INDEPENDENT_TOKEN}
            result = site.run("campaign__spring_sale", datetime.now(UTC), **account)
        assert (result["state"], result["tasks"]) == ("success", ALL_GREEN)
        assert site.simulator.truth() == []
        assert len(server.account.messages) == site.states()["accepted"] > 100

    def test_a_campaign_made_in_python_sends(self, site):
        result = site.run("campaign__handmade", datetime.now(UTC))
        assert (result["state"], result["tasks"]) == ("success", ALL_GREEN)
        assert [(m["to"], m["body"]) for m in site.simulator.truth()] == [("+12025550100", "By hand.")]

    def test_a_run_that_is_too_late_texts_nobody_and_is_no_failure(self, site):
        result = site.run("campaign__spring_sale", datetime.now(UTC) - timedelta(hours=2))
        assert result["state"] == "success"
        assert result["tasks"] == {**ALL_GREEN, "prepare_audience": ["skipped"], "send_batch": ["skipped"]}
        assert (site.simulator.truth(), site.states()) == ([], {})

    def test_nobody_to_text_is_no_failure(self, site):
        site.query("delete from customers where marketing_opt_in")
        result = site.run("campaign__spring_sale", datetime.now(UTC))
        assert result["state"] == "success"
        assert result["tasks"] == {**ALL_GREEN, "send_batch": ["skipped"]}

    def test_a_refused_account_is_red_at_once_and_the_mended_run_texts_everybody(self, site):
        now = datetime.now(UTC)
        red = site.run("campaign__spring_sale", now, password="another-token")
        assert red["state"] == "failed"
        assert red["tasks"] == {
            **ALL_GREEN,
            "prepare_audience": ["failed"],
            "send_batch": ["upstream_failed"],
            "report": ["failed"],
        }
        assert site.simulator.truth() == []
        assert site.query("select * from messages") == []
        assert site.run("campaign__spring_sale", now)["tasks"] == ALL_GREEN
        assert len(site.simulator.truth()) == site.states()["accepted"] > 0

    def test_a_broken_segment_is_red_and_not_only_skipped(self, site):
        site.query("alter table customers rename column phone to telephone")
        result = site.run("campaign__spring_sale", datetime.now(UTC))
        assert result["state"] == "failed"
        assert result["tasks"]["prepare_audience"] == result["tasks"]["report"] == ["failed"]

    def test_a_settled_day_is_reconciled_and_done(self, site):
        site.run("campaign__handmade", datetime.now(UTC))
        long_ago = datetime.now(UTC) - timedelta(days=6)
        site.query(f"update messages set tracked_on = '{long_ago.date()}'")
        site.query("update messages set tracking_closes_at = now()")
        result = site.run("reconcile_messages", long_ago)
        assert (result["state"], result["tasks"]) == ("success", {"reconcile": ["success"]})
        (truth,) = site.simulator.truth()
        assert site.query("select provider_status, settled_at is not null as settled from messages") == [
            {"provider_status": truth["final_status"], "settled": True}
        ]

    def test_a_closed_day_is_audited_and_a_lost_row_is_red(self, site):
        site.run("campaign__handmade", datetime.now(UTC))
        day = datetime.now(UTC).date() - timedelta(days=5)
        site.query(f"update messages set tracked_on = '{day}', provider_status = 'read', status = 'delivered'")
        green = site.run("reconcile_audit", datetime.now(UTC))
        assert (green["state"], green["tasks"]) == ("success", {"audit": ["success"]})
        site.query(f"update messages set message_sid = 'SM{'0' * 32}', tracking_closes_at = now()")
        red = site.run("reconcile_audit", datetime.now(UTC) + timedelta(seconds=1))
        assert (red["state"], red["tasks"]) == ("failed", {"audit": ["failed"]})
        kept = site.query("select day, accepted, matched, missing from reconcile_audits order by started_at")
        assert [tuple(row.values()) for row in kept] == [(day, 1, 1, 0), (day, 1, 0, 1)]


def test_the_upgrade_dag_makes_the_tables(site_on, empty_database_url):
    site = site_on(empty_database_url)
    assert site.run("warehouse_upgrade", datetime.now(UTC))["tasks"] == {"upgrade": ["success"]}
    assert site.tables() == [[], [], []]
