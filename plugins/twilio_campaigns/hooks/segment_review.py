"""Looks at the data files of segments before a campaign reads them; needs no Airflow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from twilio_campaigns.domain.exceptions import AudienceError
from twilio_campaigns.domain.file_problems import Finding, did_you_mean, shown_path
from twilio_campaigns.domain.file_review import missing_columns
from twilio_campaigns.domain.segment import FileSegment
from twilio_campaigns.hooks.segment_files import check_columns, open_data_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from twilio_campaigns.domain.campaign_files import Loaded

_CHUNK_ROWS = 10_000


def review_data(loaded: Loaded, include: Path) -> Iterator[Finding]:
    """Read a campaign's data file once: header, rows that are none, variables without a column.

    :param include: the include folder.
    """
    segment = loaded.campaign.segment
    if not isinstance(segment, FileSegment):
        return
    try:
        with open_data_file(segment, include, _CHUNK_ROWS) as table:
            check_columns(table, segment)
            yield from missing_columns(loaded, table.columns)
            if segment.file.lower().endswith(".csv"):
                for _ in table.chunks:
                    pass
    except AudienceError as error:
        yield _finding(str(error), loaded, segment, include)


def _finding(problem: str, loaded: Loaded, segment: FileSegment, include: Path) -> Finding:
    """Point to the line of the data file where it is known, else to the campaign that names it."""
    if placed := re.match(re.escape(segment.file) + r":(\d+): ", problem):
        return Finding(shown_path(include / segment.file, include), int(placed[1]), "", problem[placed.end() :])
    if "does not exist" in problem and not (include / segment.file).exists():
        known = (p.relative_to(include).as_posix() for p in include.rglob("*") if p.suffix in {".csv", ".parquet"})
        remedy = did_you_mean(segment.file, known, "Put it there; where another job writes it later, use --no-data.")
        problem = f"{segment.file!r} does not exist below {include.name}/. {remedy}"
    return loaded.problems.finding(("segment", "file"), problem)
