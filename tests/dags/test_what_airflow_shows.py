"""What people and other DAGs see of our tasks: links, tables in logs, asset events, texts about failures."""

import re
from ast import literal_eval
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from twilio_campaigns.assets import campaign_asset, reconciled_days
from twilio_campaigns.notifications.told import Told

ON_CALL = ("+12025550177", "+12025550178")
LOG = "https://console.twilio.com/us1/monitor/logs/sms?pageSize=50"
FUNNEL = {
    *("excluded", "planned", "too_late", "waiting", "unknown", "enqueued", "enqueue_failed", "sent", "delivered"),
    *("failed", "rejected", "unreported", "open", "clicked", "parts", "price", "price_unit", "unpriced"),
    "refreshed_at",
}


@pytest.fixture
def links(airflow):
    """Ask the real API server what stands beside a task."""

    def ask(run, dag_id, task_id, map_index=-1):
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run['run_id']}/taskInstances/{task_id}/links?map_index={map_index}"
        answer = airflow.ask("get", path=path)
        assert answer["status"] == 200, answer
        return answer["body"]["extra_links"]

    return ask


@pytest.fixture
def events(airflow):
    """Give what an asset's events told since the test began."""
    before = {}

    def of(asset):
        told = airflow.ask("events", name=asset.name)
        return told[before.setdefault(asset.name, 0) :]

    for asset in (campaign_asset("spring_sale"), reconciled_days()):
        before[asset.name] = len(of(asset))
    return of


class TestLinks:
    def test_every_task_of_a_campaign_leads_to_its_run_and_the_log_ends_with_tables(self, airflow, site, links):
        run = site.run("campaign__spring_sale", datetime.now(UTC))
        (row,) = site.query("select run_key, audience_rows from campaign_runs")
        ours = {
            "Campaign": "twilio/campaigns/spring_sale",
            "Campaign run": "twilio/runs/" + row["run_key"].replace(":", "%3A"),
        }
        assert links(run, "campaign__spring_sale", "prepare_audience") == ours
        assert links(run, "campaign__spring_sale", "send_batch", 0) == {**ours, "Twilio message log": LOG}
        assert links(run, "campaign__spring_sale", "resolve_unknown") == {**ours, "Twilio message log": LOG}
        assert links(run, "campaign__spring_sale", "report") == ours

        said = airflow.log.read_text("utf-8")
        for title in ("Audience of run", "Batch 1 of run", "Lost answers of run"):
            assert f"{title} {row['run_key']}" in said
        funnel = said[said.index(f"Run {row['run_key']} is done.") :]
        assert re.search(rf"  audience +{row['audience_rows']}\b", funnel)

    def test_each_mapped_message_has_its_own_and_one_that_was_never_sent_has_none(self, site, links):
        run = site.run("one_message", datetime.now(UTC))
        assert run["tasks"] == {"text": ["success", "success", "failed"]}
        found = [links(run, "one_message", "text", number)["Twilio message"] for number in range(3)]
        sids = {message["to"]: message["sid"] for message in site.simulator.truth()}
        assert found == [f"{LOG}&sid={sids['+12025550101']}", f"{LOG}&sid={sids['+12025550102']}", None]

    def test_a_day_leads_to_the_health_page(self, site, links):
        run = site.run("reconcile_messages", datetime.now(UTC) - timedelta(days=6))
        assert links(run, "reconcile_messages", "reconcile") == {"Messaging health": "twilio/health-page"}

    def test_airflow_keeps_what_the_page_on_security_says_and_no_more(self, airflow, site):
        """Of a single message its recipient and text, as rendered fields; of a campaign neither."""

        def kept(run, dag_id, task_id, number):
            task = f"/api/v2/dags/{dag_id}/dagRuns/{run['run_id']}/taskInstances/{task_id}"
            rendered = airflow.ask("get", path=f"{task}/{number}")["body"]["rendered_fields"]
            found = airflow.ask("get", path=f"{task}/xcomEntries?map_index={number}")["body"]["xcom_entries"]
            return rendered, {entry["key"] for entry in found}

        run = site.run("one_message", datetime.now(UTC))
        rendered, keys = kept(run, "one_message", "text", 0)
        assert (rendered["to"], rendered["body"]) == ("+12025550101", "Hello")
        assert keys == {"return_value", "_link_TwilioMessageLink"}
        assert [value for value in run["xcoms"] if "2025550101" in value or "Hello" in value] == []

        run = site.run("campaign__handmade", datetime.now(UTC))
        rendered, keys = kept(run, "campaign__handmade", "send_batch", 0)
        assert rendered == {"batch_no": 1}
        links = {f"_link_{name}" for name in ("CampaignLink", "CampaignRunLink", "TwilioMessageLogLink")}
        assert keys == {"return_value", *links}
        (log,) = {value for value in run["xcoms"] if "console.twilio.com" in value}
        assert "from=%2B15005550006" in log
        assert [value for value in run["xcoms"] if "2025550100" in value or "By hand" in value] == []


class TestAssets:
    def test_other_dags_run_when_a_campaign_is_sent_and_when_a_day_is_settled(self, airflow, site, events):
        consumers = ["after_spring_sale", "after_each_reconciled_day"]
        airflow.ask("unpause", dag_ids=consumers)
        now = datetime.now(UTC)
        site.run("campaign__spring_sale", now)
        long_ago = now - timedelta(days=6)
        site.query(f"update messages set tracked_on = '{long_ago.date()}', tracking_closes_at = now()")
        site.run("reconcile_messages", long_ago)

        (sent,), (day,) = events(campaign_asset("spring_sale")), events(reconciled_days())
        assert set(sent) == {"run_key", "state", "audience_rows", *FUNNEL}
        enqueued = site.states()["accepted"]
        assert (sent["state"], sent["enqueued"], sent["delivered"]) == ("done", enqueued, 0)
        assert sent["audience_rows"] == sent["excluded"] + sent["planned"]
        assert (day["day"], day["campaigns"]) == (str(long_ago.date()), ["spring_sale"])
        assert (day["enqueued"], day["open"], day["unresolved"]) == (enqueued, 0, 0)
        assert day["delivered"] + day["failed"] + day["rejected"] + day["unreported"] == enqueued
        assert day["price"] == pytest.approx(float(site.query("select sum(price) as n from messages")[0]["n"]))

        runs = {run["dag_id"]: run for run in airflow.ask("schedule", dag_ids=consumers)}
        assert {name: (run["run_type"], run["state"]) for name, run in runs.items()} == dict.fromkeys(
            consumers, ("asset_triggered", "success")
        )
        # A DAG's first run sees the events of earlier tests, too, in no order.
        (summed,), (booked,) = (map(literal_eval, runs[name]["xcoms"]) for name in consumers)
        assert sent["run_key"] in summed["runs"]
        assert summed["texted"] >= enqueued
        assert day["day"] in booked

        # A report that is made again tells what is known by then.
        site.run("campaign__spring_sale", now)
        again = events(campaign_asset("spring_sale"))[1:]
        assert [(e["run_key"], e["delivered"]) for e in again] == [(sent["run_key"], day["delivered"])]

    def test_a_run_that_texted_nobody_because_it_was_late_is_no_event(self, site, events):
        run = site.run("campaign__spring_sale", datetime.now(UTC) - timedelta(hours=2))
        assert run["tasks"]["report"] == ["success"]
        assert events(campaign_asset("spring_sale")) == []


class TestNotifier:
    def test_a_failed_task_texts_whoever_is_on_call_once(self, airflow, site):
        run = site.run("nightly_load", datetime.now(UTC), variables={"ON_CALL": ", ".join(ON_CALL)})
        assert run["state"] == "failed"
        texts = [(message["to"], message["body"]) for message in site.simulator.truth()]
        assert [number for number, _ in texts] == list(ON_CALL)
        assert {body.partition(":")[0] for _, body in texts} == {"nightly_load.load failed (try 1)"}
        assert "Bash command failed" in texts[0][1]
        # The DAG processor, should it make the callback again, knows the try and no state.
        path = f"/api/v2/dags/nightly_load/dagRuns/{run['run_id']}/taskInstances/load/xcomEntries"
        kept = [entry["key"] for entry in airflow.ask("get", path=path)["body"]["xcom_entries"]]
        again = SimpleNamespace(dag_id="nightly_load", run_id=run["run_id"], task_id="load", map_index=-1, try_number=1)
        templates = {
            "to": "{{ var.value.on_call }}",
            "body": "{{ ti.dag_id }}.{{ ti.task_id }} failed (try {{ ti.try_number }}): {{ exception }}",
            "from_number": None,
            "messaging_service_sid": "MG0123456789abcdef0123456789abcdef",
            "twilio_conn_id": "twilio_default",
        }
        assert Told({"ti": again}, templates)._key in kept
        assert [n for n in ON_CALL if n.removeprefix("+1") in airflow.log.read_text("utf-8")] == []

    def test_a_twilio_that_refuses_changes_nothing_about_the_task(self, airflow, site):
        written = len(airflow.log.read_text("utf-8"))
        run = site.run("nightly_load", datetime.now(UTC), password="wrong", variables={"ON_CALL": ON_CALL[0]})
        assert (run["state"], run["tasks"]) == ("failed", {"load": ["failed"]})
        assert site.simulator.truth() == []
        said = airflow.log.read_text("utf-8")[written:]
        assert "Recipient 1 of 1: " in said
        assert "Failed to run task callback" not in said
