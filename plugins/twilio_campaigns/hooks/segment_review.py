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
            unfit = dict(_without_columns(table, readers))
            for one, _ in readers:
                name = one.campaign.campaign_id
                found = [unfit[name]] if name in unfit else missing_columns(one, table.columns)
                yield from ((finding, [name]) for finding in found)
            # Where nobody finds the columns, the first line is hardly a header, and rows are measured by it.
            if len(unfit) < len(readers) and segment.file.lower().endswith(".csv"):
                for _ in table.chunks:
                    pass
    except AudienceError as error:
        yield from _findings(str(error), readers, include)


def _without_columns(table: Table, readers: Sequence[_Reader]) -> Iterator[tuple[str, Finding]]:
    """Tell of each campaign that does not find its columns which it misses."""
    for one, segment in readers:
        try:
            check_columns(table, segment)
        except AudienceError as error:
            yield one.campaign.campaign_id, one.problems.finding(("segment", "file"), str(error))


def _findings(problem: str, readers: Sequence[_Reader], include: Path) -> Iterator[tuple[Finding, list[str]]]:
    """Point to the line of the data file where it is known, once; else to each campaign that names the file."""
    _, segment = readers[0]
    if placed := re.match(re.escape(segment.file) + r":(\d+): ", problem):
        shown = shown_path(include / segment.file, include)
        names = [one.campaign.campaign_id for one, _ in readers]
        yield Finding(shown, int(placed[1]), "", problem[placed.end() :]), names
        return
    if "does not exist" in problem and not (include / segment.file).exists():
        known = (p.relative_to(include).as_posix() for p in include.rglob("*") if p.suffix in {".csv", ".parquet"})
        remedy = did_you_mean(segment.file, known, "Put it there; where another job writes it later, use --no-data.")
        problem = f"{segment.file!r} does not exist below {include.name}/. {remedy}"
    for one, _ in readers:
        yield one.problems.finding(("segment", "file"), problem), [one.campaign.campaign_id]
