"""Bring the warehouse to this package's version: migrations for tables, then the views anew."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Final

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from twilio_campaigns.domain.countries import NO_RECEIPT_COUNTRIES
from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.warehouse.connection import away, connect, forbidden, grant, libpq_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

#: In the order in which they must be created.
VIEWS: Final = (
    "message_status",
    "campaign_performance",
    "delivery_by_country",
    "delivery_errors",
    "campaign_funnel_hourly",
    "sender_daily",
    "inbound_replies",
    "airbyte_messages",
    "fivetran_message",
)


def upgrade(url: str, schema: str = "messaging") -> str:
    """Create or migrate the schema and replace its views, in one transaction; safe to run at any time.

    Two callers at once wait for each other. Views that somebody built upon ours would be dropped by a change
    of ours, so PostgreSQL refuses that and the whole upgrade is rolled back with its message.

    :return: the revision that the schema now has.
    :raises ConfigurationError: when the user may not do this, or a setting of the connection is wrong.
    :raises TransientError: when the database cannot be reached.
    """
    remedy = f"Run it as the database's owner, or grant create on the database and on schema {schema!r}."
    with _connected(url, schema, remedy) as connection, _config(connection, schema) as config:
        connection.execute(text("select pg_advisory_xact_lock(hashtext('twilio_campaigns upgrade'))"))
        connection.execute(text(f'create schema if not exists "{schema}"'))
        command.upgrade(config, "head")
        _replace_views(connection)
        revision = ScriptDirectory.from_config(config).get_current_head()
    return str(revision)


def require_current(url: str, schema: str = "messaging") -> None:
    """Check that the schema has this package's version.

    :raises ConfigurationError: with the remedy when it lacks the tables or is older or newer, when the user may not
        see that, or when a setting of the connection is wrong.
    :raises TransientError: when the database cannot be reached.
    """
    with _connected(url, schema, grant(schema)) as connection, _config(connection, schema) as config:
        head = ScriptDirectory.from_config(config).get_current_head()
        table = connection.scalar(text("select to_regclass('schema_version')"))
        found = connection.scalar(text("select version_num from schema_version")) if table else None
    if found != head:
        state = f"has version {found}" if found else "has no tables of ours"
        raise ConfigurationError(
            f"Schema {schema!r} of the warehouse {state}, this package needs {head}. "
            "Run the DAG `warehouse_upgrade` or `twilio-campaigns upgrade`."
        )


@contextmanager
def _connected(url: str, schema: str, remedy: str) -> Iterator[Connection]:
    address = libpq_url(url)
    engine = create_engine("postgresql+psycopg://", creator=lambda: connect(address), poolclass=NullPool)
    try:
        with engine.begin() as connection:
            connection.execute(text(f"set local search_path to \"{schema}\"; set local TimeZone to 'UTC'"))
            yield connection
    except OperationalError as error:
        raise away(address, error.orig) from error
    except psycopg.OperationalError as error:
        raise away(address, error) from error
    except ProgrammingError as error:
        if not isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise
        raise forbidden(address, error.orig, remedy) from error
    finally:
        engine.dispose()


@contextmanager
def _config(connection: Connection, schema: str) -> Iterator[Config]:
    with as_file(files("twilio_campaigns.warehouse") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        config.attributes.update(connection=connection, schema=schema)
        yield config


def _replace_views(connection: Connection) -> None:
    """Drop and create the views: they hold no data, and one file shows each one whole."""
    connection.execute(text(f"drop view if exists {', '.join(reversed(VIEWS))}"))
    countries = ", ".join(f"'{code}'" for code in sorted(NO_RECEIPT_COUNTRIES))
    for view in VIEWS:
        query = (files("twilio_campaigns.warehouse") / "views" / f"{view}.sql").read_text("utf-8")
        connection.exec_driver_sql(query.replace("/*no_receipt_countries*/", countries))
