"""The documents for analysts: every worked query runs, and the dictionary is the database's own."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from include.local.dictionary import FILE, dictionary
from told_run import tell_run

DOCS = Path(__file__).parent.parent.parent / "docs"
QUERIES = re.findall(
    r"^## (.*?)\n|```sql\n(.*?)```", (DOCS / "queries.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)


def titled():
    title, number = "", 0
    for heading, query in QUERIES:
        title = heading or title
        if query:
            number += 1
            yield pytest.param(query, id=f"{number}: {title}")


@pytest.mark.parametrize("text", list(titled()))
def test_a_worked_query_runs_on_a_warehouse_with_a_run(warehouse, query, database_url, text):
    tell_run(warehouse, query, at=datetime.now(UTC) - timedelta(days=1))  # several ask for the last days
    query("update messages set campaign_id = 'spring_sale'")
    query("update campaign_events set campaign_id = 'spring_sale', customer_id = 'c00042'")
    query("update campaign_runs set campaign_id = 'spring_sale'")
    with psycopg.connect(database_url) as connection:
        cursor = connection.execute(text)
        rows = cursor.fetchall()
        names = [column.name for column in cursor.description]
    assert "?column?" not in names
    # Nobody answered, clicked, opted out, or called a webhook in this run, and no pass was made.
    silent = ("inbound_replies", "link_clicks", "webhook_rejections", "reconcile_passes", "suppressions")
    assert bool(rows) is not any(name in text for name in silent)


def test_there_is_a_query_for_every_question():
    assert len(list(titled())) >= 12


def test_the_dictionary_says_what_the_database_says(database_url):
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        assert dictionary(connection) == FILE.read_text("utf-8"), "Run `make dictionary`."
