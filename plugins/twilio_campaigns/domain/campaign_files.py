"""Reads campaigns from the files that people edit: every YAML file below ``include/campaigns`` is one.

Whatever is wrong becomes a :class:`CampaignFileError` with file, line, field and remedy, all problems of a
file at once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.campaign import (
    AudienceRules,
    Campaign,
    FileSegment,
    Message,
    Segment,
    SqlSegment,
)
from twilio_campaigns.domain.campaign_mistakes import mistakes_of
from twilio_campaigns.domain.exceptions import CampaignFileError
from twilio_campaigns.domain.file_problems import (
    Finding,
    Problems,
    did_you_mean,
    read_document,
    remove_unknown_keys,
    shown_path,
    validate,
)
from twilio_campaigns.domain.file_schemas import json_schemas, write_schemas
from twilio_campaigns.domain.segment import below_include, leads_out
from twilio_campaigns.domain.sender_files import Senders, load_senders, read_senders

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twilio_campaigns.domain.yaml_lines import KeyPath

__all__ = [
    "find_campaign",
    "json_schemas",
    "load_campaign",
    "load_campaigns",
    "load_senders",
    "resolve_segment",
    "write_schemas",
]

_SUFFIXES: Final = frozenset({".yaml", ".yml"})
_BELOW: Final = {
    "segment": (SqlSegment, FileSegment),
    "message": (Message,),
    "audience": (AudienceRules,),
}


def load_campaign(path: Path, include: Path) -> Campaign:
    """Read one campaign; its segment holds the text of the query, wherever the file has it from.

    :param path: the campaign's file.
    :param include: the include folder, which holds sender profiles and segments.
    :raises CampaignFileError: with every problem of the file.
    """
    return _load(path, include, read_senders(include)).campaign


def load_campaigns(include: Path) -> tuple[list[Campaign], list[CampaignFileError]]:
    """Read all campaigns; a broken file hides no other.

    :param include: the include folder.
    :return: the campaigns by id, and one error per broken file.
    """
    loaded, errors = read_campaigns(include)
    return [one.campaign for one in loaded], errors


@dataclass(frozen=True)
class Loaded:
    """A good campaign file.

    :param problems: none; they know the file's lines.
    """

    path: Path
    campaign: Campaign
    problems: Problems


def read_campaigns(include: Path) -> tuple[list[Loaded], list[CampaignFileError]]:
    """Read all campaigns as :func:`load_campaigns` does, with the places of their values."""
    folder = include / "campaigns"
    if not folder.is_dir():
        what = "the folder does not exist. Create it, or point TWILIO_CAMPAIGNS__INCLUDE to the include folder."
        return [], [CampaignFileError(Finding(shown_path(folder, include), None, "", what))]
    senders = read_senders(include)
    errors = [CampaignFileError(*senders.problems)] if senders.problems else []
    by_id: dict[str, list[Loaded]] = defaultdict(list)
    for path in campaign_paths(folder):
        try:
            loaded = _load(path, include, senders)
        except CampaignFileError as error:
            errors.append(error)
        else:
            by_id[loaded.campaign.campaign_id].append(loaded)
    errors += [error for found in by_id.values() if len(found) > 1 for error in _duplicates(found, include)]
    return [found[0] for _, found in sorted(by_id.items()) if len(found) == 1], errors


def find_campaign(include: Path, name: str) -> Campaign:
    """Read the campaign of this id.

    :param include: the include folder.
    :param name: its id, or its file.
    :raises CampaignFileError: it is broken, or there is none of this name.
    """
    campaign_id = Path(name).stem if Path(name).suffix.lower() in _SUFFIXES else name
    campaigns, errors = load_campaigns(include)
    for campaign in campaigns:
        if campaign.campaign_id == campaign_id:
            return campaign
    folder = include / "campaigns"
    paths = campaign_paths(folder) if folder.is_dir() else []
    places = tuple(f"{shown_path(path, include)}:" for path in paths if path.stem == campaign_id)
    if not places:
        remedy = did_you_mean(campaign_id, (path.stem for path in paths), "`twilio-campaigns validate` lists them.")
        raise CampaignFileError(
            Finding(shown_path(folder, include), None, "", f"there is no campaign {campaign_id!r}. {remedy}")
        )
    places += (f"{shown_path(include / 'senders.yaml', include)}:",)
    raise CampaignFileError(*(problem for e in errors for problem in e.problems if problem.startswith(places)))


def resolve_segment(segment: Segment, include: Path) -> Segment:
    """Put the text of the query into a segment that only names its file; others stay as they are.

    :raises CampaignFileError: the file is missing, empty, not UTF-8, or outside of ``include``.
    """
    if isinstance(segment, SqlSegment) and segment.query is None and segment.sql is not None:
        try:
            return segment.model_copy(update={"query": _read_query(segment.sql, include)})
        except ValueError as error:
            raise CampaignFileError(f"segment.sql: {error}") from None
    return segment


def campaign_paths(folder: Path) -> list[Path]:
    """Give the files of a folder that are read as campaigns."""
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES and not path.is_dir())
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _duplicates(found: Iterable[Loaded], include: Path) -> list[CampaignFileError]:
    # None of them is loaded: nobody can tell which one was meant, and one of them would text people.
    shown = {shown_path(one.path, include): one.campaign.campaign_id for one in found}
    return [
        CampaignFileError(
            Finding(
                name,
                1,
                "campaign_id",
                f"{campaign_id!r} is also the id of {', '.join(other for other in shown if other != name)}. "
                "Rename all but one; none is loaded.",
            )
        )
        for name, campaign_id in shown.items()
    ]


def _load(path: Path, include: Path, senders: Senders) -> Loaded:
    shown = shown_path(path, include)
    document = read_document(path, shown)
    problems = Problems(shown, document)
    data = remove_unknown_keys(document.data, (Campaign,), problems, below=_BELOW)
    data["campaign_id"] = _campaign_id(data, path, problems)
    data["sender"] = senders.resolve(data.get("sender"), problems)
    if isinstance(data.get("segment"), dict):
        data["segment"] = _with_query(data["segment"], include, problems)
    campaign = validate(Campaign, data, problems, _to_path)
    if campaign is not None and not problems:
        for key_path, message, line in mistakes_of(campaign):
            problems.add(key_path, message, problems.line_of_text(key_path, line))
    if problems or campaign is None:
        raise problems.error()
    return Loaded(path, campaign, problems)


def _to_path(location: KeyPath) -> KeyPath | None:
    if location[:1] == ("sender",):
        return None  # resolved already, or a problem already
    if location[:1] == ("segment",):
        return ("segment", *location[2:])  # pydantic names the kind of segment second
    return location


def _campaign_id(data: dict[str, Any], path: Path, problems: Problems) -> object:
    campaign_id = data.get("campaign_id", path.stem)
    if campaign_id != path.stem:
        problems.add(
            ("campaign_id",),
            f"{campaign_id!r} is not the name of the file. Rename the file to {campaign_id}.yaml, or remove the key.",
        )
    return campaign_id


def _with_query(segment: dict[str, Any], include: Path, problems: Problems) -> dict[str, Any]:
    sql = segment.get("sql")
    if sql is None:
        return segment
    if segment.get("query") is not None:
        problems.add(("segment", "query"), "sql and query exclude one another. Remove one of them.")
        return segment
    try:
        return segment | {"query": _read_query(sql, include)} if isinstance(sql, str) else segment
    except ValueError as error:
        problems.add(("segment", "sql"), str(error))
        return segment


def _read_query(sql: str, include: Path) -> str:
    """Read a query's file.

    :raises ValueError: saying what is wrong with the file, and the remedy.
    """
    path = include / below_include(sql, (".sql",))
    if leads_out(path, include):
        raise ValueError(f"{sql!r} is a link out of the include folder. Put the file itself there.")
    try:
        query = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        known = (file.relative_to(include).as_posix() for file in include.rglob("*.sql"))
        remedy = did_you_mean(sql, known, "Create it.")
        raise ValueError(f"{sql!r} does not exist below {include.name}/. {remedy}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{sql!r} is not UTF-8. Save it as UTF-8.") from None
    except OSError as error:
        raise ValueError(f"{sql!r} cannot be read: {error.strerror}. Check it and its rights.") from None
    if "\0" in query:  # UTF-16 without a mark at its beginning; a driver would cut the query there
        raise ValueError(f"{sql!r} is not UTF-8. Save it as UTF-8.")
    if not query.strip():
        raise ValueError(f"{sql!r} is empty. Write a query that gives one row per recipient.")
    return query
