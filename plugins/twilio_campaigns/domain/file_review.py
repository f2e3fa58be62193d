"""Looks at an include folder as a reviewer would: what is wrong with its files, and what may not be meant so."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twilio_campaigns.domain.campaign_advice import advice_on
from twilio_campaigns.domain.campaign_files import campaign_paths, read_campaigns
from twilio_campaigns.domain.file_problems import Finding, did_you_mean, shown_path
from twilio_campaigns.domain.sender_files import read_senders
from twilio_campaigns.domain.template import needed_variables

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from twilio_campaigns.domain.campaign import Message
    from twilio_campaigns.domain.campaign_files import Loaded
    from twilio_campaigns.domain.yaml_lines import KeyPath


def review(include: Path) -> tuple[list[Loaded], list[Finding]]:
    """Read every campaign file and `senders.yaml`.

    :param include: the include folder.
    :return: the good campaigns by id; and everything found, errors as well as advice.
    """
    loaded, errors = read_campaigns(include)
    found = [cast("Finding", problem) for error in errors for problem in error.problems]
    found += read_senders(include).advice
    for one in loaded:
        found += (
            one.problems.finding(path, what, one.problems.line_of_text(path, line), advice=True)
            for path, what, line in advice_on(one.campaign)
        )
    return loaded, found + list(_misnamed(include))


def missing_columns(loaded: Loaded, columns: Sequence[str]) -> Iterator[Finding]:
    """Find variables of the message for which a segment has no column.

    :param columns: of the segment.
    """
    for path, name, line in _without_column(loaded.campaign.message, columns):
        what = (
            f"the segment has no column {name!r}, so nobody would get the message. {_remedy(name, columns)} "
            f'Or write {{{{ {name} | default("…") }}}}.'
        )
        yield loaded.problems.finding(path, what, loaded.problems.line_of_text(path, line))


def columns_asked_for(message: Message, columns: Sequence[str]) -> Iterator[str]:
    """Say which variables of a message have no column, and which column may be meant.

    :param columns: of the segment.
    """
    for _, name, _ in _without_column(message, columns):
        yield f"No column {name!r}. {_remedy(name, columns)}"


def _without_column(message: Message, columns: Sequence[str]) -> Iterator[tuple[KeyPath, str, int]]:
    """Find each variable without a column once: where it is asked for, its name and its line there."""
    seen = {"campaign_id", *columns}
    for path, template in _templates(message):
        for name, line in needed_variables(template).items():
            if name not in seen:
                seen.add(name)
                yield path, name, line


def _remedy(name: str, columns: Sequence[str]) -> str:
    return did_you_mean(name, columns, f"It has {', '.join(columns)}.")


def _templates(message: Message) -> Iterator[tuple[KeyPath, str]]:
    if message.body is not None:
        yield ("message", "body"), message.body
    for number, url in enumerate(message.media_urls):
        yield ("message", "media_urls", number), url
    for name, text in message.content_variables.items():
        yield ("message", "content_variables", name), text


def _misnamed(include: Path) -> Iterator[Finding]:
    """Find what was meant as a campaign and is not read: editors like to add an ending."""
    folder = include / "campaigns"
    read = set(campaign_paths(folder)) if folder.is_dir() else set()
    for path in sorted(folder.rglob("*.y*ml.*")):
        if path not in read and not path.name.startswith(".") and not path.is_dir():
            what = "the file is not read, because its name does not end in .yaml. Rename it, or move it elsewhere."
            yield Finding(shown_path(path, include), None, "", what, advice=True)
