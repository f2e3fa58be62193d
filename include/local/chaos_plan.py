"""What is killed when: a sequence that follows from its seed and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kind(StrEnum):
    """How something goes wrong."""

    STEP = "task at a step"
    TASK = "task"
    FROZEN_TASK = "frozen task"
    FROZEN_WORKER = "frozen worker"
    WORKER = "executor's worker"
    SCHEDULER = "scheduler"
    MACHINE = "scheduler's machine"
    API_SERVER = "API server"
    TRIGGERER = "triggerer"
    DAG_PROCESSOR = "DAG processor"
    POSTGRES_RESTART = "PostgreSQL, at once"
    POSTGRES_KILL = "PostgreSQL, killed"
    REFUSE = "Twilio unreachable"


#: Of 100 kills; every second death of a task happens at a step.
WEIGHTS: Final = {
    Kind.STEP: 25,
    Kind.TASK: 25,
    Kind.FROZEN_TASK: 6,
    Kind.FROZEN_WORKER: 4,
    Kind.WORKER: 6,
    Kind.SCHEDULER: 4,
    Kind.MACHINE: 4,
    Kind.API_SERVER: 5,
    Kind.TRIGGERER: 4,
    Kind.DAG_PROCESSOR: 4,
    Kind.POSTGRES_RESTART: 4,
    Kind.POSTGRES_KILL: 3,
    Kind.REFUSE: 6,
}
#: What a short run has to do while it still sends.
OF_TASKS: Final = [Kind.STEP, Kind.TASK, Kind.FROZEN_TASK, Kind.FROZEN_WORKER, Kind.WORKER, Kind.REFUSE]
#: Steps of the one task that every run has once, so they come first.
OPENING: Final = (Step.STAGED, Step.FREEZING, Step.FROZEN)
#: Steps that every message or chunk takes: the first time is not the only one at which to die.
FREQUENT: Final = frozenset({Step.CLAIMED, Step.RESERVED, Step.POSTING, Step.ANSWERED, Step.RECORDING, Step.RECORDED})
#: From so many kills on every step is killed at least once.
ALL_STEPS_FROM: Final = 40


@dataclass(frozen=True)
class Kill:
    """One entry of the plan.

    :param number: from 1.
    :param step: where the task dies, for :attr:`Kind.STEP`.
    :param countdown: how often a process takes the step before it dies there.
    :param pause: real seconds since the last kill.
    :param pick: between 0 and 1: which of the targets there are.
    :param share: between 0 and 1: how long, where that is a choice.
    """

    number: int
    kind: Kind
    step: Step | None
    countdown: int
    pause: float
    pick: float
    share: float


def plan(seed: int, kills: int, mean_pause: float) -> Iterator[Kill]:
    """Draw kills without end: those for which no target is found are made up for by later ones.

    :param kills: how many are wanted; a small number gets fewer opening steps.
    """
    random = Random(seed)  # noqa: S311 - a test
    opening = list(OPENING if kills >= ALL_STEPS_FROM else OPENING[1:2])
    steps: list[Step] = []
    for number, kind in enumerate(_kinds(random, len(opening)), start=1):
        step = None
        if kind is Kind.STEP:
            if not steps:
                steps = _deck_of_steps(random, kills)
            step = opening.pop(0) if opening else steps.pop()
        yield Kill(
            number=number,
            kind=kind,
            step=step,
            countdown=random.randint(1, 12) if step in FREQUENT else 1,
            pause=mean_pause * random.uniform(0.4, 1.6),
            pick=random.random(),
            share=random.random(),
        )


def _deck_of_steps(random: Random, kills: int) -> list[Step]:
    """Shuffle the steps; a short run has no time for those that come after a lease's end."""
    steps = [step for step in Step if step not in OPENING and (kills >= ALL_STEPS_FROM or step in FREQUENT)]
    return random.sample(steps, k=len(steps))


def _kinds(random: Random, opening: int) -> Iterator[Kind]:
    """Give every kind once, what needs a sending task first, and then kinds by their weights."""
    yield from [Kind.STEP] * opening
    others = [kind for kind in Kind if kind not in OF_TASKS]
    deck = [*random.sample(OF_TASKS, k=len(OF_TASKS)), *random.sample(others, k=len(others))]
    while True:
        yield from deck
        deck = random.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=20)
