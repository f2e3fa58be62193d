"""Airflow's connection to the warehouse, made into our :class:`Warehouse`."""

from __future__ import annotations

import os

from airflow.sdk import BaseHook

from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.warehouse.connection import Warehouse, create_database
from twilio_campaigns.warehouse.schema import require_current, upgrade

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

    def get_conn(self) -> Warehouse:
        """Make the warehouse; use it as a context manager. It opens no connection before one is needed.

        :raises ConfigurationError: when the connection is not PostgreSQL, or the schema is missing or outdated.
        """
        url = self._url()
        require_current(url, self.settings.db_schema)
        return Warehouse(url, self.settings.db_schema, max_connections=6)

    def create_database(self) -> bool:
        """Create the connection's database unless it is there; says whether it was made."""
        return create_database(self._url())

    def upgrade(self) -> str:
        """Create or migrate the schema; give its revision."""
        return upgrade(self._url(), self.settings.db_schema)

    def _url(self) -> str:
        connection = self.get_connection(self.warehouse_conn_id)
        if connection.conn_type not in {"postgres", "postgresql"}:
            raise ConfigurationError(
                f"Connection {self.warehouse_conn_id} has type {connection.conn_type!r}; the warehouse is "
                "PostgreSQL. Change its type to postgres."
            )
        return str(connection.get_uri())
