"""Where the recipients of a campaign come from: a query, or a file."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from twilio_campaigns.domain.spec import Spec, problem

if TYPE_CHECKING:
    from pathlib import Path

Name = Annotated[str, Field(min_length=1, max_length=250)]
_DATA_FILES: Final = (".csv", ".parquet")


class _Segment(Spec):
    """Columns that every segment has; all others are variables of the message's templates."""

    customer_id_column: Annotated[Name, Field(description="Column with your own id of the recipient.")] = "customer_id"
    phone_column: Annotated[Name, Field(description="Column with the number to text.")] = "phone"

    @model_validator(mode="after")
    def _check_columns(self) -> Self:
        if self.customer_id_column == self.phone_column:
            raise problem("customer_id_column and phone_column name the same column. Name two columns.")
        return self


class SqlSegment(_Segment):
    """A query that gives one row per recipient.

    The text goes to the connection as it stands: ``%`` and ``:name`` mean what they mean to the database,
    nothing is templated, nothing is bound.

    :param sql: file below ``include/`` that holds the query. A campaign that was loaded from a file keeps it
        for people to read and holds the text in ``query`` as well.
    :param query: the query itself.
    :param connection: Airflow connection to any SQL database.
    """

    sql: Annotated[
        str | None,
        Field(
            description="SQL file below include/, sent to the database as it is. Either this or query.",
            examples=["segments/spring.sql"],
        ),
    ] = None
    query: Annotated[
        str | None,
        Field(
            description="The query, sent to the database as it is. Either this or sql.",
            examples=["select * from crm.vip"],
        ),
    ] = None
    connection: Annotated[Name, Field(description="Airflow connection to read from.")] = "warehouse_default"

    @field_validator("sql")
    @classmethod
    def _check_file(cls, value: str | None) -> str | None:
        return None if value is None else below_include(value, (".sql",))

    @field_validator("query")
    @classmethod
    def _check_query(cls, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise problem("the query is empty. Write a query that gives one row per recipient.")
        return value

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        if self.sql is None and self.query is None:
            raise problem(_ONE_SOURCE)
        return self


class FileSegment(_Segment):
    """A CSV or Parquet file with one row per recipient.

    :param file: file below ``include/``. It has to exist when the campaign runs, not when it is loaded: other
        jobs may write it.
    """

    file: Annotated[
        str,
        Field(description="CSV (UTF-8) or Parquet file below include/.", examples=["segments/vip.csv"]),
    ]

    @field_validator("file")
    @classmethod
    def _check_file(cls, value: str) -> str:
        return below_include(value, _DATA_FILES)


def below_include(value: str, suffixes: tuple[str, ...]) -> str:
    """Check that a path stays below ``include/`` and names a file of a known kind.

    :raises PydanticCustomError: naming the remedy.
    """
    path = PurePosixPath(value)
    if "\\" in value or "\0" in value or path.is_absolute() or ".." in path.parts:
        raise problem(f"{value!r} leaves the include folder. Write a path below include/, with forward slashes.")
    if path.suffix.lower() not in suffixes:
        raise problem(f"{value!r} is not a file of this kind. Name one that ends in {' or '.join(suffixes)}.")
    return value


def leads_out(path: Path, include: Path) -> bool:
    """Whether a link leads out of the include folder, or to itself."""
    try:
        return not path.resolve().is_relative_to(include.resolve())
    except (OSError, RuntimeError):  # RuntimeError: a loop of links, up to Python 3.12
        return True


_ONE_SOURCE: Final = "the segment has no source. Add exactly one of sql (a file), query (SQL text) or file."


def _kind(value: object) -> str | None:
    if isinstance(value, SqlSegment):
        return "sql"
    if isinstance(value, FileSegment):
        return "file"
    if not isinstance(value, dict) or ("file" in value and {"sql", "query"} & value.keys()):
        return None
    return "file" if "file" in value else "sql"


Segment = Annotated[
    Annotated[SqlSegment, Tag("sql")] | Annotated[FileSegment, Tag("file")],
    Discriminator(
        _kind,
        custom_error_type="campaign",
        custom_error_message="the segment needs exactly one source. "
        "Write a mapping with one of sql (a file), query (SQL text) or file.",
    ),
]
