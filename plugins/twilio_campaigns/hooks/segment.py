"""Reads segments: through any Airflow SQL connection, or from CSV and Parquet files.

Rows come in chunks, so that memory does not grow with the audience. Values are what the source says: numbers
stay numbers of their own kind, ids such as 17 never become 17.0, and whatever stands for "no value" in a
database, in pandas or in a file is ``None``.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import psycopg
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException
from psycopg.adapt import Loader
from psycopg.pq import Format
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError, ProgrammingError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from twilio_campaigns.domain.campaign_files import resolve_segment
from twilio_campaigns.domain.exceptions import AudienceError, TransientError
from twilio_campaigns.domain.segment import FileSegment, SqlSegment
from twilio_campaigns.hooks.segment_files import Table, check_columns, open_data_file
from twilio_campaigns.hooks.warehouse import check_extra
from twilio_campaigns.warehouse.connection import is_wrong_setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from psycopg.abc import AdaptContext, Buffer
    from psycopg.abc import Loader as AnyLoader
    from sqlalchemy import Connection, CursorResult, Engine

#: PostgreSQL's number for the type real (pg_type.oid).
_REAL: Final = 700
#: PostgreSQL's types with values that Python's have not, such as infinity, years BC and 24:00.
_WIDER: Final = ("date", "timestamp", "timestamptz", "time", "timetz", "interval")


def read_segment(
    segment: SqlSegment | FileSegment, include: Path, *, chunk_rows: int = 5000
) -> Iterator[list[dict[str, object]]]:
    """Read a segment, chunk by chunk; an empty segment gives no chunk.

    :param segment: the query or file of a campaign.
    :param include: the include folder, for files.
    :param chunk_rows: rows per chunk, and rows that a database hands over at a time.
    :raises AudienceError: the segment cannot be read, or lacks a column; the message says what to do.
    :raises TransientError: the database is out of reach or gave up.
    :raises CampaignFileError: the file of a query cannot be read.
    """
    with _open(segment, include, chunk_rows) as table:
        check_columns(table, segment)
        for rows in table.chunks:
            if rows:
                yield _records(table.columns, rows)


def _open(segment: SqlSegment | FileSegment, include: Path, chunk_rows: int) -> AbstractContextManager[Table]:
    segment = resolve_segment(segment, include)
    if isinstance(segment, SqlSegment):
        return _open_query(segment, chunk_rows)
    return open_data_file(segment, include, chunk_rows)


@contextmanager
def _open_query(segment: SqlSegment, chunk_rows: int) -> Iterator[Table]:
    name = segment.sql or f"the query on {segment.connection}"
    engine = _engine(segment.connection)
    try:
        with _connect(engine, segment.connection) as connection:
            # A named cursor where the database has them; read only, because tasks run again; no parameters,
            # or else the driver takes a % in the query for one.
            options = connection.execution_options(
                stream_results=True, yield_per=chunk_rows, no_parameters=True, postgresql_readonly=True
            )
            result = options.exec_driver_sql(segment.query or "")
            if not result.returns_rows:
                raise AudienceError(f"{name} gives no rows. Write a SELECT with one row per recipient.")
            yield Table(name, list(result.keys()), result.partitions(chunk_rows), _rounded(result))
    except (OperationalError, InterfaceError) as error:
        raise TransientError(
            f"{name} could not be read to its end: {_reason(error)}. Trying again may help; "
            f"if it does not, check connection {segment.connection!r}."
        ) from error
    except DataError as error:
        # Only the kind, and not the cause: the database quotes the value, which may be somebody's number.
        kind = type(error.orig).__name__
        raise AudienceError(f"{name} fails: {kind}. Correct the query or the row.") from None
    except SQLAlchemyError as error:
        raise AudienceError(f"{name} fails: {_reason(error)}. {_remedy(error)}") from error
    finally:
        engine.dispose()


def _connect(engine: Engine, connection_id: str) -> Connection:
    try:
        return engine.connect()
    except (ProgrammingError, OperationalError) as error:
        # Before there is a query: a setting that the driver does not know, or whose value it does not.
        if isinstance(error, OperationalError) and not is_wrong_setting(error.orig):
            raise
        raise AudienceError(f"Airflow connection {connection_id!r}: {_reason(error)}. Correct its extra.") from error


def _rounded(result: CursorResult[Any]) -> frozenset[str]:
    """Columns of PostgreSQL's type real."""
    if result.dialect.name != "postgresql" or result.cursor is None:
        return frozenset()
    return frozenset(column[0] for column in result.cursor.description or () if column[1] == _REAL)


def _remedy(error: SQLAlchemyError) -> str:
    if isinstance(error, DBAPIError) and type(error.orig).__name__ == "InsufficientPrivilege":
        return "Grant the user of the connection what it lacks, or correct the query."
    return "Correct the query."


def _reason(error: SQLAlchemyError) -> str:
    """Say what the database said, its first line only: further ones quote rows."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__).rstrip(".")


def _engine(connection_id: str) -> Engine:
    hook = connection_of(connection_id)
    options: dict[str, Any] = {"poolclass": NullPool}
    if getattr(hook, "dialect_name", None) == "postgresql":
        # The hook's URL leaves out the extras of the connection, such as sslmode; its own connections do not.
        options["creator"] = lambda: _lenient(hook.get_conn())
    try:
        return hook.get_sqlalchemy_engine(engine_kwargs=options)
    except (SQLAlchemyError, NotImplementedError, ImportError) as error:
        raise AudienceError(
            f"Airflow connection {connection_id!r} cannot be used through SQLAlchemy ({error}). "
            "Install the driver and SQLAlchemy dialect of this database, or export the segment to a file."
        ) from error


def _lenient(connection: object) -> object:
    """Let a value that Python cannot hold be no value: psycopg gives up on its whole chunk of rows."""
    if isinstance(connection, psycopg.Connection):
        adapters = connection.adapters  # the connection's own
        for name in _WIDER:
            oid = adapters.types[name].oid
            for wire in (Format.TEXT, Format.BINARY):
                if known := adapters.get_loader(oid, wire):
                    adapters.register_loader(oid, _lenient_loader(known))
    return connection


def _lenient_loader(strict: type[AnyLoader]) -> type[Loader]:
    class Lenient(Loader):
        format = strict.format

        def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
            super().__init__(oid, context)
            self._strict = strict(oid, context)

        def load(self, data: Buffer) -> object:
            try:
                return self._strict.load(data)
            except psycopg.DataError:
                return None

    return Lenient


def connection_of(connection_id: str) -> DbApiHook:
    """Find the hook of a segment's connection, without connecting.

    :raises AudienceError: there is no such connection, or it is no SQL database.
    """
    try:
        connection = BaseHook.get_connection(connection_id)
        check_extra(connection)
        hook = connection.get_hook()  # type: ignore[no-untyped-call]
    except AirflowNotFoundException:
        raise AudienceError(
            f"there is no Airflow connection {connection_id!r}. Create it in Airflow, or set "
            f"AIRFLOW_CONN_{connection_id.upper()}. If it is set, percent-encode special characters in it."
        ) from None
    except (AirflowException, ImportError) as error:
        raise AudienceError(f"Airflow connection {connection_id!r}: {error}. Install its provider.") from error
    if not hasattr(hook, "get_sqlalchemy_engine"):
        raise AudienceError(
            f"Airflow connection {connection_id!r} is not an SQL database. Name one that is, or use a file."
        )
    return cast("DbApiHook", hook)


def _records(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> list[dict[str, object]]:
    # Objects as they are: with types of its own pandas makes floats of integers beside a null, and texts of
    # decimals. Imported here because Airflow imports this module whenever it parses DAGs.
    import pandas as pd

    frame = pd.DataFrame([tuple(row) for row in rows], columns=list(columns), dtype=object)
    values = frame.to_numpy(dtype=object, copy=True)
    values[frame.isna().to_numpy()] = None
    return [dict(zip(columns, row, strict=True)) for row in values.tolist()]
