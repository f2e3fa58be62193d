"""The command `preview`, as a person or a script at the shell meets it."""

import csv
import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from builders import freeze, people, run
from twilio_campaigns.cli import app
from twilio_campaigns.cli_output import counting_rows

SENDERS = "marketing:\n  messaging_service_sid: MG0123456789abcdef0123456789abcdef\n  parts_per_second: {}\n"
CAMPAIGN = """\
sender: marketing
segment:
  {}
audience:
  default_region: US
message:
  body: "Hi {{{{ first_name }}}} [red]you"
"""
QUERY = "query: select 'c' || n as customer_id, '+1202555' || lpad(n::text, 4, '0') as phone, 'Ada' as first_name\n"
PEOPLE = "customer_id,phone,first_name\nc1,+12025550001,Ada\nc2,2025550002,Bob\nc3,+12025550001,Cy\nc4,12,Di\n"


def invoke(*words):
    return CliRunner().invoke(app, ["preview", *(str(word) for word in words)])


@pytest.fixture
def include(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "include"
    (folder / "campaigns").mkdir(parents=True)
    (folder / "segments").mkdir()
    (folder / "senders.yaml").write_text(SENDERS.format(10))
    (folder / "segments" / "people.csv").write_text(PEOPLE)
    (folder / "campaigns" / "spring.yaml").write_text(CAMPAIGN.format("file: segments/people.csv"))
    return folder


class TestWithoutADatabase:
    def test_json_has_counts_rows_and_what_was_not_checked(self, include):
        result = invoke("spring", "--include", include, "--format", "json", "--limit", 3)
        assert result.exit_code == 0
        said = json.loads(result.stdout)
        assert (said["audience"], said["planned"], said["excluded"], said["parts"]) == (4, 2, 2, 2)
        assert said["exclusions"] == {"duplicate_number": 1, "invalid_number": 1}
        assert (said["seconds"], said["cost"], said["messages_of_unknown_price"]) == (0.2, None, 2)
        assert said["parts_of_other_runs_first"] is None
        assert [row["outcome"] for row in said["rows"]] == ["planned", "planned", "duplicate_number"]
        assert said["rows"][0]["body"] == "Hi Ada [red]you"
        assert said["rows"][0]["number"] == "+1…01"
        (note,) = said["notes"]
        assert "suppressed" in note
        assert note in result.stderr

    def test_whole_numbers_are_shown_to_whoever_asks(self, include):
        assert "202555" not in invoke("spring", "--include", include).output
        said = json.loads(invoke("spring", "--include", include, "--format", "json", "--show-numbers").stdout)
        assert [row["number"] for row in said["rows"]] == ["+12025550001", "+12025550002", "+12025550001", "12"]

    def test_csv_has_the_rows_alone(self, include):
        result = invoke("spring.yaml", "--include", include, "--format", "csv", "--limit", 2)
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [(row["row"], row["customer_id"], row["outcome"]) for row in rows] == [
            ("1", "c1", "planned"),
            ("2", "c2", "planned"),
        ]

    def test_the_table_says_unknown_where_nobody_knows_a_price(self, include):
        said = invoke("spring", "--include", include).stdout
        for words in ("unknown", "duplicate_number", "[red]you", "By country", "MG0123456789abcdef"):
            assert words in said

    def test_no_rows_are_shown_where_none_are_wanted(self, include):
        said = invoke("spring", "--include", include, "--limit", 0)
        assert "The first" not in said.stdout
        assert "invalid_number" in said.stdout

    def test_what_would_be_refused_is_an_error(self, include):
        (include / "senders.yaml").write_text(SENDERS.format("0.00001"))
        result = invoke("spring", "--include", include, "--format", "json")
        assert result.exit_code == 1
        assert "`prepare_audience` would plan nobody: 2 messages" in result.stderr
        assert "Raise send_within" in json.loads(result.stdout)["refusal"]

    def test_a_variable_that_rows_lack_is_named_once(self, include):
        (include / "segments" / "people.csv").write_text(PEOPLE.replace("Ada", "").replace("Bob", ""))
        result = invoke("spring", "--include", include, "--format", "json")
        assert "no value for 'first_name'" in json.loads(result.stdout)["notes"][0]

    def test_a_variable_that_no_column_has_is_a_problem(self, include):
        (include / "campaigns" / "spring.yaml").write_text(
            CAMPAIGN.format("file: segments/people.csv").replace("first_name", "first_nme")
        )
        result = invoke("spring", "--include", include, "--format", "json")
        said = json.loads(result.stdout)
        assert said["problems"] == ["No column 'first_nme'. Did you mean 'first_name'?"]
        assert said["problems"][0] in result.stderr
        assert (result.exit_code, said["planned"], said["exclusions"]["missing_variable"]) == (0, 0, 3)

    def test_nobody_costs_nothing(self, include):
        (include / "segments" / "people.csv").write_text("customer_id,phone,first_name\nc1,12,Ada\n")
        said = invoke("spring", "--include", include).stdout
        assert "nothing: nobody would be texted" in said
        assert "unknown" not in said.replace("messages of unknown price", "")


class TestMistakes:
    def test_an_unknown_campaign(self, include):
        result = invoke("sprin", "--include", include)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "there is no campaign 'sprin'. Did you mean 'spring'?" in result.stderr

    def test_a_broken_one_says_what_validate_says(self, include):
        (include / "campaigns" / "bad.yaml").write_text("sender: marketing\n")
        (include / "campaigns" / "good.yaml").write_text("other: 1\n")
        result = invoke("bad", "--include", include)
        assert result.exit_code == 1
        assert all(line.startswith("include/campaigns/bad.yaml:1: ") for line in result.stderr.splitlines())

    def test_a_segment_that_is_missing(self, include):
        (include / "segments" / "people.csv").unlink()
        result = invoke("spring", "--include", include)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "segments/people.csv does not exist below include/" in result.stderr

    def test_a_warehouse_that_is_named_and_away(self, include):
        result = invoke("spring", "--include", include, "--database-url", "postgresql://u:hidden@127.0.0.1:1/w")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "cannot be reached" in result.stderr
        assert "hidden" not in result.stderr


def test_the_url_stands_for_the_connection_of_the_segment_as_well(include, warehouse, query, database_url):
    (include / "campaigns" / "spring.yaml").write_text(
        CAMPAIGN.format(QUERY.rstrip() + " from generate_series(1, 12) as n")
    )
    freeze(warehouse, people(2), as_run=run("earlier"))
    query("insert into suppressions (to_number, scope, reason, source) values ('+12025550005', '*', 'own', 'me')")
    result = invoke("spring", "--include", include, "--database-url", database_url, "--format", "json")
    said = json.loads(result.stdout)
    assert said["exclusions"] == {"recently_texted": 1, "suppressed": 1}
    assert (said["planned"], said["notes"], said["parts_of_other_runs_first"]) == (10, [], 0)
    (left,) = query("select count(*) as runs from campaign_runs")
    assert left == {"runs": 1}


def test_the_connection_of_the_environment_is_enough(include, warehouse, query, database_url, connect_warehouse):
    connect_warehouse(database_url)
    query("insert into suppressions (to_number, scope, reason, source) values ('+12025550001', '*', 'own', 'me')")
    said = json.loads(invoke("spring", "--include", include, "--format", "json").stdout)
    assert said["exclusions"] == {"suppressed": 1, "duplicate_number": 1, "invalid_number": 1}
    assert said["notes"] == []


@pytest.mark.parametrize("terminal", [True, False])
def test_people_see_how_far_it_is_and_programs_see_nothing(monkeypatch, terminal):
    seen = io.StringIO()
    monkeypatch.setattr("twilio_campaigns.cli_output.err", Console(file=seen, force_terminal=terminal, width=80))
    with counting_rows(iter([[1] * 1000, [2] * 234]), "Reading the segment") as chunks:
        assert sum(map(len, chunks)) == 1234
    assert ("Reading the segment 1,234 rows" in seen.getvalue()) is terminal
    assert bool(seen.getvalue()) is terminal
