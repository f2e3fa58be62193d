"""One way to reach the warehouse: a small pool of psycopg connections with our schema on their path."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, LiteralString, Self, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import InsufficientPrivilege, ReadOnlySqlTransaction
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from twilio_campaigns.domain.exceptions import ConfigurationError, TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from types import TracebackType

Connection = psycopg.Connection[dict[str, Any]]

#: Seconds after which a connection that nobody used may have been lost.
RESTED: Final = 1.0
#: How libpq begins to say that a setting itself is wrong, before or while it connects (fe-connect.c).
_WRONG_SETTING: Final = re.compile(
    r'\binvalid (?:"?\w+"? value: "|integer value "|port number: "|SSL protocol version range)'
)
_PORTS: Final = re.compile(r"[\d,]*", re.ASCII)


def libpq_url(url: str) -> str:
    """Turn what Airflow and SQLAlchemy call a PostgreSQL URL into what libpq reads.

    :raises ConfigurationError: when it is another database's, or cannot be read.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in {"postgres", "postgresql"}:
        raise ConfigurationError(
            f"The warehouse must be PostgreSQL, but its URL begins with {scheme!r}. "
            "Give a connection of type postgres, or a URL postgresql://user:password@host:port/database."
        )
    parts = urlsplit(f"postgresql://{rest}")
    # Airflow keeps its own hints in the query; libpq refuses words it does not know.
    query = "&".join(item for item in parts.query.split("&") if item and not item.startswith(("cursor=", "__extra__")))
    read = f"postgresql://{parts.netloc}{parts.path}{query and f'?{query}'}"
    # libpq's own words would show a password.
    if "@" in parts.path or not _is_readable(read):
        raise ConfigurationError(
            "The warehouse's URL cannot be read. Percent-encode special characters in user, password and database: "
            "postgresql://user:p%40ss@host:5432/database."
        )
    return read


def _is_readable(url: str) -> bool:
    """Whether libpq reads it, and does not take half of a password with a slash in it for the port."""
    try:
        port = conninfo_to_dict(url).get("port")
    except psycopg.ProgrammingError:
        return False
    return _PORTS.fullmatch(str(port or "")) is not None


def is_libpq_parameter(name: str) -> bool:
    """Whether PostgreSQL's client library has a connection setting of this name."""
    try:
        make_conninfo(**{name: "1"})
    except psycopg.ProgrammingError:
        return False
    return True


def redacted(url: str) -> str:
    """Name a database without user and password, for messages to people."""
    known = conninfo_to_dict(url)
    host, port, database = (known.get(name) for name in ("host", "port", "dbname"))
    return f"postgresql://{host or ''}{f':{port}' if port else ''}/{database or ''}"


def away(url: str, reason: object) -> TransientError:
    """Word that a database cannot be reached.

    :param reason: why, of which the first line is shown; libpq adds one for every address that it tried.
    """
    return TransientError(
        f"The warehouse at {redacted(url)} cannot be reached: {_first_line(reason)}. "
        "Check that it runs, and the host, port, database, user and password of its connection."
    )


def connect(url: str) -> psycopg.Connection:
    """Connect to a database.

    :param url: as :func:`libpq_url` gives it.
    :raises ConfigurationError: when a setting of the URL has a value that no retry makes right.
    :raises TransientError: when the database cannot be reached.
    """
    try:
        return psycopg.connect(url)
    except (psycopg.OperationalError, psycopg.ProgrammingError) as error:
        if not is_wrong_setting(error):
            raise away(url, error) from error
        raise ConfigurationError(
            f"The warehouse at {redacted(url)} cannot be reached: {_first_line(error)}. "
            "Correct this setting of its connection."
        ) from error


def is_wrong_setting(error: BaseException | None) -> bool:
    """Whether no connection was made because of a setting's value, and not because of the server or the way to it.

    In doubt it is not: libpq gives no code, and only its words tell.
    """
    # psycopg checks some settings itself, before it asks libpq.
    return isinstance(error, psycopg.ProgrammingError) or _WRONG_SETTING.search(_first_line(error)) is not None


def forbidden(url: str, error: BaseException, remedy: str) -> ConfigurationError:
    """Word that the user of a database lacks a right.

    :param error: PostgreSQL's, of which the first line is shown.
    :param remedy: what to grant, or who else may do it.
    """
    return ConfigurationError(f"The user of {redacted(url)} may not do this: {_first_line(error)}. {remedy}")


def grant(schema: str) -> str:
    """Word which rights the tasks need on our schema."""
    return f"Grant it usage on schema {schema!r}, and select, insert, update and delete on all tables in it."


def _first_line(reason: object) -> str:
    return next(iter(str(reason).splitlines()), "").rstrip(".") or "no answer"


class Warehouse:
    """The PostgreSQL database that holds ledger, events and views.

    Opens connections when they are first needed, at most ``max_connections``, each with ``search_path`` set to
    our schema and the time zone to UTC. Safe to share between threads. Use as a context manager, or close.

    :param url: PostgreSQL URL, with or without SQLAlchemy's driver name.
    :param schema: schema of our tables.
    :param max_connections: upper bound of open connections.
    :param patience: seconds for which a free connection is awaited.
    :param statement_timeout: seconds after which PostgreSQL gives up on a statement; its own setting when empty.
    """

    def __init__(
        self,
        url: str,
        schema: str = "messaging",
        *,
        max_connections: int = 6,
        patience: float = 30.0,
        statement_timeout: float | None = None,
    ) -> None:
        self.url = libpq_url(url)
        self.schema = schema
        self._patience = patience
        self._statement_timeout = statement_timeout
        self._used_at: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            self.url,
            min_size=0,
            max_size=max_connections,
            open=False,
            timeout=patience,
            # Tries to connect come more and more rarely. Whoever waits for less time begins anew.
            reconnect_timeout=10 * patience,
            kwargs={"row_factory": dict_row, "autocommit": True},
            configure=self._configure,
            check=self._check,
            name="twilio_campaigns",
        )

    def __enter__(self) -> Self:
        """Open the pool; no connection is made before one is needed."""
        self._pool.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._pool.close(timeout=2)

    def connect(self) -> Connection:
        """Open one connection outside the pool, for migrations and for long reads."""
        connection = psycopg.connect(self.url, row_factory=dict_row, autocommit=True)
        self._configure(connection)
        return connection

    def _configure(self, connection: Connection) -> None:
        # The three belong to the session, so a pooler in transaction mode would lose them: docs say so.
        connection.execute(
            "select set_config('search_path', %s, false), set_config('TimeZone', 'UTC', false)",
            (f'"{self.schema}"',),
        )
        if self._statement_timeout is not None:
            milliseconds = str(round(self._statement_timeout * 1000))
            connection.execute("select set_config('statement_timeout', %s, false)", (milliseconds,))

    def _check(self, connection: Connection) -> None:
        """Ask a connection that nobody used just now whether it is still one; a question takes as long as an answer."""
        if time.monotonic() - self._used_at.get(connection, -RESTED) >= RESTED:
            ConnectionPool.check_connection(connection)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Borrow a connection for one transaction; commit on success, roll back on an error.

        :raises ConfigurationError: when the user lacks a right.
        :raises TransientError: when the database cannot be reached.
        """
        self._pool.open()
        try:
            with self._pool.connection() as connection:
                with connection.transaction():
                    yield connection
                self._used_at[connection] = time.monotonic()
        except PoolTimeout as error:
            raise away(self.url, f"no answer within {self._patience:g} s") from error
        except (psycopg.OperationalError, ReadOnlySqlTransaction) as error:
            # Read-only: a standby, or a primary that is being replaced; it is one again in a moment.
            raise TransientError(f"The warehouse broke off: {error}".strip()) from error
        except InsufficientPrivilege as error:
            raise forbidden(self.url, error, grant(self.schema)) from error

    def now(self) -> datetime:
        """Tell the time: the database's clock dates everything."""
        with self.transaction() as connection:
            return cast("datetime", scalar(connection, "select now()"))


def create_database(url: str) -> bool:
    """Create the database that a URL names, unless it is there; says whether it was made.

    The server is asked through its database `postgres`, as PostgreSQL's own `createdb` does.

    :raises ConfigurationError: when the URL names no database or has a wrong setting, or its user may not create one.
    :raises TransientError: when the server cannot be reached.
    """
    wanted = libpq_url(url)
    name = conninfo_to_dict(wanted).get("dbname")
    if not name:
        raise ConfigurationError(f"{redacted(wanted)} names no database. Add one: postgresql://host:port/warehouse.")
    try:
        with connect(make_conninfo(wanted, dbname="postgres")) as connection:
            connection.autocommit = True
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(str(name))))
    except psycopg.errors.DuplicateDatabase:
        return False
    except InsufficientPrivilege as error:
        raise forbidden(wanted, error, f"Create {name!r} as an administrator.") from error
    except psycopg.OperationalError as error:
        raise away(wanted, error) from error
    return True


def scalar(connection: Connection, query: LiteralString, *args: Any) -> Any:  # noqa: ANN401 - any SQL type
    """Give the first column of the first row, or ``None``."""
    return scalar_of(connection.execute(query, args).fetchone())


def scalar_of(row: dict[str, Any] | None) -> Any:  # noqa: ANN401 - any SQL type
    """Give a row's first column; ``None`` if there is no row."""
    return next(iter(row.values())) if row else None
