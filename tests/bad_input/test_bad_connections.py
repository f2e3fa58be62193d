"""Connections as people fill them in: the error names the connection and the field, and never shows a secret."""

import json
import logging
from types import SimpleNamespace

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException

from bad_input.checks import SECRET, assert_clear
from builders import campaign
from twilio_campaigns.domain.campaign import SqlSegment
from twilio_campaigns.domain.exceptions import TerminalError, TransientError, TwilioCampaignsError
from twilio_campaigns.hooks.segment import read_segment
from twilio_campaigns.hooks.twilio import TwilioHook
from twilio_campaigns.hooks.warehouse import WarehouseHook
from twilio_campaigns.operators.campaign import TwilioPrepareAudienceOperator

ACCOUNT = "AC0123456789abcdef0123456789abcdef"
KEY = "SK0123456789abcdef0123456789abcdef"
RUN = {"dag_run": SimpleNamespace(dag_id="campaign__spring", run_id="manual__one", logical_date=None)}


@pytest.fixture
def define(monkeypatch):
    """Define a connection as an environment does: JSON from a mapping, anything else as it is."""

    def as_variable(name, connection):
        text = connection if isinstance(connection, str) else json.dumps(connection)
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", text)

    return as_variable


def twilio(**changes):
    return {"conn_type": "twilio", "login": ACCOUNT, "password": SECRET} | changes


#: The connection, and what the error says besides its name.
BAD_TWILIO = {
    "nothing": (twilio(login=None, password=None), "account_sid (login) is missing"),
    "SID of an API key as login": (twilio(login=KEY), "account_sid (login) is not valid"),
    "SID with a letter too few": (twilio(login=ACCOUNT[:-1]), "account_sid (login) is not valid"),
    "token as login": (twilio(login=SECRET), "account_sid (login) is not valid"),
    "no token": (twilio(password=" "), "auth_token (password) is missing"),
    "key without secret": (twilio(extra={"api_key_sid": KEY}), "api_key_sid is set without api_key_secret"),
    "secret without key": (twilio(extra={"api_key_secret": SECRET}), "api_key_secret is set without api_key_sid"),
    "account as key": (
        twilio(extra={"api_key_sid": ACCOUNT, "api_key_secret": SECRET}),
        "api_key_sid is not valid",
    ),
    "token in the extra": (twilio(extra={"auth_token": SECRET}), "extra has no setting auth_token"),
    "near name in the extra": (twilio(extra={"regoin": "ie1"}), "extra has no setting regoin"),
    "extra that is no JSON": (twilio(extra=f"{{'api_key_secret': '{SECRET}'}}"), "extra is not a JSON object"),
    "extra that is a list": (twilio(extra=json.dumps([SECRET])), "extra is not a JSON object"),
    "region with a dot": (twilio(extra={"region": "ie1.twilio.com"}), "region is not valid"),
    "negative lag": (twilio(extra={"list_lag_seconds": -1}), "list_lag_seconds is not valid"),
    "lag with a unit": (twilio(extra={"list_lag_seconds": "4h"}), "list_lag_seconds is not valid"),
    "credentials in the host": (twilio(host=f"https://user:{SECRET}@api.twilio.com"), "base_url (host) is not valid"),
    "another scheme": (twilio(host="ftp://api.twilio.com"), "base_url (host) is not valid"),
    "host and region": (twilio(host="https://proxy.example", extra={"region": "ie1"}), "contradict each other"),
    "two ports": (twilio(host="https://proxy.example:8443", port=443), "host names port 8443"),
    "port without host": (twilio(port=8080), "port is 8080 without host"),
    "port that is no number": (twilio(host="https://proxy.example:http"), "host is not an address"),
    "webhook address without scheme": (twilio(extra={"public_url": "example.com"}), "public_url is not valid"),
    "JSON that breaks off": (f'{{"login": "{ACCOUNT}", "password": "{SECRET}"', "There is no connection"),
    "a word": ("twilio", "account_sid (login) is missing"),
}


@pytest.mark.parametrize(("connection", "says"), BAD_TWILIO.values(), ids=BAD_TWILIO)
def test_a_bad_connection_to_twilio_names_the_field(define, caplog, connection, says):
    define("twilio_default", connection)
    caplog.set_level(logging.DEBUG)
    with pytest.raises(TerminalError) as caught:
        TwilioHook().get_settings()
    assert_clear(str(caught.value), "twilio_default", says)
    assert SECRET not in caplog.text
    assert TwilioHook().test_connection() == (False, str(caught.value)), "the test button says the same"


def postgres(**changes):
    known = {"conn_type": "postgres", "host": "127.0.0.1", "port": 1, "login": "user", "password": SECRET}
    return known | {"schema": "crm"} | changes


#: The connection, and what the error says besides its name, for the warehouse and for a segment.
BAD_POSTGRES = {
    "extra that is no JSON": (postgres(extra="{'sslmode': 'require'}"), "extra is not a JSON object"),
    "extra that is a list": (postgres(extra='["sslmode"]'), "extra is not a JSON object"),
    "a setting that nobody knows": (postgres(extra={"ssl_mode": "require"}), "ssl_mode"),
    "password with a slash": (f"postgres://user:{SECRET}/more@127.0.0.1/crm", "percent-encode special characters"),
    "password with a hash": (f"postgres://user:{SECRET}#more@127.0.0.1/crm", "percent-encode special characters"),
    "port that does not exist": (f"postgres://user:{SECRET}@127.0.0.1:99999/crm", "percent-encode"),
    "JSON that breaks off": (f'{{"conn_type": "postgres", "password": "{SECRET}"', "Airflow"),
    "a word": ("warehouse", "type"),
    "no type": (postgres(conn_type=""), "type"),
    "a type without provider": (postgres(conn_type="nonsense"), "type"),
}


@pytest.mark.parametrize(("connection", "says"), BAD_POSTGRES.values(), ids=BAD_POSTGRES)
def test_a_bad_connection_to_the_warehouse_names_what_is_wrong(define, connection, says):
    define("warehouse_default", connection)
    with pytest.raises(TerminalError) as caught:
        WarehouseHook().get_conn()
    assert_clear(str(caught.value), "warehouse_default", says)


@pytest.mark.parametrize(("connection", "says"), BAD_POSTGRES.values(), ids=BAD_POSTGRES)
def test_a_bad_connection_to_a_segment_names_what_is_wrong(define, tmp_path, connection, says):
    define("crm", connection)
    with pytest.raises(TerminalError) as caught:
        list(read_segment(SqlSegment(query="select 1", connection="crm"), tmp_path))
    assert_clear(str(caught.value), "crm", says)


def test_a_list_where_the_warehouse_wants_one_value_is_named(define):
    define("warehouse_default", postgres(extra={"sslmode": ["require"]}))
    with pytest.raises(TerminalError) as caught:
        WarehouseHook().get_conn()
    assert_clear(str(caught.value), "warehouse_default", "sslmode")


#: What may be mended without a change of ours, or cannot be told from it.
AWAY = {
    "nobody listens": postgres(),
    "no such host": postgres(host="no-such-host.invalid"),
}


@pytest.mark.parametrize("connection", AWAY.values(), ids=AWAY)
def test_a_server_out_of_reach_is_tried_again_and_tells_what_to_check(define, tmp_path, connection):
    for name in ("warehouse_default", "crm"):
        define(name, connection)
    with pytest.raises(TransientError) as caught:
        WarehouseHook().get_conn()
    assert_clear(str(caught.value), "The warehouse at postgresql://", "Check")
    with pytest.raises(TransientError) as caught:
        list(read_segment(SqlSegment(query="select 1", connection="crm"), tmp_path))
    assert_clear(str(caught.value), "the query on crm", "check connection 'crm'")


#: The connection, and what its error quotes.
WRONG_SETTINGS = {
    "a misspelt mode of TLS": (postgres(extra={"sslmode": "requir"}), 'invalid sslmode value: "requir"'),
    "a misspelt kind of server": (
        postgres(extra={"target_session_attrs": "primry"}),
        'invalid target_session_attrs value: "primry"',
    ),
    "a version of TLS in words": (postgres(extra={"ssl_min_protocol_version": "new"}), "ssl_min_protocol_version"),
    "a pause with a unit": (postgres(extra={"keepalives_idle": "30s"}), '"keepalives_idle"'),
    "a limit with a unit": (postgres(extra={"connect_timeout": "10s"}), "connect_timeout"),
    "a port that does not exist": (postgres(port=99999), 'invalid port number: "99999"'),
}


@pytest.mark.parametrize(("connection", "says"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_a_setting_with_a_wrong_value_is_not_tried_again(define, tmp_path, connection, says):
    for name in ("warehouse_default", "crm"):
        define(name, connection)
    for use in (WarehouseHook().get_conn, WarehouseHook().upgrade, WarehouseHook().create_database):
        with pytest.raises(TerminalError) as caught:
            use()
        assert_clear(str(caught.value), "The warehouse at postgresql://127.0.0.1", says, "Correct this setting")
    with pytest.raises(TerminalError) as caught:
        list(read_segment(SqlSegment(query="select 1", connection="crm"), tmp_path))
    assert_clear(str(caught.value), "Airflow connection 'crm'", says, "Correct its extra")


def test_a_warehouse_that_does_not_exist_tells_how_to_check(connect_warehouse, postgres_url):
    connect_warehouse(postgres_url.replace("/postgres?", "/nowhere?", 1))
    with pytest.raises(TransientError) as caught:
        WarehouseHook().get_conn()
    assert_clear(str(caught.value), 'database "nowhere" does not exist', "Check")


def test_a_warehouse_without_tables_names_what_makes_them(connect_warehouse, empty_database_url):
    connect_warehouse(empty_database_url)
    with pytest.raises(TerminalError) as caught:
        WarehouseHook().get_conn()
    assert_clear(str(caught.value), "has no tables of ours", "Run the DAG `warehouse_upgrade`")


def test_a_user_who_may_not_see_our_schema_is_led_to_the_upgrade_which_names_the_right(
    connect_warehouse, postgres_url, database_url
):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("create role poorer login")
        connect_warehouse(database_url.replace("//postgres:", "//poorer:", 1))
        try:
            with pytest.raises(TwilioCampaignsError) as caught:
                WarehouseHook().get_conn()
        finally:
            connection.execute("drop role poorer")
    assert_clear(str(caught.value), "Schema 'messaging' of the warehouse", "Run the DAG `warehouse_upgrade`")


@pytest.fixture
def visitor(postgres_url, database_url):
    """Give a user who may see our schema some rights, and the URL of the test's database for them."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create role visitor login")
        connection.execute("grant usage on schema messaging to visitor")

        def may(right):
            connection.execute(f"grant {right} to visitor")
            return database_url.replace("//postgres:@", f"//visitor:{SECRET}@", 1)

        yield may
        connection.execute("drop owned by visitor")
        connection.execute("drop role visitor")


@pytest.mark.parametrize(
    ("right", "table"),
    [
        ("select on messaging.suppressions", "schema_version"),
        ("select on messaging.schema_version", "campaign_runs"),
        ("select on all tables in schema messaging", "campaign_runs"),
    ],
)
def test_a_user_without_rights_on_our_tables_is_told_what_to_ask_for(connect_warehouse, visitor, right, table):
    connect_warehouse(visitor(right))
    operator = TwilioPrepareAudienceOperator(task_id="prepare_audience", campaign=campaign())
    with pytest.raises(AirflowFailException) as caught:
        operator.execute(RUN)
    says = f"may not do this: permission denied for table {table}. Grant it usage on schema 'messaging', and select"
    assert_clear(str(caught.value), "The user of postgresql://", "/bad_input ", says)


def test_a_task_whose_warehouse_is_not_defined_is_not_retried():
    operator = TwilioPrepareAudienceOperator(task_id="prepare_audience", campaign=campaign())
    with pytest.raises(AirflowFailException) as caught:
        operator.execute(RUN)
    assert_clear(str(caught.value), "warehouse_default", "AIRFLOW_CONN_WAREHOUSE_DEFAULT")


@pytest.mark.parametrize("name", ["twilio_default", "twilio_eu"])
def test_a_connection_to_twilio_that_nobody_defined_is_named(name):
    with pytest.raises(TerminalError) as caught:
        TwilioHook(name).get_settings()
    assert_clear(str(caught.value), name, f"AIRFLOW_CONN_{name.upper()}")
