"""Every statement that a reconcile pass runs finds its rows by an index, however large the ledger is."""

import asyncio
import re
from datetime import UTC, datetime

import psycopg
import pytest

from builders import campaign, freeze, people, run
from twilio_campaigns.domain.scope import Scope
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.engine.telling import tell_audience
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.warehouse import applying, due, events
from twilio_campaigns.warehouse.applying import EventStore
from twilio_campaigns.warehouse.insight.campaigns import CampaignIndex
from twilio_campaigns.warehouse.insight.figures import Figures
from twilio_campaigns.warehouse.insight.health import Health
from twilio_campaigns.warehouse.insight.messages import MessageSearch
from twilio_campaigns.warehouse.insight.refreshing import Summaries
from twilio_campaigns.warehouse.insight.run_messages import FEW, STATES
from twilio_campaigns.warehouse.insight.runs import RunInsight

#: Settled messages of other days: what a scan would have to look through.
OLD_ROWS = 40_000
ANSWERS = ("counts", "countries", "errors", "exclusions", "costs")
LARGE = ("messages", "campaign_events", "inbound_messages")


@pytest.fixture
def old_ledger(warehouse, query):
    """A ledger of forty days, with a run that is under way today."""
    query(
        """
        insert into messages (message_key, run_key, campaign_id, connection, to_number, channel, sender, body,
            estimated_parts, batch_no, send_state, claimed_at, message_sid, sid_source, accepted_at, tracked_on,
            tracking_closes_at, provider_status, status, final_at, settled_at,
            from_number)
        select gen_random_uuid(), 'old/' || n %% 40, 'old', 'twilio_default', '+1202555' || n, 'sms', 'service',
            'x', 1, 1, 'accepted', at, 'SM' || md5(n::text), 'answer', at, at::date, at + interval '4 days',
            'delivered', 'delivered', at, at, '+12025550100'
        from (select n, now() - interval '5 days' - n %% 40 * interval '1 day' as at
              from generate_series(1, %s) as n) as o
        """,
        OLD_ROWS,
    )
    query(
        """
        insert into campaign_events (event_id, action_type, status, occurred_at, campaign_id, run_key, message_key,
            message_sid, to_number, tracked_on, source)
        select gen_random_uuid(), 'sms', word, accepted_at, campaign_id, run_key, message_key, message_sid, to_number,
            tracked_on, 'list'
        from messages, unnest(array['enqueued', 'sent', 'delivered']) as word
        """
    )
    query(
        """
        insert into inbound_messages (message_sid, from_number, to_number, received_at, source)
        select 'SM' || md5('in' || n), '+1202555' || n, '+12025550100', now() - interval '9 days', 'list'
        from generate_series(1, 150000) as n
        """
    )
    query("analyze inbound_messages")
    query("analyze messages")
    query("analyze campaign_events")


@pytest.fixture
def statements(monkeypatch):
    """Statements that were executed and their parameters, once for each choice of what is asked for."""
    seen = {}

    def watched(original):
        def execute(self, statement, params=None, **more):
            asked = (
                frozenset(name for name, value in params.items() if value is None) if isinstance(params, dict) else 0
            )
            seen.setdefault((str(statement), asked), params)
            return original(self, statement, params, **more)

        return execute

    # A connection's `execute` is a cursor's.
    for kind, method in ((psycopg.Cursor, "execute"), (psycopg.Cursor, "stream"), (psycopg.ServerCursor, "execute")):
        monkeypatch.setattr(kind, method, watched(getattr(kind, method)))
    return seen


def scans_of(connection, statement, params):
    """Name the large tables that a statement would read from end to end."""
    plan = "\n".join(row["QUERY PLAN"] for row in connection.execute(f"explain {statement}", params))
    return {table for table in LARGE if re.search(rf"Seq Scan on {table}\b", plan)}, plan


def scanned_by(warehouse, statements):
    """Give the statements that would read a large table from end to end, each with its plan."""
    scanned = {}
    with warehouse.transaction() as connection:
        for (statement, _), params in list(statements.items()):
            if re.match(r"\s*(select|insert|update|delete|with)\b", statement) and "set_config" not in statement:
                tables, plan = scans_of(connection, statement, params)
                if tables:
                    scanned[statement] = plan
    return scanned


@pytest.mark.usefixtures("old_ledger")
def test_no_statement_of_a_pass_reads_a_large_table_from_end_to_end(warehouse, simulator, statements):
    async def gateway_of(_connection_id):
        return TwilioGateway(simulator.settings())

    async def send():
        async with TwilioGateway(simulator.settings()) as twilio:
            await BatchSender(warehouse, twilio, campaign(), Settings()).send(run().run_key, 1)

    async def listed():
        async with TwilioGateway(simulator.settings()) as twilio:
            return [message async for page in twilio.list() for message in page.messages]

    freeze(warehouse, people(300))
    asyncio.run(send())
    simulator.control("POST", "inbound", From="+12025550001", To="+12025550100", Body="STOP")
    statements.clear()
    reconciler = Reconciler(warehouse, gateway_of, Settings())
    today = datetime.now(UTC).date()
    for how in ({"full_read": False}, {"full_read": True, "repair": True}):
        asyncio.run(reconciler.read(today, **how))
    asyncio.run(reconciler.look(today, full_read=False))
    EventStore(warehouse, expects_news=True).apply(asyncio.run(listed()))
    assert len(statements) > 15
    read = {due._DUE, due._WHOLE_DAY, applying._READ, applying._READ_LOCKED, applying._LOCK}
    assert {*read, applying._UPDATE, events._INSERT, events._WRITE} <= {statement for statement, _ in statements}
    scanned = scanned_by(warehouse, statements)
    assert scanned == {}, "\n\n".join(f"{statement}\n{plan}" for statement, plan in scanned.items())


@pytest.mark.usefixtures("old_ledger")
def test_no_question_of_a_page_reads_a_large_table_from_end_to_end(warehouse, query, statements, monkeypatch):
    query(
        "insert into campaign_runs (run_key, campaign_id, dag_id, dag_run_id, state) "
        "select distinct run_key, campaign_id, 'campaign__old', run_key, 'done' from messages"
    )
    query("insert into summary_marks (run_key) select run_key from campaign_runs")
    query("update messages set customer_id = 'c' || to_number")
    (message,) = query("select * from messages where run_key = 'old/7' limit 1")
    query("analyze")
    statements.clear()
    # What a refresh reads it reads by index, too.
    Summaries(warehouse).refresh_marked()
    query("analyze")
    some = frozenset({"campaign__old", "campaign__new"})
    scopes = (Scope(), Scope(campaign_id="old"), Scope(run_key="old/7", country="US"), Scope(sender="service"))
    for scope in (*scopes, Scope(campaign_id="old", dag_ids=some)):
        for question in (
            "counts",
            "timeline",
            "countries",
            "errors",
            "exclusions",
            "delays",
            "costs",
            "choices",
            "as_of",
        ):
            getattr(Figures(warehouse), question)(scope)
    index, search = CampaignIndex(warehouse), MessageSearch(warehouse)
    index.campaigns("old", scope=Scope(dag_ids=some))
    index.runs(Scope())
    index.dag_ids()
    index.dag_ids("old")
    index.campaign_of("campaign__old")
    index.run_of("campaign__old", "old/7")
    RunInsight(warehouse).detail("old/7")
    for text in (message["message_sid"], str(message["message_key"]), message["to_number"], message["customer_id"]):
        assert len(search.search(text)) == len(search.search(text, dag_ids=some)) == 1
    for dag_ids in (None, some):
        assert search.same_number(message["message_key"], dag_ids=dag_ids)
        assert search.same_customer(message["message_key"], dag_ids=dag_ids)
    assert search.story(message["message_key"])
    query("update summary_counts set excluded = 9")
    for few in (FEW, -1):
        monkeypatch.setattr("twilio_campaigns.warehouse.insight.run_messages.FEW", few)
        for state in (None, *STATES):
            search.of_run("old/7", state=state)
            search.of_run("old/7", state=state, batch_no=1)
    Health(warehouse).report()
    assert len(statements) > 40
    scanned = scanned_by(warehouse, statements)
    assert scanned == {}, "\n\n".join(f"{statement}\n{plan}" for statement, plan in scanned.items())


@pytest.mark.usefixtures("old_ledger")
def test_what_the_log_of_a_freeze_tells_reads_no_large_table_from_end_to_end(warehouse, statements):
    freeze(warehouse, people(300))
    statements.clear()
    assert len(list(tell_audience(warehouse, run().run_key))) > 5
    # What thirty days have cost is a question to the ledger only through its summaries, index or not.
    (prices,) = (statement for statement, _ in statements if "as is_own" in statement)
    assert "messages" not in prices
    scanned = scanned_by(warehouse, statements)
    assert scanned == {}, "\n\n".join(f"{statement}\n{plan}" for statement, plan in scanned.items())


@pytest.mark.usefixtures("old_ledger")
def test_the_check_itself_sees_a_scan(warehouse):
    with warehouse.transaction() as connection:
        assert scans_of(connection, "select count(*) from messages where body = 'y'", None)[0] == {"messages"}
