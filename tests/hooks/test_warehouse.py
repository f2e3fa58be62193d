"""An Airflow connection to the warehouse is read as libpq reads it, with nothing left out."""

import json

import pytest
from psycopg.conninfo import conninfo_to_dict

from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.hooks.warehouse import WarehouseHook


def parameters(monkeypatch, **changes):
    connection = {"conn_type": "postgres", "host": "db.example", "login": "u", "schema": "warehouse", **changes}
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_DEFAULT", json.dumps(connection))
    return conninfo_to_dict(WarehouseHook()._url())


def test_every_field_arrives_whatever_characters_it_has(monkeypatch):
    found = parameters(monkeypatch, password="p@ss:/?#[]& %ü", port=5433)
    assert found == {
        "host": "db.example",
        "port": "5433",
        "user": "u",
        "password": "p@ss:/?#[]& %ü",
        "dbname": "warehouse",
    }


@pytest.mark.parametrize("timeout", [10, "10"])
def test_tls_settings_survive_beside_numbers(monkeypatch, timeout):
    extra = {"sslmode": "verify-full", "sslrootcert": "/ca.pem", "connect_timeout": timeout, "keepalives": True}
    found = parameters(monkeypatch, extra=extra)
    assert {name: found[name] for name in extra} == {
        "sslmode": "verify-full",
        "sslrootcert": "/ca.pem",
        "connect_timeout": "10",
        "keepalives": "1",
    }


def test_a_socket_in_the_extra_wins(monkeypatch):
    assert (
        parameters(monkeypatch, host=None, extra={"host": "/run/postgresql", "port": 5555})["host"] == "/run/postgresql"
    )


def test_airflows_own_hints_are_not_libpqs(monkeypatch):
    assert "cursor" not in parameters(monkeypatch, extra={"cursor": "dictcursor", "sslmode": "require"})


def test_a_setting_that_nobody_knows_is_named(monkeypatch):
    with pytest.raises(ConfigurationError, match=r"warehouse_default: .*'iam'.*Remove it"):
        parameters(monkeypatch, extra={"iam": True})


def test_another_database_is_refused(monkeypatch):
    with pytest.raises(ConfigurationError, match="has type 'mysql'"):
        parameters(monkeypatch, conn_type="mysql")
