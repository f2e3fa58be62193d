"""How the warehouse is named, made and reached."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest

from twilio_campaigns.domain.exceptions import ConfigurationError, TransientError
from twilio_campaigns.domain.status import Status
from twilio_campaigns.warehouse.connection import Warehouse, create_database, libpq_url, redacted
from twilio_campaigns.warehouse.parameters import Columns


def test_a_missing_database_is_made_once(postgres_url):
    url = postgres_url.replace("/postgres?", "/made-by%20'us'?", 1)
    try:
        assert [create_database(url), create_database(url)] == [True, False]
        psycopg.connect(libpq_url(url)).close()
    finally:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute("drop database if exists \"made-by 'us'\"")


def test_a_user_without_the_right_is_told_what_to_do(postgres_url):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("create role reader login")
    url = postgres_url.replace("postgres:@", "reader:@").replace("/postgres?", "/new?", 1)
    with pytest.raises(ConfigurationError, match="Create 'new' as an administrator"):
        create_database(url)


def test_a_url_without_a_database_is_refused(postgres_url):
    with pytest.raises(ConfigurationError, match="names no database"):
        create_database(postgres_url.replace("/postgres?", "?", 1))


def test_a_server_that_is_away_is_no_mistake_of_the_settings(tmp_path):
    with pytest.raises(TransientError, match="cannot be reached"):
        create_database(f"postgresql://postgres:@/new?host={tmp_path}")


@pytest.mark.parametrize("url", ["mysql://root@localhost/x", "sqlite:///x.db", "warehouse"])
def test_another_database_is_refused(url):
    with pytest.raises(ConfigurationError, match="must be PostgreSQL"):
        libpq_url(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@h:1/d", "postgresql://u:p@h:1/d"),
        ("postgresql+psycopg2://u@h/d?cursor=dictcursor&sslmode=require", "postgresql://u@h/d?sslmode=require"),
    ],
)
def test_airflows_words_are_turned_into_libpqs(url, expected):
    assert libpq_url(url) == expected


def test_a_url_that_libpq_cannot_read_is_not_shown():
    with pytest.raises(ConfigurationError, match="Percent-encode") as caught:
        libpq_url("postgresql://user:my secret@host/d")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("password", ["secret/more", "secret#more", "12345/more"])
def test_half_a_password_is_not_shown_as_the_port(password):
    with pytest.raises(ConfigurationError, match="Percent-encode") as caught:
        libpq_url(f"postgresql://user:{password}@host/d")
    assert password[:5] not in str(caught.value)


def test_ports_of_several_hosts_are_ports():
    assert libpq_url("postgresql://a:1,b:2/d") == "postgresql://a:1,b:2/d"


def test_no_message_shows_a_password():
    assert redacted("postgresql://user:secret@host:5432/d?password=other") == "postgresql://host:5432/d"


def test_every_connection_speaks_utc_and_finds_our_tables(warehouse):
    with warehouse.transaction() as connection:
        assert connection.execute("show timezone").fetchone() == {"TimeZone": "UTC"}
        assert connection.execute("select to_regclass('campaign_events')::text as t").fetchone()["t"]


def test_a_pool_gives_up_on_a_server_that_is_away(tmp_path, monkeypatch):
    with Warehouse(f"postgresql://postgres:@/x?host={tmp_path}") as warehouse:
        warehouse._pool.timeout = 0.2
        with pytest.raises(TransientError, match="no answer within"):
            warehouse.now()


def test_rows_reach_the_server_as_they_are(warehouse):
    columns = Columns("o", word="text", number="int", at="timestamptz", price="numeric", key="uuid")
    rows = [
        ("plain", 1, datetime(2026, 11, 25, 9, tzinfo=UTC), Decimal("0.0075"), UUID(int=7)),
        (None, None, None, None, None),
        ('quoted " and \\ and {braces}, comma', -2, None, None, None),
        ("line\nbreak\tand \u00e9 \u20ac \U0001f600 \u2028", 3, None, None, None),
        ("null", 4, None, None, None),
        ("", 5, None, None, None),
        (Status.SENT, 6, None, None, None),
    ]
    with warehouse.transaction() as connection:
        found = connection.execute(f"select * from {columns}", columns.values(rows)).fetchall()
        nothing = connection.execute(f"select * from {columns}", columns.values([])).fetchall()
    assert [tuple(row.values()) for row in found] == rows
    assert nothing == []
