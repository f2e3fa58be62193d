"""Opens CSV and Parquet files as tables that are read in chunks."""

from __future__ import annotations

import csv
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.exceptions import AudienceError
from twilio_campaigns.domain.segment import leads_out

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pyarrow import Array, Scalar

    from twilio_campaigns.domain.segment import FileSegment, SqlSegment

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Table:
    """An open source of rows.

    :param name: as people know it.
    :param columns: names, in order.
    :param chunks: rows, some at a time.
    :param rounded: columns of 32-bit floats or less, which keep 7 digits of a number.
    """

    name: str
    columns: list[str]
    chunks: Iterable[Sequence[Sequence[object]]]
    rounded: frozenset[str] = frozenset()


def open_data_file(segment: FileSegment, include: Path, chunk_rows: int) -> AbstractContextManager[Table]:
    """Open a segment that is a file.

    :param include: the folder below which it is.
    :raises AudienceError: naming what is wrong with the file, and its line where that is known.
    """
    path = include / segment.file
    _check_file(path, segment.file, include)
    open_file = open_csv if path.suffix.lower() == ".csv" else open_parquet
    return open_file(path, segment.file, chunk_rows)


def check_columns(table: Table, segment: SqlSegment | FileSegment) -> None:
    """Make sure that a segment has what every segment needs: columns with ids and numbers.

    :raises AudienceError: naming what is missing, and what it has instead.
    """
    twice = sorted({column for column in table.columns if table.columns.count(column) > 1})
    if twice:
        raise AudienceError(f"{table.name} has column {twice[0]!r} twice. Give each column a name of its own.")
    for column in (segment.customer_id_column, segment.phone_column):
        if column not in table.columns:
            close = get_close_matches(column, table.columns, n=1)
            hint = f"Did you mean {close[0]!r}? " if close else ""
            raise AudienceError(
                f"{table.name} has no column {column!r}. {hint}It has {', '.join(table.columns)}. "
                "Rename it, or set customer_id_column and phone_column of the campaign's segment."
            )
        if column in table.rounded:
            raise AudienceError(
                f"{table.name} gives column {column!r} as 32-bit floats, which keep 7 digits: the numbers would be "
                "other people's. Write them as text."
            )


def _check_file(path: Path, name: str, include: Path) -> None:
    if leads_out(path, include):
        raise AudienceError(f"{name} is a link out of the include folder. Put the file itself there.")
    try:
        path.open("rb").close()
    except (FileNotFoundError, IsADirectoryError):
        raise AudienceError(f"{name} does not exist below {include.name}/. Put the file there.") from None
    except OSError as error:
        raise AudienceError(f"{name} cannot be read: {error.strerror}. Check it and its rights.") from None


@contextmanager
def open_csv(path: Path, name: str, chunk_rows: int) -> Iterator[Table]:
    """Open a CSV file: UTF-8, commas, a header. All values are texts, and an empty one is no value.

    :param name: the file as people know it.
    :raises AudienceError: naming the line that cannot be read.
    """
    with path.open("rb") as file:
        reader = csv.reader(_lines(file, name), strict=True)
        rows = _checked(reader, name)
        header = [(column or "").strip() for column in next(rows, [])]
        _check_header(header, name)
        yield Table(name, header, _chunks(rows, chunk_rows))


def _check_header(header: Sequence[str], name: str) -> None:
    if not any(header):
        raise AudienceError(f"{name} is empty. Write a header with the names of the columns.")
    if any("\0" in column for column in header):  # UTF-16 without a mark at its beginning
        raise AudienceError(f"{name}:1: the line is not UTF-8. Save the file as UTF-8.")
    if header[0].startswith("sep="):
        raise AudienceError(f"{name}:1: the line is a hint to Excel. Delete it: the header comes first.")
    if len(header) == 1 and any(sign in header[0] for sign in ";\t|"):
        raise AudienceError(f"{name}:1: the columns are not separated by commas. Export it with commas.")


def _lines(file: Iterable[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.removeprefix(_BYTE_ORDER_MARK if number == 1 else b"").decode("utf-8")
        except UnicodeDecodeError:
            raise AudienceError(f"{name}:{number}: the line is not UTF-8. Save the file as UTF-8.") from None


def _checked(reader: Reader, name: str) -> Iterator[list[str | None]]:
    """Rows that have as many values as the first one; blank lines are left out.

    Another row is refused with its file, and not left out: most often a quote is missing, which swallows or shifts
    the values of the rows around it as well, and somebody would get another's text.
    """
    width = 0
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise AudienceError(f"{name}:{reader.line_num}: {_explain(error)}") from None
        if row is None:
            return
        if not row:
            continue
        width = width or len(row)
        if len(row) != width:
            raise AudienceError(
                f"{name}:{reader.line_num}: the row has {len(row)} values, and the header has {width}. "
                "Put values with a comma in double quotes, or remove what is too much."
            )
        yield [value or None for value in row]


def _explain(error: csv.Error) -> str:
    if "new-line character" in str(error):
        return "lines end with CR alone, as on an old Mac. Save the file with the line ends of Windows or Unix."
    return f"{error}. Check the quotes of this line."


def _chunks(rows: Iterator[list[str | None]], chunk_rows: int) -> Iterator[list[list[str | None]]]:
    while chunk := list(islice(rows, chunk_rows)):
        yield chunk


@contextmanager
def open_parquet(path: Path, name: str, chunk_rows: int) -> Iterator[Table]:
    """Open a Parquet file.

    :param name: the file as people know it.
    :raises AudienceError: the file is none.
    """
    # Imported here because Airflow imports this module whenever it parses DAGs.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            batches = file.iter_batches(batch_size=chunk_rows)
            rows = (list(zip(*map(_values, batch.columns), strict=True)) for batch in batches)
            schema = file.schema_arrow
            rounded = frozenset(f.name for f in schema if pa.types.is_float32(f.type) or pa.types.is_float16(f.type))
            yield Table(name, list(schema.names), rows, rounded)
    except (pa.ArrowException, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
        raise AudienceError(f"{name} cannot be read as Parquet: {reason}. Write it again.") from error


def _values(column: Array) -> list[object]:
    """Values of a column; one that Python cannot hold is no value, and leaves its neighbours alone."""
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (ValueError, OverflowError):  # a text that is not UTF-8, a date after the year 9999
        return [_value(cell) for cell in column]


def _value(cell: Scalar) -> object:
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        return None
