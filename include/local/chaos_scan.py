"""Looks through logs for what must not stand in them: numbers, texts, secrets."""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from include.local.chaos_data import CODE_PATTERN, PHRASE
from include.local.environment import ACCOUNT_SID

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

_NUMBER = re.compile(rb"(?:\+|%2B|(?<![0-9a-fA-F]))(1[2-9][0-9]{2}555[0-9]{4})(?![0-9a-fA-F])")
EXAMPLES = 8


@dataclass
class Scan:
    """What was looked through and found.

    :param found: kind of secret, file and line; never the secret itself.
    """

    files: int = 0
    size: int = 0
    found: list[str] = field(default_factory=list)


class Scanner:
    """Knows what to look for.

    :param numbers: recipients, E.164.
    :param auth_token: of the Twilio account.
    """

    def __init__(self, numbers: Collection[str], auth_token: str) -> None:
        self._numbers = {number.lstrip("+").encode() for number in numbers}
        token = auth_token.encode()
        self._patterns = {
            "body": re.compile(f"{re.escape(PHRASE)}|{CODE_PATTERN}".encode()),
            "auth token": re.compile(re.escape(token)),
            "Authorization value": re.compile(
                re.escape(b64encode(f"{ACCOUNT_SID}:{auth_token}".encode())) + rb"|Basic [A-Za-z0-9+/]{20,}"
            ),
        }

    def scan(self, folders: Iterable[Path]) -> Scan:
        """Look through every file below these folders."""
        scan = Scan()
        for folder in folders:
            for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
                self._scan_file(file, scan)
        return scan

    def _scan_file(self, file: Path, scan: Scan) -> None:
        scan.files += 1
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                scan.size += len(line)
                scan.found.extend(f"{kind} in {file}:{number}" for kind in self._kinds_in(line))

    def _kinds_in(self, line: bytes) -> list[str]:
        kinds = [kind for kind, pattern in self._patterns.items() if pattern.search(line)]
        if any(match[1] in self._numbers for match in _NUMBER.finditer(line)):
            kinds.append("recipient number")
        return kinds
