"""Whether a link was opened by a person or by a program that shows a preview of it. Pure.

Phones and messengers fetch a link as soon as a text arrives, to show its title and picture: nobody has clicked yet.
"""

from __future__ import annotations

import csv
import re
from functools import lru_cache
from importlib.resources import files


def is_bot(user_agent: str | None) -> bool:
    """Whether a click's user agent is a program's.

    Without a user agent nobody can tell; it counts as a person's, so that no click gets lost.
    """
    return bool(user_agent) and _pattern().search(user_agent or "") is not None


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    """Read `data/link_preview_agents.csv`: what programs call themselves, as regular expressions."""
    source = (files("twilio_campaigns.domain") / "data" / "link_preview_agents.csv").read_text("utf-8")
    return re.compile("|".join(row["pattern"] for row in csv.DictReader(source.splitlines())), re.IGNORECASE)
