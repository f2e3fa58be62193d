"""The benchmark's part on throughput: a sender's limit is kept in every window, hardly missed, and shared fairly."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from include.local import bench_people
from include.local.bench_contestant import Job
from include.local.bench_lab import BenchError
from include.local.bench_targets import Note, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from include.local.bench_lab import Lab, Simulator

LIMIT: Final = 100.0
SECONDS: Final = 25
WINDOW: Final = 10.0
#: One person in so many has a name that makes the text two parts.
LONG_EVERY: Final = 7
#: The steady middle: between these shares of all parts.
MIDDLE: Final = (0.2, 0.8)
SINGLE_TEXT, TEXT_SEGMENT = 160, 153  # characters, GSM 03.38


@dataclass(frozen=True)
class Team:
    """Processes that send the run of one campaign.

    :param campaign_id: which.
    :param workers: how many processes.
    :param first: number of its first recipient.
    """

    campaign_id: str
    workers: int
    first: int = 0


@dataclass(frozen=True)
class Sent:
    """A message as the simulator knows it."""

    at: float
    parts: int
    to: str


SCENES: Final = {
    "one process": (Team("alone", 1),),
    "three processes": (Team("alone", 3),),
    "two campaigns, 1 and 3 processes": (Team("small", 1), Team("large", 3, first=100_000)),
}


def measure(lab: Lab, tell: Callable[[str], None]) -> list[Note | Verdict]:
    """Send at the limit in several scenes, and look at what arrived."""
    found: list[Note | Verdict] = []
    for name, teams in SCENES.items():
        tell(f"throughput: {name}")
        sent = _play(lab, teams)
        found += _judge(name, [message for messages in sent.values() for message in messages])
        if len(teams) > 1:
            found += _shares(name, sent)
    return found


def _play(lab: Lab, teams: Sequence[Team]) -> dict[str, list[Sent]]:
    simulator = lab.simulator(0.0)
    simulator.reset()
    people = round(LIMIT * SECONDS / (1 + 1 / LONG_EVERY) / len(teams))
    with lab.database() as url:
        jobs = [job for team in teams for job in _jobs(team, people, simulator, url)]
        lab.heat(jobs, simulator)
    sent = _by_team(simulator.truth(), teams, people)
    if any(len(messages) != people for messages in sent.values()):
        raise BenchError("Not every message was sent, once.")
    return sent


def _jobs(team: Team, people: int, simulator: Simulator, url: str) -> list[Job]:
    """Freeze a team's audience; give the work of each of its processes: a batch."""
    campaign = bench_people.campaign(team.campaign_id, LIMIT, ceil(people / team.workers))
    batches = bench_people.freeze(url, campaign, bench_people.rows(people, first=team.first, long_every=LONG_EVERY))
    job = Job(
        "ours",
        simulator.url,
        simulator.token,
        database=url,
        campaign_id=team.campaign_id,
        parts_per_second=LIMIT,
    )
    return [replace(job, batches=(batch,)) for batch in batches]


def _by_team(truth: Iterable[dict[str, Any]], teams: Sequence[Team], people: int) -> dict[str, list[Sent]]:
    team_of = {bench_people.phone(team.first + n): team.campaign_id for team in teams for n in range(people)}
    sent: dict[str, list[Sent]] = {team.campaign_id: [] for team in teams}
    for message in truth:
        length = len(message["body"])
        parts = 1 if length <= SINGLE_TEXT else ceil(length / TEXT_SEGMENT)
        at = datetime.fromisoformat(message["created_at"]).timestamp()
        sent[team_of[message["to"]]].append(Sent(at, parts, message["to"]))
    return sent


def _judge(name: str, messages: list[Sent]) -> list[Note | Verdict]:
    messages = sorted(messages, key=lambda message: message.at)
    return [
        Verdict(f"{name}: fullest {WINDOW:g} s ÷ limit", _fullest(messages) / (LIMIT * WINDOW), most=1.0, tolerance=0),
        Verdict(f"{name}: steady rate ÷ limit", _steady(messages) / LIMIT, least=0.98),
    ]


def _fullest(messages: Sequence[Sent]) -> int:
    """Most parts in any window that begins with a message."""
    moments = [message.at for message in messages]
    before = [0, *accumulate(message.parts for message in messages)]
    return max(before[bisect_left(moments, moment + WINDOW)] - before[first] for first, moment in enumerate(moments))


def _steady(messages: Sequence[Sent]) -> float:
    """Parts a second over the middle, where nobody begins and nobody is through."""
    before = list(accumulate(message.parts for message in messages))
    first, last = (bisect_left(before, share * before[-1]) for share in MIDDLE)
    return (before[last] - before[first]) / (messages[last].at - messages[first].at)


def _shares(name: str, sent: dict[str, list[Sent]]) -> list[Verdict]:
    """Give each campaign's share of the parts while both send."""
    begin = max(min(message.at for message in messages) for messages in sent.values())
    end = min(max(message.at for message in messages) for messages in sent.values())
    parts = {
        campaign: sum(message.parts for message in messages if begin <= message.at <= end)
        for campaign, messages in sent.items()
    }
    return [
        Verdict(f"{name}: share of {campaign!r}", count / sum(parts.values()), least=0.4, most=0.6, tolerance=0)
        for campaign, count in parts.items()
    ]
