"""Schema: migrations, views, and the names that others depend on."""

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.warehouse import schema
from twilio_campaigns.warehouse.connection import Warehouse
from twilio_campaigns.warehouse.insight.refreshing import Summaries
from twilio_campaigns.warehouse.schema import VIEWS, require_current, upgrade
from twilio_campaigns.warehouse.tables import metadata

CONTRACT = {
    "campaign_runs": "run_key campaign_id logical_date dag_id dag_run_id spec audience_rows state created_at "
    "finished_at",
    "messages": "message_key run_key campaign_id customer_id input_number to_number country channel sender "
    "from_number body media_urls estimated_parts batch_no send_state skip_reason send_before claim_id attempts "
    "claimed_at resolve_after message_sid sid_source accepted_at tracked_on tracking_closes_at provider_status "
    "status status_code number_of_message_parts sent_at price price_unit settled_at",
    "campaign_events": "event_id event_name action_type status number_of_message_parts status_code error comment "
    "occurred_at recorded_at campaign_id run_key message_key message_sid customer_id to_number country tracked_on "
    "provider_status source",
    "reconcile_days": "day leased_until lease_id last_pass_at full_read_at closed_at",
    "message_status": "message_key delivery_state sent_at delivered_at seconds_to_delivery price",
    "campaign_performance": "campaign_id run_key enqueued enqueue_failed sent delivered failed rejected refused "
    "delivery_rate delivery_rate_with_receipts",
    "delivery_by_country": "campaign_id country sends_receipts delivered delivery_rate",
    "delivery_errors": "campaign_id status status_code error comment messages",
}


@pytest.mark.parametrize(("relation", "columns"), CONTRACT.items())
def test_names_of_the_contract_exist(query, relation, columns):
    found = {
        row["column_name"]
        for row in query(
            "select column_name from information_schema.columns where table_schema = 'messaging' and table_name = %s",
            relation,
        )
    }
    assert set(columns.split()) <= found


def test_every_view_answers(query):
    for view in VIEWS:
        assert query(f"select * from {view}") == []


def test_migrations_make_what_the_tables_say(database_url):
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("set search_path to messaging"))
        context = MigrationContext.configure(
            connection,
            opts={"include_name": lambda name, kind, _: not (kind == "table" and name == "schema_version")},
        )
        assert compare_metadata(context, metadata) == []


def test_upgrade_twice_changes_nothing_and_keeps_rows(empty_database_url):
    first = upgrade(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("insert into messaging.suppressions values ('+12025550100', 'manual', 'test')")
    assert upgrade(empty_database_url) == first
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select count(*) from messaging.suppressions").fetchone() == (1,)


def test_a_schema_of_another_name(empty_database_url):
    upgrade(empty_database_url, "texting")
    require_current(empty_database_url, "texting")
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select count(*) from texting.message_status").fetchone() == (0,)


def test_missing_schema_is_named_with_its_remedy(empty_database_url):
    with pytest.raises(ConfigurationError, match=r"has no tables of ours.*twilio-campaigns upgrade"):
        require_current(empty_database_url)


def test_an_older_schema_is_named(database_url):
    with psycopg.connect(database_url) as connection:
        connection.execute("update messaging.schema_version set version_num = '0000'")
    with pytest.raises(ConfigurationError, match="has version 0000"):
        require_current(database_url)


def test_every_table_and_column_that_needs_one_has_a_comment(query):
    rows = query(
        "select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = 'messaging' and c.relkind in ('r', 'v') and c.relname <> 'schema_version' "
        "and obj_description(c.oid) is null"
    )
    assert rows == []


@pytest.mark.parametrize("revision", ["0001"])
def test_an_older_warehouse_comes_up_with_its_rows(empty_database_url, revision):
    with schema._connected(empty_database_url, "messaging", "") as connection:
        connection.execute(text("create schema messaging"))
        with schema._config(connection, "messaging") as config:
            command.upgrade(config, revision)
        schema._replace_views(connection)
        connection.execute(
            text(
                "insert into campaign_runs (run_key, campaign_id, dag_id, dag_run_id, state) "
                "values ('spring/1', 'spring', 'campaign__spring', '1', 'sending')"
            )
        )
        connection.execute(
            text(
                "insert into messages (message_key, run_key, campaign_id, connection, to_number, channel, sender, "
                "estimated_parts, send_state, claimed_at) values (gen_random_uuid(), 'spring/1', 'spring', "
                "'twilio_default', '+12025550100', 'sms', 'service', 1, 'unknown', now())"
            )
        )
    upgrade(empty_database_url)
    require_current(empty_database_url)
    with psycopg.connect(empty_database_url) as connection:
        found = connection.execute("select lookups, looked_up_at from messaging.messages").fetchall()
        assert found == [(0, None)]
        assert connection.execute("select delivery_state from messaging.message_status").fetchall() == [("pending",)]
    # Its runs have a summary as soon as anybody looks.
    with Warehouse(empty_database_url) as warehouse, warehouse.transaction() as connection:
        assert Summaries(warehouse).refresh_due() == 1
        assert connection.execute("select unknown from summary_counts").fetchall() == [{"unknown": 1}]


def test_a_user_without_the_right_is_told_what_to_do(empty_database_url):
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("create role visitor login")
    try:
        with pytest.raises(ConfigurationError, match=r"may not do this: permission denied.*grant create"):
            upgrade(empty_database_url.replace("postgres:@", "visitor:@"))
    finally:
        with psycopg.connect(empty_database_url) as connection:
            connection.execute("drop role visitor")
