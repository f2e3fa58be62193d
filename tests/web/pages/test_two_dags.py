"""A campaign whose runs belong to two DAGs: each visitor sees what one may read, and nothing of the other's runs."""

import pytest

from builders import freeze, people, run
from twilio_campaigns.warehouse.insight.refreshing import Summaries
from web.pages.visiting import RUN, SomeVisitor

OTHER = "spring/other"
OF_SPRING, OF_OTHER = SomeVisitor(reads={"campaign__spring"}), SomeVisitor(reads={"other_dag"})


@pytest.fixture(autouse=True)
def other_run(warehouse, run_key, query):
    """A newer run of the same campaign, made by another DAG for two other people, one of them excluded."""
    freeze(warehouse, people(2, first=50), as_run=run("other"))
    query(
        "update campaign_runs set dag_id = 'other_dag', created_at = now() + interval '1 minute' where run_key = %s",
        OTHER,
    )
    query("update messages set sender = 'sender_of_other', country = 'FR' where run_key = %s", OTHER)
    Summaries(warehouse).refresh(OTHER)


@pytest.mark.parametrize(
    ("visitor", "dag", "audience", "mine", "theirs"),
    [(OF_SPRING, "campaign__spring", 12, RUN, OTHER), (OF_OTHER, "other_dag", 2, OTHER, RUN)],
)
class TestEach:
    def test_lists_and_figures_are_of_the_own_runs(self, visit, visitor, dag, audience, mine, theirs):
        browser = visit(visitor)
        every = browser.get("/campaigns")
        assert every.row("spring")[2] == "1"
        assert f"/twilio/runs/{mine}" in every.links
        assert f"/twilio/runs/{theirs}" not in every.links
        page = browser.get("/campaigns/spring")
        assert f"Audience {audience} " in page.text
        assert f"DAG {dag}" in page.text
        assert f"/twilio/runs/{theirs}" not in page.links
        assert ("FR" in page.text, "sender_of_other" in page.text) == ((dag == "other_dag"),) * 2

    def test_messages_are_found_in_the_own_runs(self, visit, query, visitor, dag, audience, mine, theirs):
        browser = visit(visitor)
        own, foreign = ("c000003", "c000050") if mine == RUN else ("c000050", "c000003")
        assert mine in browser.post("/messages", q=own).text
        assert "No message that you may see" in browser.post("/messages", q=foreign).text
        number = f"+1202555{foreign[-4:]}"
        assert "No message that you may see" in browser.post("/messages", q=number).text
        (row,) = query("select message_key from messages where customer_id = %s", foreign)
        for asked in ("same_number_as", "same_customer_as"):
            assert "No message that you may see" in browser.get("/messages", **{asked: row["message_key"]}).text
        assert browser.get(f"/messages/{row['message_key']}").status == 404
        assert browser.get("/messages", run=theirs).status == 404
        assert browser.get(f"/runs/{theirs}").status == 404

    def test_the_tab_of_the_own_dag_leads_to_the_campaign(self, visit, visitor, dag, audience, mine, theirs):
        browser = visit(visitor)
        assert browser.get(f"/dags/{dag}").url.path == "/twilio/campaigns/spring"
        assert browser.get("/dags/" + ({"other_dag", "campaign__spring"} - {dag}).pop()).status == 404


def test_that_two_messages_share_a_number_is_told_of_no_message_that_one_may_not_see(visit, query):
    query("update messages set to_number = '+12025550003', customer_id = 'c000003' where customer_id = 'c000050'")
    (theirs,) = query("select message_key from messages where customer_id = 'c000003' and run_key = %s", OTHER)
    for asked in ("same_number_as", "same_customer_as"):
        assert "No message that you may see" in visit(OF_SPRING).get("/messages", **{asked: theirs["message_key"]}).text
        page = visit().get("/messages", **{asked: theirs["message_key"]})
        assert RUN in page.text
        assert OTHER in page.text
    page = visit(OF_SPRING).post("/messages", q="c000003")
    assert RUN in page.text
    assert OTHER not in page.text


def test_who_may_read_both_sees_both(visit):
    browser = visit()
    assert "Audience 14 " in browser.get("/campaigns/spring").text
    assert browser.get("/campaigns").row("spring")[2] == "2"
    for dag in ("campaign__spring", "other_dag"):
        assert browser.get(f"/dags/{dag}").url.path == "/twilio/campaigns/spring"
