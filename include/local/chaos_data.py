"""What the harness sends: two campaigns, partly to the same people, with texts that a log must not show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from include.local.environment import ROOT
from twilio_campaigns.simulator.life import draw_life

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVICE = "MG0123456789abcdef0123456789abcdef"
NUMBER = "+15005550006"
#: Campaign to its sender: what Twilio calls it.
SENDERS = {"through_service": SERVICE, "through_number": NUMBER}
#: Share of a campaign's people whom the other one texts as well.
OVERLAP = 0.3
#: Area codes whose exchange 555 is for fiction; the first numbers are left to the simulator's senders.
AREAS = (202, 212, 213, 305, 312, 404, 415, 503, 512, 617)
FIRST_NUMBER = 200
#: Part of every body.
PHRASE = "the marigold week is here"
BODY = f"Hi {{first_name}}, {PHRASE}, your code is {{code}}. Reply STOP to opt out."
CODE = "mgd-%06d"
CODE_PATTERN = r"mgd-[0-9]{6}"
CAMPAIGN_FILE = """
sender: {sender}
segment:
  sql: segments/{campaign}.sql
batch_size: {batch_size}
message:
  body: {body}
"""
SENDERS_FILE = """
through_service:
  channel: sms
  messaging_service_sid: {service}
  parts_per_second: {rate}
through_number:
  channel: sms
  from_number: "{number}"
  parts_per_second: {rate}
"""
DAG_HEADER = """import sys
sys.path.insert(0, {root!r})
from include.local.chaos_death import arm
arm({folder!r})
"""
CREATE = """
create schema if not exists chaos;
create table chaos.people (
    customer_id text, phone text, first_name text, code text, through_service boolean, through_number boolean
)
"""


@dataclass(frozen=True)
class Person:
    """One row of `chaos.people`."""

    customer_id: str
    phone: str
    first_name: str
    code: str
    through_service: bool
    through_number: bool


def people(messages: int, seed: int) -> Iterator[Person]:
    """Give the people of both campaigns, so that there are as many messages in all.

    Left out are those of whom no carrier would ever report anything: their messages settle when the tracking window
    closes, which is made far longer here than everything else.

    :param seed: of the simulator; what becomes of a message follows from it.
    """
    each = messages // 2
    both = round(each * OVERLAP)
    phones = (f"+1{area}555{number:04}" for area in AREAS for number in range(FIRST_NUMBER, 10_000))
    n, wanted = 0, 2 * each - both
    while n < wanted:
        person = Person(
            customer_id=f"c{n:06}",
            phone=next(phones),
            first_name=("Ada", "Grace", "Alan", "Radia", "José")[n % 5],
            code=CODE % n,
            through_service=n < each,
            through_number=n >= each - both,
        )
        if not any(_is_silent(seed, person, ordinal) for ordinal in (1, 2)):
            yield person
            n += 1


def _is_silent(seed: int, person: Person, ordinal: int) -> bool:
    body = BODY.format(first_name=person.first_name, code=person.code)
    return draw_life(seed, person.phone, body, ordinal, "US", 1, mms=False).final is None


def write_people(url: str, messages: int, seed: int) -> None:
    """Create and fill `chaos.people`."""
    with psycopg.connect(url) as connection:
        connection.execute(CREATE)
        with connection.cursor() as cursor, cursor.copy("copy chaos.people from stdin") as copy:
            for person in people(messages, seed):
                copy.write_row(tuple(vars(person).values()))


def write_include(folder: Path, *, batch_size: int, rate: int) -> Path:
    """Write campaigns, segments and senders; give their folder."""
    include = folder / "include"
    body = BODY.format(first_name="{{ first_name }}", code="{{ code }}")
    files = {"senders.yaml": SENDERS_FILE.format(service=SERVICE, number=NUMBER, rate=rate)}
    for campaign in SENDERS:
        text = CAMPAIGN_FILE.format(sender=campaign, campaign=campaign, batch_size=batch_size, body=body)
        files[f"campaigns/{campaign}.yaml"] = text
        files[f"segments/{campaign}.sql"] = (
            f"select customer_id, phone, first_name, code from chaos.people where {campaign}\n"  # noqa: S608 - ours
        )
    for name, content in files.items():
        file = include / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, "utf-8")
    return include


def write_dags(folder: Path, deaths: Path) -> Path:
    """Write the project's own DAG files, each behind the listener that lets a task die at a step."""
    dags = folder / "dags"
    dags.mkdir(parents=True, exist_ok=True)
    header = DAG_HEADER.format(root=str(ROOT), folder=str(deaths))
    for file in (ROOT / "dags").glob("*.py"):
        (dags / file.name).write_text(header + file.read_text("utf-8"), "utf-8")
    return dags
