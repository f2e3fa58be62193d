"""How commands print what they found: tables for people, JSON and CSV for programs, progress for whoever waits."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from twilio_campaigns.cli_common import err, out
from twilio_campaigns.domain.values import as_json, is_figure, text_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

Rows = list[dict[str, Any]]


def print_json(value: object) -> None:
    """Print JSON: moments and days by ISO 8601, amounts as numbers."""
    out.print_json(json.dumps(value, default=as_json))


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table, figures to the right.

    :param rows: at least one, all with the same columns; codes are texts.
    """
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        figures = any(is_figure(row[name]) for row in rows)
        table.add_column(name.replace("_", " "), justify="right" if figures else "left", overflow="fold")
    for row in rows:
        # As Text: rich would take brackets in a message for its own.
        table.add_row(*(Text(text_of(value)) for value in row.values()))
    out.print(table)


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print CSV with a header."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


@contextmanager
def counting_rows(chunks: Iterator[list[Any]], title: str) -> Iterator[Generator[list[Any]]]:
    """Show how many rows were read so far, on standard error and only to people.

    :param chunks: rows, some at a time.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description} {task.completed:,.0f} rows"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task(title, total=None)

        def counted() -> Generator[list[Any]]:
            for chunk in chunks:
                yield chunk
                progress.advance(task, len(chunk))

        yield counted()


@contextmanager
def busy(title: str) -> Iterator[None]:
    """Show that something is at work, on standard error and only to people."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        progress.add_task(title, total=None)
        yield
