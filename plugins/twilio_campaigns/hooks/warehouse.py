"""Airflow's connection to the warehouse, made into our :class:`Warehouse`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.warehouse.connection import Warehouse, create_database, is_libpq_parameter
from twilio_campaigns.warehouse.schema import require_current, upgrade

if TYPE_CHECKING:
    from airflow.sdk import Connection

DEFAULT_CONNECTION = "warehouse_default"


class WarehouseHook(BaseHook):
    """The PostgreSQL database of ledger, events and views, as an Airflow connection describes it.

    :param warehouse_conn_id: a connection of type ``postgres``.
    :param settings: for the schema's name; read from the environment when not given.
    """

    conn_name_attr = "warehouse_conn_id"
    default_conn_name = DEFAULT_CONNECTION

    def __init__(self, warehouse_conn_id: str = DEFAULT_CONNECTION, settings: Settings | None = None) -> None:
        super().__init__()
        self.warehouse_conn_id = warehouse_conn_id
        self.settings = settings or Settings.from_environ(os.environ)

    def get_conn(self, **options: Any) -> Warehouse:  # noqa: ANN401 - the warehouse's
        """Make the warehouse; use it as a context manager. It opens no connection before one is needed.

        :param options: of :class:`~twilio_campaigns.warehouse.connection.Warehouse`.
        :raises ConfigurationError: when the connection is not PostgreSQL, or the schema is missing or outdated.
        """
        url = self._url()
        require_current(url, self.settings.db_schema)
        return Warehouse(url, self.settings.db_schema, **options)

    def create_database(self) -> bool:
        """Create the connection's database unless it is there; says whether it was made."""
        return create_database(self._url())

    def upgrade(self) -> str:
        """Create or migrate the schema; give its revision."""
        return upgrade(self._url(), self.settings.db_schema)

    def _url(self) -> str:
        try:
            connection = self.get_connection(self.warehouse_conn_id)
        except AirflowNotFoundException:
            raise ConfigurationError(
                f"There is no connection {self.warehouse_conn_id}. Add one of type Postgres in Airflow, or set "
                f"AIRFLOW_CONN_{self.warehouse_conn_id.upper()} in the environment. If it is set, percent-encode "
                "special characters in it. On the command line --database-url does as well."
            ) from None
        if connection.conn_type not in {"postgres", "postgresql"}:
            raise ConfigurationError(
                f"Connection {self.warehouse_conn_id} has type {connection.conn_type!r}; the warehouse is "
                "PostgreSQL. Change its type to postgres."
            )
        return _libpq_url(connection)


#: What the extra of a Postgres connection may hold for Airflow's own hook; libpq would not know it.
_AIRFLOWS_OWN = frozenset({"cursor", "sqlalchemy_scheme", "sqlalchemy_query", "enable_log_db_messages"})


def check_extra(connection: Connection) -> None:
    """Refuse an extra that is no JSON object: Airflow takes it for an empty one, and TLS settings get lost.

    :raises ConfigurationError: naming the connection and the remedy.
    """
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ConfigurationError(
            f"Connection {connection.conn_id}: extra is not a JSON object. Write it as "
            '{"sslmode": "require"}, or leave it empty.'
        )


def _libpq_url(connection: Connection) -> str:
    """Write a connection as libpq reads it. Not by `get_uri()`, which packs extras so that TLS settings get lost."""
    check_extra(connection)
    given = {
        "host": connection.host,
        "port": connection.port,
        "user": connection.login,
        "password": connection.password,
        "dbname": connection.schema,
        **{name: value for name, value in connection.extra_dejson.items() if name not in _AIRFLOWS_OWN},
    }
    parameters = {
        name: _as_text(connection, name, value) for name, value in given.items() if value is not None and value != ""
    }
    for name in parameters:
        if not is_libpq_parameter(name):
            raise ConfigurationError(
                f"Connection {connection.conn_id}: PostgreSQL's client has no setting {name!r}. Remove it from the "
                "extra; sslmode, sslrootcert and connect_timeout are some that it has."
            )
    return f"postgresql:///?{urlencode(parameters, quote_via=quote)}"


def _as_text(connection: Connection, name: str, value: object) -> str:
    if isinstance(value, dict | list):
        raise ConfigurationError(
            f"Connection {connection.conn_id}: {name} of its extra is not one value. Write it as text."
        )
    return str(int(value)) if isinstance(value, bool) else str(value)
