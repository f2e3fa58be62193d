"""The documentation as whoever follows its links and copies its statements meets it; needs no generator."""

import re
from pathlib import Path

import psycopg
import pytest

from builders import freeze, people, run
from conftest import ROOT
from told_run import tell_run

PAGES = sorted((ROOT / "docs").glob("*.md")) + [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
FENCE = re.compile(r"^( *)```(\w*|\{\w+\})\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def text_of(path):
    """A page without its code."""
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", path.read_text("utf-8")))


def anchors(path):
    """Its headings as code forges and Sphinx name them."""
    found = []
    for heading in re.findall(r"^#{1,6} (.*)$", FENCE.sub("", path.read_text("utf-8")), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        again = found.count(name)
        found.append(f"{name}-{again}" if again else name)
    return found


def links():
    for page in PAGES:
        for link in LINK.findall(text_of(page)):
            if "://" not in link:
                yield pytest.param(page, link, id=f"{page.name}: {link}")


@pytest.mark.parametrize(("page", "link"), list(links()))
def test_a_link_leads_somewhere(page, link):
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    assert target.exists(), f"{name} does not exist"
    assert target.is_relative_to(ROOT)
    if anchor:
        assert anchor in anchors(target)


def test_every_page_stands_in_the_table_of_contents():
    toctrees = re.findall(r"```\{toctree\}\n(.*?)```", (ROOT / "docs" / "index.md").read_text("utf-8"), re.DOTALL)
    named = {line for tree in toctrees for line in tree.split("\n") if line and not line.startswith(":")}
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - {"index"}
    assert {page for page in pages if not any(Path(page).match(name) for name in named)} == set()


def test_the_ten_questions_name_commands_that_there_are():
    from typer.main import get_command

    from twilio_campaigns.cli import app

    known = set(get_command(app).commands)
    for page in PAGES:
        for command in re.findall(r"`?twilio-campaigns ([a-z][a-z-]*)", page.read_text("utf-8")):
            assert command in known | {"commands"}, f"{page.name}: {command}"


def test_airflow_has_the_options_that_are_named():
    from airflow.configuration import conf

    named = {found for page in PAGES for found in re.findall(r"`\[([a-z_]+)\] ([a-z_]+)", page.read_text("utf-8"))}
    assert ("core", "num_dag_runs_to_retain_rendered_fields") in named
    described = conf.configuration_description
    assert [option for section, option in named if option not in described[section]["options"]] == []


def statements(page, heading):
    """The SQL below a heading."""
    section = re.split(rf"^## {heading}$", page.read_text("utf-8"), flags=re.MULTILINE)[1].split("\n## ")[0]
    return "\n".join(code for _, kind, code in FENCE.findall(section) if kind == "sql")


class TestPrivacy:
    PAGE = ROOT / "docs" / "security.md"

    def test_a_person_is_erased_and_sums_stay(self, warehouse, query, database_url):
        tell_run(warehouse, query)
        (person,) = query("select * from messages where to_number = '+12025550003'")
        query(
            "insert into inbound_messages (message_sid, from_number, to_number, received_at, source) "
            "values ('SMin', '+12025550003', '+12025550142', now(), 'list')"
        )
        sums = query("select sum(delivered) as delivered, sum(planned) as planned from campaign_performance")
        erase = statements(self.PAGE, "Erasing one person")
        assert erase.count("+12025550123") == 4
        erase = erase.replace("+12025550123", "+12025550003").replace("c00042", person["customer_id"])
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(erase)
        customer = person["customer_id"]
        traces = query(
            "select 1 from messages where to_number = '+12025550003' or customer_id = %s or input_number like '%%0003' "
            "union all select 1 from campaign_events where to_number = '+12025550003' or customer_id = %s "
            "union all select 1 from inbound_messages",
            customer,
            customer,
        )
        assert traces == []
        assert query("select sum(delivered) as delivered, sum(planned) as planned from campaign_performance") == sums
        (kept,) = query("select reason, lifted_at from suppressions where to_number = '+12025550003'")
        assert kept == {"reason": "erased", "lifted_at": None}
        assert query("select count(*) as n from messages where to_number is null") == [{"n": 1}]

    def test_old_runs_go_as_a_whole(self, warehouse, query):
        tell_run(warehouse, query)
        freeze(warehouse, people(2, first=50), as_run=run("young"))
        query(
            "update campaign_runs set created_at = now() - interval '2 years', state = 'done' where run_key <> %s",
            run("young").run_key,
        )
        for statement in filter(str.strip, statements(self.PAGE, "Retention").split(";")):
            query(statement)
        young = run("young").run_key
        kept = query(
            "select c.relname from pg_class as c join pg_attribute as a on a.attrelid = c.oid and attname = 'run_key' "
            "where relnamespace = 'messaging'::regnamespace and relkind = 'r' and relname not in ('summary_marks', "
            "'stray_messages', 'sender_shares') order by 1"
        )
        assert len(kept) > 9
        for table in kept:
            assert query(f"select * from {table['relname']} where run_key <> '{young}'") == []
        assert query("select run_key from campaign_runs") == [{"run_key": young}]
        assert query("select count(*) as n from messages") == [{"n": 2}]
        assert query("select count(*) as n from campaign_events") == [{"n": 0}]

    def test_every_table_with_people_in_it_is_named(self, query):
        personal = query(
            "select distinct table_name from information_schema.columns join pg_class on relname = table_name "
            "where table_schema = 'messaging' and relkind = 'r' and column_name in "
            "('to_number', 'from_number', 'input_number', 'body', 'customer_id', 'user_agent')"
        )
        page = self.PAGE.read_text("utf-8")
        assert all(f"| `{row['table_name']}` |" in page for row in personal)
