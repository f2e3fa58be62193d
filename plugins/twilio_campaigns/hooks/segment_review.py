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
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from twilio_campaigns.domain.campaign_files import Loaded
    from twilio_campaigns.hooks.segment_files import Table

    #: A campaign and what it reads.
    _Reader = tuple[Loaded, FileSegment]

_CHUNK_ROWS = 10_000


def review_data(loaded: Sequence[Loaded], include: Path) -> Iterator[tuple[Finding, list[str]]]:
    """Read each data file once, however many campaigns name it: header, rows that are none, variables without a column.

    :param include: the include folder.
    :return: what is wrong, and the ids of the campaigns that it concerns.
    """
    readers: dict[Path, list[_Reader]] = {}
    for one in loaded:
        if isinstance(segment := one.campaign.segment, FileSegment):
            readers.setdefault(include / segment.file, []).append((one, segment))
    for those in readers.values():
        yield from _review_file(those, include)


def _review_file(readers: Sequence[_Reader], include: Path) -> Iterator[tuple[Finding, list[str]]]:
    _, segment = readers[0]
    try:
        with open_data_file(segment, include, _CHUNK_ROWS) as table:
            fit, unfit = _by_columns(table, readers)
            yield from (_finding(problem, those, include) for problem, those in unfit.items())
            for one in fit:
                yield from ((finding, [one.campaign.campaign_id]) for finding in missing_columns(one, table.columns))
            # Where nobody finds the columns, the first line is hardly a header, and rows are measured by it.
            if fit and segment.file.lower().endswith(".csv"):
                for _ in table.chunks:
                    pass
    except AudienceError as error:
        yield _finding(str(error), readers, include)


def _by_columns(table: Table, readers: Sequence[_Reader]) -> tuple[list[Loaded], dict[str, list[_Reader]]]:
    """Tell which campaigns find their columns, and what the others miss."""
    fit: list[Loaded] = []
    unfit: dict[str, list[_Reader]] = {}
    for one, segment in readers:
        try:
            check_columns(table, segment)
            fit.append(one)
        except AudienceError as error:
            unfit.setdefault(str(error), []).append((one, segment))
    return fit, unfit


def _finding(problem: str, readers: Sequence[_Reader], include: Path) -> tuple[Finding, list[str]]:
    """Tell a problem once: at the campaign that alone has it, or at the data file, at its line where that is known."""
    one, segment = readers[0]
    names = [reader.campaign.campaign_id for reader, _ in readers]
    line = None
    if placed := re.match(re.escape(segment.file) + r":(\d+): ", problem):
        line, problem = int(placed[1]), problem[placed.end() :]
    elif "does not exist" in problem and not (include / segment.file).exists():
        known = (p.relative_to(include).as_posix() for p in include.rglob("*") if p.suffix in {".csv", ".parquet"})
        remedy = did_you_mean(segment.file, known, "Put it there; where another job writes it later, use --no-data.")
        problem = f"{segment.file!r} does not exist below {include.name}/. {remedy}"
    if len(names) > 1:
        problem = f"{problem} Campaigns: {', '.join(names)}."
    elif line is None:
        return one.problems.finding(("segment", "file"), problem), names
    return Finding(shown_path(include / segment.file, include), line, "", problem), names
