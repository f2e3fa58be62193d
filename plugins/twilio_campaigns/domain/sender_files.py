"""Reads the sender profiles of ``include/senders.yaml``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twilio_campaigns.domain.campaign_advice import advice_on_senders
from twilio_campaigns.domain.exceptions import CampaignFileError
from twilio_campaigns.domain.file_problems import (
    Problems,
    did_you_mean,
    read_document,
    remove_unknown_keys,
    shown_path,
    validate,
)
from twilio_campaigns.domain.sender import SenderProfile

if TYPE_CHECKING:
    from pathlib import Path

    from twilio_campaigns.domain.file_problems import Finding
    from twilio_campaigns.domain.yaml_lines import KeyPath


@dataclass(frozen=True)
class Senders:
    """What ``senders.yaml`` holds; a broken profile hides no other.

    :param shown: the file as people know it.
    :param profiles: the good ones, by name.
    :param broken: names of the others.
    :param problems: what is wrong, one line each.
    :param readable: whether the file could be read at all.
    :param advice: what works and may not do what was meant.
    """

    shown: str
    profiles: dict[str, SenderProfile]
    broken: frozenset[str]
    problems: tuple[str, ...]
    readable: bool = True
    advice: tuple[Finding, ...] = ()

    def resolve(self, name: object, problems: Problems) -> SenderProfile | None:
        """Find the profile that a campaign names, or note why there is none.

        :param name: value of the campaign's key ``sender``.
        :param problems: of the campaign's file.
        """
        if isinstance(name, str) and name in self.profiles:
            return self.profiles[name]
        problems.add(("sender",), self._why_not(name))
        return None

    def _why_not(self, name: object) -> str:
        known = f"Name one of {', '.join(sorted(self.profiles))}." if self.profiles else f"Add one to {self.shown}."
        if name is None:
            return f"the key is missing. {known}"
        if not isinstance(name, str):
            return f"the sender is not a name. {known}"
        if not self.readable or name in self.broken:
            return f"{name!r} cannot be read from {self.shown}. Repair that file; its own error says where."
        return f"{self.shown} has no profile {name!r}. {did_you_mean(name, self.profiles, known)}"


def load_senders(include: Path) -> dict[str, SenderProfile]:
    """Read ``senders.yaml``.

    :param include: the include folder.
    :return: profiles by name.
    :raises CampaignFileError: with every problem of the file.
    """
    senders = read_senders(include)
    if senders.problems:
        raise CampaignFileError(*senders.problems)
    return senders.profiles


def read_senders(include: Path) -> Senders:
    """Read ``senders.yaml`` as far as it can be read.

    :param include: the include folder.
    """
    path = include / "senders.yaml"
    shown = shown_path(path, include)
    try:
        document = read_document(path, shown)
    except CampaignFileError as error:
        return Senders(shown, {}, frozenset(), error.problems, readable=False)
    problems = Problems(shown, document)
    profiles = {name: _sender(name, data, problems) for name, data in document.data.items()}
    good = {name: profile for name, profile in profiles.items() if profile is not None}
    advice = tuple(problems.finding(path, what, advice=True) for path, what, _ in advice_on_senders(good))
    return Senders(shown, good, frozenset(profiles.keys() - good.keys()), tuple(problems.lines()), advice=advice)


def _sender(name: str, data: object, problems: Problems) -> SenderProfile | None:
    if not isinstance(data, dict):
        problems.add((name,), "the profile is not a mapping. Write lines such as channel: sms, indented below it.")
        return None
    if "name" in data:
        problems.add((name, "name"), "the key is not known. Remove it: the profile's name is the key above it.")
    values = {key: value for key, value in data.items() if key != "name"}
    values = remove_unknown_keys(values, (SenderProfile,), problems, path=(name,))

    def to_path(location: KeyPath) -> KeyPath:
        return (name, *location)

    return validate(SenderProfile, values | {"name": name}, problems, to_path)
