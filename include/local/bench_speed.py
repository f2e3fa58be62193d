"""The benchmark's first part: how fast a batch is sent, beside the SDK alone, round after round."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from include.local.bench_contestant import THREADS, Job
from include.local.bench_lab import BenchError
from include.local.bench_targets import Line, Note, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.local.bench_lab import Figures, Lab, Simulator

WIDTH: Final = 100
#: Two workers, simulator and PostgreSQL share the machine: at full width two cores would be the limit, not we.
WIDTH_OF_WORKERS: Final = 40
BATCHES_OF_WORKERS: Final = 4
LATENCY: Final = 0.1


@dataclass(frozen=True)
class Heat:
    """One contestant under certain circumstances.

    :param name: how the table calls it.
    :param contestant: as :class:`Job` does.
    :param latency: seconds that every answer takes.
    :param width: requests under way at a time and process.
    :param workers: processes.
    :param share: of the messages that the others send; 32 threads take long.
    """

    name: str
    contestant: str
    latency: float
    width: int = WIDTH
    workers: int = 1
    share: float = 1.0


OURS_AT_0: Final = Heat("ours, 0 ms", "ours", 0.0)
SDK_AT_0: Final = Heat("SDK's asynchronous loop, 0 ms", "sdk-async", 0.0)
THREADS_AT_0: Final = Heat(f"SDK with {THREADS} threads, 0 ms", "sdk-threads", 0.0, share=0.5)
OURS_AT_100: Final = Heat("ours, 100 ms", "ours", LATENCY)
SDK_AT_100: Final = Heat("SDK's asynchronous loop, 100 ms", "sdk-async", LATENCY)
THREADS_AT_100: Final = Heat(f"SDK with {THREADS} threads, 100 ms", "sdk-threads", LATENCY, share=0.25)
ONE_WORKER: Final = Heat(f"ours, 100 ms, width {WIDTH_OF_WORKERS}, 1 worker", "ours", LATENCY, WIDTH_OF_WORKERS)
TWO_WORKERS: Final = Heat(
    f"ours, 100 ms, width {WIDTH_OF_WORKERS} each, 2 workers", "ours", LATENCY, WIDTH_OF_WORKERS, 2
)
HEATS: Final = (
    OURS_AT_0,
    SDK_AT_0,
    THREADS_AT_0,
    OURS_AT_100,
    SDK_AT_100,
    THREADS_AT_100,
    ONE_WORKER,
    TWO_WORKERS,
)


def measure(lab: Lab, messages: int, rounds: int, tell: Callable[[str], None]) -> list[Line | Note | Verdict]:
    """Let all contestants run in turn, each round beginning with another one, and judge them."""
    figures: dict[Heat, list[Figures]] = defaultdict(list)
    for heat in (SDK_AT_0, SDK_AT_100):
        run(lab, heat, messages)  # the simulators have met everybody before anyone is timed
    for turn in range(rounds):
        first = 3 * turn % len(HEATS)
        for heat in (*HEATS[first:], *HEATS[:first]):
            figures[heat].append(run(lab, heat, round(messages * heat.share)))
            tell(f"round {turn + 1}: {heat.name}: {figures[heat][-1].rate:,.0f} messages/s")
    return [*(Line.of(heat.name, figures[heat]) for heat in HEATS), *_judge(figures)]


def run(lab: Lab, heat: Heat, messages: int) -> Figures:
    """Let one contestant send, and see that it did.

    :raises BenchError: when not every message was sent, once.
    """
    simulator = lab.simulator(heat.latency)
    simulator.reset()
    if heat.contestant == "ours":
        batches = 1 if heat.width == WIDTH else BATCHES_OF_WORKERS
        with lab.database(lab.frozen(messages, batches)) as url:
            figures = lab.heat(_shared(heat, simulator, messages, url, batches), simulator)
    else:
        figures = lab.heat([Job(heat.contestant, simulator.url, simulator.token, messages, heat.width)], simulator)
    reached = {message["to"] for message in simulator.truth()}
    if not figures.answers == len(reached) == simulator.messages() == messages:
        raise BenchError(f"{heat.name}: {messages} messages were to be sent, once each; {len(reached)} people got one.")
    return figures


def _shared(heat: Heat, simulator: Simulator, messages: int, url: str, batches: int) -> list[Job]:
    """Share the batches among the workers, as Airflow's tasks would be."""
    numbers = tuple(range(1, batches + 1))
    return [
        Job("ours", simulator.url, simulator.token, messages, heat.width, url, batches=numbers[worker :: heat.workers])
        for worker in range(heat.workers)
    ]


def _judge(figures: dict[Heat, list[Figures]]) -> list[Note | Verdict]:
    """Compare within each round, because what else the machine does changes from one to the next."""

    def ratio(heat: Heat, other: Heat) -> float:
        pairs = zip(figures[heat], figures[other], strict=True)
        return median(one.rate / another.rate for one, another in pairs)

    limit = WIDTH / LATENCY
    cpu = zip(figures[OURS_AT_0], figures[SDK_AT_0], strict=True)
    return [
        Verdict("ours ÷ SDK's asynchronous loop, 0 ms", ratio(OURS_AT_0, SDK_AT_0), least=0.9),
        Verdict(f"ours ÷ SDK with {THREADS} threads, 0 ms", ratio(OURS_AT_0, THREADS_AT_0), least=3.0),
        Verdict(
            f"ours ÷ (width ÷ latency = {limit:,.0f}/s), 100 ms",
            median(one.rate / limit for one in figures[OURS_AT_100]),
            least=0.95,
        ),
        Note(
            "SDK's asynchronous loop ÷ (width ÷ latency)", f"{median(f.rate / limit for f in figures[SDK_AT_100]):.3f}"
        ),
        Note("ours ÷ SDK's asynchronous loop, 100 ms", f"{ratio(OURS_AT_100, SDK_AT_100):.3f}"),
        Note(f"ours ÷ SDK with {THREADS} threads, 100 ms", f"{ratio(OURS_AT_100, THREADS_AT_100):.3f}"),
        Note(
            "own CPU: ours ÷ SDK's asynchronous loop, 0 ms",
            f"{median(one.cpu / another.cpu for one, another in cpu):.3f}",
        ),
        Verdict(
            f"two workers ÷ one, 100 ms, width {WIDTH_OF_WORKERS}, as 2 cores do not carry {WIDTH}",
            ratio(TWO_WORKERS, ONE_WORKER),
            least=1.8,
        ),
    ]
