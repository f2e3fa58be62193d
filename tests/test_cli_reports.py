"""The commands that answer questions, on a run of which everything can be said."""

import csv
import io
import json
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from builders import freeze, people
from told_run import tell_run
from twilio_campaigns.cli import app
from twilio_campaigns.engine.report import report_on


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def run_key(warehouse, query):
    return tell_run(warehouse, query)


class Page(HTMLParser):
    """The cells of a page, row by row."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.tags[-1] in {"td", "th"}:
            self.rows[-1][-1] += data.strip()


class TestStatus:
    def test_the_latest_runs_and_the_days_that_are_open(self, run_key, database_url):
        said = json.loads(invoke("status", "--format", "json", "--database-url", database_url).stdout)
        (run,) = said["runs"]
        assert run["run_key"] == run_key
        figures = {name: run[name] for name in ("planned", "excluded", "enqueued", "enqueue_failed", "delivered")}
        assert figures == {"planned": 11, "excluded": 1, "enqueued": 10, "enqueue_failed": 1, "delivered": 6}
        (day,) = said["open_days"]
        assert {name: day[name] for name in ("day", "open", "last_pass_at", "error", "is_overdue")} == {
            "day": "2026-11-20",
            "open": 10,
            "last_pass_at": None,
            "error": None,
            "is_overdue": True,
        }

    def test_the_table_names_the_run_whole(self, run_key, database_url):
        result = invoke("status", "--database-url", database_url)
        assert result.exit_code == 0
        assert run_key in result.stdout
        assert "Days with messages that are not settled" in result.stdout
        assert "not settled" in result.stdout.replace("that are not settled", "")

    def test_another_campaign_has_no_run(self, run_key, database_url):
        said = invoke("status", "other", "--database-url", database_url).stdout
        assert "no run of other" in said
        assert "Days with messages that are not settled: none." in said

    def test_days_are_those_of_the_campaign(self, run_key, database_url):
        words = ("--format", "json", "--database-url", database_url)
        campaign = run_key.partition("/")[0]
        assert [day["open"] for day in json.loads(invoke("status", campaign, *words).stdout)["open_days"]] == [10]
        assert json.loads(invoke("status", "other", *words).stdout)["open_days"] == []


class TestReport:
    def test_a_campaigns_name_gives_its_last_run(self, run_key, database_url):
        campaign = run_key.partition("/")[0]
        said = json.loads(invoke("report", campaign, "--format", "json", "--database-url", database_url).stdout)
        assert said["run_key"] == run_key
        assert said["funnel"]["delivered"] == 6
        assert said["exclusions"] == [{"skip_reason": "suppressed", "rows": 1}]
        assert sum(row["enqueued"] for row in said["countries"]) == 10
        assert {row["status_code"] for row in said["errors"]} == {30003, 30007, 21211}
        assert all(row["comment"] for row in said["errors"])

    def test_csv_has_a_line_for_every_cell(self, run_key, database_url):
        text = invoke("report", run_key, "--format", "csv", "--database-url", database_url).stdout
        lines = list(csv.DictReader(io.StringIO(text)))
        assert {line["table"] for line in lines} == {"funnel", "exclusions", "countries", "errors"}
        figures = {
            value["value"]: other["value"]
            for value, other in pairwise(lines)
            if (value["table"], value["column"], other["column"]) == ("funnel", "figure", "value")
        }
        assert figures["delivered"] == "6"

    def test_html_is_a_page_of_its_own_and_says_the_same(self, run_key, database_url, query):
        query("update campaign_runs set state_reason = '<script>alert(1)</script> [red]'")
        text = invoke("report", run_key, "--format", "html", "--database-url", database_url).stdout
        page = Page(text)
        assert page.tags[0] == "html"
        assert not {"script", "link", "img"} & set(page.tags)
        assert ["delivered", "6"] in page.rows
        assert {"30003", "30007", "21211"} <= {cell for row in page.rows for cell in row}
        assert ["state reason", ""] not in page.rows
        assert any("<script>alert(1)</script> [red]" in cell for row in page.rows for cell in row)

    def test_the_table_shows_every_part(self, run_key, database_url):
        said = invoke("report", run_key, "--database-url", database_url).stdout
        for title in ("Funnel", "Exclusions", "Countries", "Errors"):
            assert title in said
        assert said.index("Errors") < said.index("Countries")
        assert {"30003", "30007", "21211"} <= set(said.split())
        assert "30003" in said
        assert "30,003" not in said
        assert "yes" in said
        assert "more: --all" not in said

    def test_the_table_has_the_largest_countries_and_all_where_somebody_asks(self, warehouse, query, database_url):
        freeze(warehouse, people(24))
        query(
            "update messages as m set country = 'Q' || chr(64 + o.n::int) from "
            "(select message_key, row_number() over (order by message_key) as n from messages) as o "
            "where o.message_key = m.message_key"
        )
        words = ("report", "spring", "--database-url", database_url)
        short, whole = invoke(*words).stdout, invoke(*words, "--all").stdout
        assert short.endswith("\n… and 4 more: --all\n")
        assert ("│ QT " in short, "│ QU " in short, "│ QX " in whole, "more: --all" in whole) == (
            True,
            False,
            True,
            False,
        )
        assert len(json.loads(invoke(*words, "--format", "json").stdout)["countries"]) == 24

    def test_a_country_without_receipts_says_never(self, run_key, query, database_url, monkeypatch):
        monkeypatch.setenv("COLUMNS", "200")
        query("update messages set country = 'DE'")
        assert "never" in invoke("report", run_key, "--database-url", database_url).stdout

    def test_nothing_billed_is_no_price_and_says_how_many_are_to_come(self, run_key, query, database_url):
        def funnel():
            words = ("report", run_key, "--format", "json", "--database-url", database_url)
            return {
                name: json.loads(invoke(*words).stdout)["funnel"][name] for name in ("price", "price_unit", "unpriced")
            }

        query("update messages set price_unit = 'USD' where send_state = 'accepted'")
        assert funnel() == {"price": None, "price_unit": None, "unpriced": 10}
        query("update messages set price = 0.01 where provider_status = 'delivered'")
        assert funnel() == {"price": 0.06, "price_unit": "USD", "unpriced": 4}

    def test_an_unknown_run_is_told(self, run_key, database_url):
        result = invoke("report", "nobody", "--database-url", database_url)
        assert result.exit_code == 1
        assert "no run or campaign 'nobody'" in result.stderr


class TestUncounted:
    """Somebody is at the run, so that its figures cannot be made."""

    @pytest.fixture
    def held(self, warehouse, run_key, query, monkeypatch):
        query("delete from summary_runs")
        monkeypatch.setattr("twilio_campaigns.warehouse.insight.refreshing.LOCK_TIMEOUT", "100ms")
        with warehouse.transaction() as other:
            other.execute("select pg_advisory_xact_lock(hashtextextended('summary ' || %s, 0))", (run_key,))
            yield run_key

    def test_a_report_says_so_and_shows_no_zeros(self, held, database_url):
        result = invoke("report", held, "--database-url", database_url)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"The figures of run {held} could not be counted: " in result.stderr
        assert "lock timeout" in result.stderr
        assert "ask again in a minute" in result.stderr

    def test_status_shows_nothing_for_what_was_never_counted(self, held, query, database_url):
        query("insert into summary_marks values (%s)", held)
        words = ("status", "--format", "json", "--database-url", database_url)
        (run,) = json.loads(invoke(*words).stdout)["runs"]
        assert (run["state"], run["delivered"], run["enqueued"], run["refreshed_at"]) == ("sending", None, None, None)
        assert "were not made anew" in invoke(*words).stderr

    def test_a_task_tells_what_it_knows(self, held, warehouse, query):
        report = report_on(warehouse, held)
        event = report.event()
        known = {name: event.pop(name) for name in ("run_key", "state", "audience_rows")}
        assert known == {"run_key": held, "state": "done", "audience_rows": 12}
        assert set(event.values()) == {None}
        assert report.figures()["enqueued"] == 10
        assert not [line for line in report.lines() if line.split()[-1] == "0"]

    def test_a_task_tells_for_when_its_figures_hold(self, warehouse, run_key, query):
        (event, lines) = (report := report_on(warehouse, run_key)).event(), list(report.lines())
        (row,) = query("select refreshed_at from summary_runs")
        assert (event["delivered"], event["refreshed_at"]) == (6, row["refreshed_at"].isoformat())
        assert any(line.split()[:2] == ["refreshed", "at"] for line in lines)


class TestExplain:
    def test_a_code_that_suppresses(self):
        said = json.loads(invoke("explain", 21610, "--format", "json").stdout)
        assert said["error"] == "opted_out"
        assert (said["status"], said["suppresses"], said["known"]) == ("rejected", True, True)

    def test_a_code_that_nobody_knows(self):
        said = json.loads(invoke("explain", 99999, "--format", "json").stdout)
        assert (said["known"], said["error"], said["status"]) == (False, "unknown_error", "failed")

    def test_what_is_no_code(self):
        assert invoke("explain", "many").exit_code == 2
        assert invoke("explain", 0).exit_code == 2

    def test_the_table_says_what_to_do(self):
        said = invoke("explain", 30007).stdout
        assert "filtered" in said
        assert "wording" in said
