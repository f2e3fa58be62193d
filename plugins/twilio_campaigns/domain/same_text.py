"""Whether a text that Twilio shows is the one that we asked it to send.

Twilio may rewrite a body before it leaves: smart encoding puts plain characters in the place of typographic ones,
link shortening puts short links in the place of URLs, and a redacted body is empty.
"""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_URL: Final = re.compile(r"https?://\S+", re.IGNORECASE)
_SPACE: Final = re.compile(r"\s+")


def may_be_same_text(ours: str | None, seen: str | None) -> bool:
    """Whether `seen` may be what became of `ours`.

    :param ours: the body as it was posted; `None` with a Content template, whose text only Twilio knows.
    :param seen: the body as Twilio shows it; empty when it was redacted.
    """
    if ours is None or not seen:
        return True
    return ours == seen or _pattern(ours).fullmatch(_plain(seen.strip())) is not None


@lru_cache(maxsize=64)
def _pattern(ours: str) -> re.Pattern[str]:
    """Match what smart encoding and link shortening may make of a text."""
    between = (re.escape(_plain(text)) for text in _URL.split(ours.strip()))
    return re.compile(r"\S+".join(between))


def _plain(text: str) -> str:
    """Encode a text as Twilio's smart encoding does; how much white space there is does not count."""
    return _SPACE.sub(" ", text.translate(_table()))


@lru_cache(maxsize=1)
def _table() -> Mapping[int, str]:
    """Read `data/smart_encoding.csv`: what Twilio puts in the place of which characters (smart encoding)."""
    source = (files("twilio_campaigns.domain") / "data" / "smart_encoding.csv").read_text("utf-8")
    rows = csv.DictReader(source.splitlines())
    return {int(point, 16): row["replacement"] for row in rows for point in row["code_points"].split()}
