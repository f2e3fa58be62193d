"""Tables for the logs of tasks: plain lines that stand below each other in any monospaced viewer. Pure.

Airflow's log viewer shows one line per entry, so a table is a list of lines, without frames that would break where a
line is wrapped. What people read last and at length, a remedy for example, belongs into the last column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twilio_campaigns.domain.values import is_figure, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def log_table(title: str, rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Give the lines of a table; none for one without rows.

    :param title: what it shows.
    :param rows: of the same columns each, in the order in which these are shown.
    """
    if not rows:
        return
    names = list(rows[0])
    cells = [[name.replace("_", " ") for name in names], *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    to_right = [all(row[name] is None or is_figure(row[name]) for row in rows) for name in names]
    cells.insert(1, ["-" * width for width in widths])
    yield title
    for line in cells:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, to_right, strict=True)
        )
        yield f"  {'  '.join(padded)}".rstrip()


def log_figures(title: str, figures: Mapping[str, object]) -> Iterator[str]:
    """Give the lines of a table of one row, a line per figure: there are more of them than fit side by side."""
    shown = {name.replace("_", " "): _text(value) for name, value in figures.items()}
    width = max(map(len, shown), default=0)
    to_right = max(map(len, shown.values()), default=0)
    yield title
    for name, text in shown.items():
        yield f"  {name:<{width}}  {text:>{to_right}}"


def _text(value: object) -> str:
    return "-" if value is None else text_of(value)
