"""Reads the mistakes of `mistakes.yaml`: each is a good include folder in which one file is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

#: A good include folder.
FILES = {
    "campaigns/spring.yaml": """\
sender: texts
segment:
  file: segments/vip.csv
audience:
  default_region: US
message:
  body: |
    Hello {{ first_name }}
""",
    "senders.yaml": """\
texts:
  messaging_service_sid: MG0123456789abcdef0123456789abcdef
pictures:
  channel: mms
  from_number: "+12025550142"
""",
    "segments/vip.csv": "customer_id,phone,first_name\nc1,+12025550101,Ada\n",
    "segments/vip.sql": "select customer_id, phone, first_name from crm.vip\n",
}
_MESSAGE = "message:\n  body: |\n    Hello {{ first_name }}\n"


@dataclass(frozen=True)
class Mistake:
    """One mistake; `mistakes.yaml` says what its parts are."""

    group: str
    title: str
    new: str
    at: str
    says: tuple[str, ...]
    old: str = ""
    file: str = ""
    advice: bool = False
    only: bool = False
    repeat: int = 0

    def write(self, include: Path) -> None:
        """Write an include folder with this mistake."""
        name = self.file or self.at.split(":")[0]
        for path, text in {**FILES, name: self._text(FILES.get(name, ""))}.items():
            (include / path).parent.mkdir(parents=True, exist_ok=True)
            (include / path).write_text(text, "utf-8")

    def _text(self, good: str) -> str:
        if self.old not in good:
            raise ValueError(f"{self.title}: {self.old!r} stands in no good file.")
        new = self.new.replace("…", "… " * self.repeat) if self.repeat else self.new
        if self.only:  # the message stands among the new lines
            good = good.replace(_MESSAGE, "")
        return good.replace(self.old, new) if self.old else f"{good}{new}\n"


def mistakes() -> list[Mistake]:
    """Give all of them, in the order of the file."""
    groups = yaml.safe_load((Path(__file__).parent / "mistakes.yaml").read_text("utf-8"))
    return [
        Mistake(group=group, **{**parts, "says": tuple(parts["says"])})
        for group, found in groups.items()
        for parts in found
    ]
