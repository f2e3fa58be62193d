"""Values on their way to a statement, thousands at a time.

Arrays are read by the server in a tenth of the time of JSON. Ids and moments are written as PostgreSQL holds them: it
needs longer to read one as text than for all else that it does with it. psycopg writes such lists too, but takes up to
three times as long for moments, which repeat, and knows no ids that are bytes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import psycopg
from psycopg import pq
from psycopg.adapt import Dumper
from psycopg.types.json import Json
from pydantic_core import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

#: PostgreSQL's numbers of the types, of an element and of an array of them (pg_type.dat).
_UUID, _UUIDS = 2950, 2951
_MOMENT, _MOMENTS = 1184, 1185
#: An array's binary form: dimensions, whether an element is null, type; of the one dimension length and first index.
_HEAD: Final = Struct("!iiIii")
_NULL: Final = b"\xff\xff\xff\xff"
#: How long the next element is.
_OF_16: Final = b"\x00\x00\x00\x10"
_OF_8: Final = Struct("!iq")
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class _Uuids(bytes):
    """An array of ids in PostgreSQL's binary form."""


class _Moments(bytes):
    """An array of moments in PostgreSQL's binary form."""


class _BinaryDumper(Dumper):
    format = pq.Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


class _UuidsDumper(_BinaryDumper):
    oid = _UUIDS


class _MomentsDumper(_BinaryDumper):
    oid = _MOMENTS


psycopg.adapters.register_dumper(_Uuids, _UuidsDumper)
psycopg.adapters.register_dumper(_Moments, _MomentsDumper)


class Columns:
    """Rows on their way to a statement, an array per column.

    >>> CODES = Columns("c", code="int", name="text")
    >>> f"select * from {CODES}"
    'select * from (select unnest(%(c_code)s::int[]) as code, unnest(%(c_name)s::text[]) as name) as c'

    Such functions give row after row where they stand in a select list; in ``from`` the rows of each are put aside
    first, which takes a tenth of a whole insert.

    :param alias: its name in the statement.
    :param types: PostgreSQL's type of each column, in order.
    """

    def __init__(self, alias: str, **types: str) -> None:
        self._alias = alias
        self._types = types

    def __str__(self) -> str:
        """Give what stands in the statement's ``from``."""
        columns = ", ".join(f"unnest({self.array(name)}) as {name}" for name in self._types)
        return f"(select {columns}) as {self._alias}"

    def array(self, name: str) -> str:
        """Give one column as an array, for a statement."""
        return f"%({self._alias}_{name})s::{self._types[name]}[]"

    def values(self, rows: Iterable[tuple[Any, ...]]) -> dict[str, str | bytes]:
        """Give the statement's parameters.

        :param rows: a value for each column: text, numbers, moments, ids, enumerated words or ``None``.
        """
        return self.values_of(list(zip(*rows, strict=True)) or [()] * len(self._types))

    def values_of(self, columns: Iterable[Sequence[Any]]) -> dict[str, str | bytes]:
        """Give the same of columns, in order."""
        return {
            f"{self._alias}_{name}": array_of(column, kind)
            for (name, kind), column in zip(self._types.items(), columns, strict=True)
        }


def array_of(values: Sequence[Any], kind: str = "text") -> str | bytes:
    """Write values as PostgreSQL writes an array.

    :param values: ids may be UUIDs or their sixteen bytes; moments are aware.
    :param kind: of what the statement makes an array of it, as PostgreSQL names the type of an element.
    """
    return _BINARY.get(kind, _text_array)(values)


def _text_array(values: Sequence[Any]) -> str:
    encoded = msgspec.json.encode(values)
    if b"\\" in encoded:
        # What JSON escapes, an array does in another way.
        return "{" + ",".join(_element(value) for value in values) + "}"
    # Quotes and `null` mean the same to both.
    return "{" + encoded[1:-1].decode() + "}"


def _element(value: Any) -> str:  # noqa: ANN401 - as above
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _uuids(values: Sequence[UUID | bytes | None]) -> _Uuids:
    try:
        # Nearly always all of them are bytes, which takes a tenth of the time.
        elements = _OF_16.join((b"", *values))  # type: ignore[arg-type]
    except TypeError:
        elements = b"".join(map(_uuid, values))
    return _Uuids(_head(_UUID, len(values)) + elements)


def _uuid(value: UUID | bytes | None) -> bytes:
    if value is None:
        return _NULL
    return _OF_16 + (value.bytes if isinstance(value, UUID) else value)


def _moments(values: Sequence[datetime | None]) -> _Moments:
    return _Moments(b"".join((_head(_MOMENT, len(values)), *map(_moment, values))))


@lru_cache(maxsize=32_768)
def _moment(value: datetime | None) -> bytes:
    """Write one element. Cached: the messages of a campaign share some hours."""
    return _NULL if value is None else _OF_8.pack(_OF_8.size - 4, (value - _EPOCH) // _MICROSECOND)


def _head(kind: int, length: int) -> bytes:
    # That an element may be null is said in any case: it is not looked at.
    return _HEAD.pack(1, 1, kind, length, 1)


_BINARY: Final[dict[str, Callable[[Sequence[Any]], bytes]]] = {"uuid": _uuids, "timestamptz": _moments}


def recordset(rows: Iterable[Any]) -> Json:
    """Give rows to SQL's ``json_to_recordset``, where they hold lists, or are few: :class:`Columns` takes less time.

    :param rows: mappings or dataclasses.
    """
    return Json(list(rows), dumps=to_json)
