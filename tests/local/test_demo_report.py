"""The demo's report is read from the views, and does not add up when a message is missing."""

from io import StringIO

import pytest
from rich.console import Console

from builders import campaign, freeze, people, run
from include.local import report


def accepted(query, key, n, status="delivered"):
    query(
        """
        update messages set send_state = 'accepted', message_sid = 'SM' || lpad(%s::text, 32, '0'),
            accepted_at = now(), tracked_on = current_date, tracking_closes_at = now(),
            provider_status = %s, status = %s, settled_at = now()
        where message_key = %s
        """,
        n,
        status,
        status,
        key,
    )


@pytest.fixture
def finished(warehouse, query):
    """A run of three people: two delivered, one whose number cannot be read."""
    freeze(warehouse, [*people(2), {"customer_id": "x", "phone": "12", "first_name": "X"}])
    keys = [row["message_key"] for row in query("select message_key from messages where send_state = 'planned'")]
    for n, key in enumerate(keys):
        accepted(query, key, n)
    return keys


def show(url):
    text = StringIO()
    found = report.show(url, Console(file=text, width=120))
    return found, text.getvalue()


def test_a_finished_campaign_adds_up(finished, database_url):
    found, text = show(database_url)
    assert len(found) == 4
    assert all(check.holds for check in found)
    assert "BROKEN" not in text
    assert "invalid_number" in text


def test_a_message_without_outcome_is_seen(finished, database_url, query):
    query(
        "update messages set send_state = 'unknown', message_sid = null, tracked_on = null, accepted_at = null, "
        "settled_at = null where message_key = %s",
        finished[0],
    )
    found, text = show(database_url)
    broken = {check.says for check in found if not check.holds}
    assert "planned = enqueued + enqueue_failed" in broken
    assert "BROKEN" in text


def test_an_empty_warehouse_has_nothing_to_check(database_url):
    assert show(database_url)[0] == []


def test_every_campaign_is_judged_by_itself(finished, warehouse, database_url):
    other = campaign(campaign_id="autumn")
    freeze(warehouse, people(3, first=10), of=other, as_run=run(campaign_id="autumn"))
    found, _ = show(database_url)
    assert {check.campaign: check.holds for check in found if check.says.startswith("planned")} == {
        "spring": True,
        "autumn": False,
    }
