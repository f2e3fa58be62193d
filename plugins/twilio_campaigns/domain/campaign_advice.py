"""What works as it stands in a campaign's file, and hardly does what its author meant.

Only `twilio-campaigns validate` says it: Airflow loads such a campaign.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from croniter import croniter  # type: ignore[import-untyped]
from phonenumbers import NumberParseException, is_possible_number, parse

from twilio_campaigns.domain.segment import SqlSegment
from twilio_campaigns.domain.template import is_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.domain.campaign_mistakes import Mistake
    from twilio_campaigns.domain.sender import SenderProfile
    from twilio_campaigns.domain.yaml_lines import KeyPath

#: From here the next runs of a schedule are looked at; any moment would do.
_START: Final = datetime(2027, 1, 1, tzinfo=UTC)
_RUNS: Final = 60
#: Hours at which people may be texted in the United States, and hardly sleep elsewhere.
_DAY: Final = range(8, 21)
#: What a scheduler takes at times to start a run, and a worker its tasks.
_SOON: Final = timedelta(minutes=1)
#: Shorter, and Twilio itself may not be in time (parameter ValidityPeriod).
_SHORT_VALIDITY: Final = 5
#: Shorteners that everybody shares; carriers filter texts with them.
_SHARED_SHORTENERS: Final = re.compile(
    r"(?<![\w.-])(?<!\w/)(bit\.ly|buff\.ly|cutt\.ly|goo\.gl|is\.gd|ow\.ly|rb\.gy|rebrand\.ly|t\.co|t\.ly|tiny\.cc|tinyurl\.com)/",
    re.IGNORECASE,
)
_OTHER_BRACES: Final = re.compile(r"(?<![{%$])\{ ?([A-Za-z_]\w*) ?\}(?!\})|%([A-Za-z_]\w*)%|\$\{([A-Za-z_]\w*)\}")
_URL: Final = re.compile(r"https?://", re.IGNORECASE)
_TEMPLATED_SQL: Final = re.compile(r"\{\{\s*[A-Za-z_].*?\}\}|\{%.*?%\}", re.DOTALL)


def advice_on(campaign: Campaign) -> Iterator[Mistake]:
    """Find what its author may not have meant."""
    yield from _on_the_schedule(campaign)
    yield from _on_durations(campaign)
    yield from _on_the_body(campaign)
    segment = campaign.segment
    if isinstance(segment, SqlSegment) and (found := _TEMPLATED_SQL.search(segment.query or "")):
        what = f"{found[0]!r} goes to the database as it stands: queries are no templates. Let SQL compute it."
        yield ("segment", "sql" if segment.sql else "query"), what, None


def advice_on_senders(profiles: Mapping[str, SenderProfile]) -> Iterator[Mistake]:
    """Find what the author of ``senders.yaml`` may not have meant."""
    seen: dict[str, str] = {}
    for name, profile in profiles.items():
        key = "messaging_service_sid" if profile.is_messaging_service else "from_number"
        if profile.scope in seen:
            what = (
                f"profile {seen[profile.scope]!r} has this sender too, and each sends at its own parts_per_second, "
                "which together may be more than Twilio grants. Use one profile."
            )
            yield (name, key), what, None
        seen.setdefault(profile.scope, name)
        if profile.from_number and profile.from_number.startswith("+") and not _is_possible(profile.from_number):
            what = f"no number of this country has as many digits as {profile.from_number!r}. Check it."
            yield (name, key), what, None
        if profile.released_per_second and profile.released_per_second > profile.parts_per_second:
            what = "it is more than parts_per_second, so it never counts. Lower it, or leave it out."
            yield (name, "released_per_second"), what, None


def _on_the_schedule(campaign: Campaign) -> Iterator[Mistake]:
    path: KeyPath = ("schedule",)
    if campaign.schedule is None:
        if campaign.start_date is not None:
            yield ("start_date",), "it says nothing without a schedule. Add one, or remove it.", None
        return
    runs = _runs(campaign)
    if nights := sorted({run.strftime("%H:%M") for run in runs if run.hour not in _DAY}):
        what = (
            f"it texts people at {', '.join(nights[:3])}{' …' if nights[3:] else ''} in {campaign.timezone}, in the "
            "night. Use hours from 8 to 20, or check timezone."
        )
        yield path, what, None
    shortest = min(_gaps(runs))
    # An equal one as well: the texts of a run go out after its beginning, so they are younger than the gap.
    if campaign.repeat_after >= shortest:
        what = (
            f"repeat_after ({campaign.repeat_after}) is at least as long as the gap between two runs ({shortest}), so "
            "a run leaves out whom the one before has texted. Lower repeat_after if everybody is meant to get each."
        )
        yield path, what, None


def _on_durations(campaign: Campaign) -> Iterator[Mistake]:
    if campaign.schedule is not None and campaign.max_lateness < _SOON:
        what = "Airflow may start a run later than that, and it would text nobody. Raise it to some minutes."
        yield ("max_lateness",), what, None
    if campaign.send_within < _SOON:
        what = "the first task may start later than that, and the run would text nobody. Raise it to some minutes."
        yield ("send_within",), what, None
    if campaign.validity_period is not None and campaign.validity_period < _SHORT_VALIDITY:
        what = f"Twilio itself may need longer than that to send. Raise it to {_SHORT_VALIDITY} or more."
        yield ("validity_period",), what, None


def _on_the_body(campaign: Campaign) -> Iterator[Mistake]:
    body, path = campaign.message.body or "", ("message", "body")
    for number, line in enumerate(body.splitlines(), 1):
        if found := _SHARED_SHORTENERS.search(line):
            what = (
                f"{found[1]} is a link shortener that everybody shares, and carriers filter such texts (30007). "
                "Write the address out, or use shorten_urls with a domain of your own."
            )
            yield path, what, number
        if found := _OTHER_BRACES.search(line):
            name = found[1] or found[2] or found[3]
            yield path, f"{found[0]!r} is sent as it stands. Write {{{{ {name} }}}} if a column is meant.", number
    if campaign.shorten_urls and not _URL.search(body) and not is_template(body):
        yield ("shorten_urls",), "the text has no link to shorten. Write one with https://, or remove it.", None


def _runs(campaign: Campaign) -> list[datetime]:
    times = croniter(campaign.cron, _START.astimezone(ZoneInfo(campaign.timezone)), ret_type=datetime)
    return [times.get_next() for _ in range(_RUNS)]


def _gaps(runs: Iterable[datetime]) -> Iterator[timedelta]:
    moments = [run.astimezone(UTC) for run in runs]
    return (later - earlier for earlier, later in pairwise(moments))


def _is_possible(number: str) -> bool:
    try:
        return is_possible_number(parse(number))
    except NumberParseException:
        return False
