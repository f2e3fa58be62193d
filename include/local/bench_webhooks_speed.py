"""The rounds of `bench_webhooks`: the same callbacks to each contestant in turn, and what the tables say afterwards."""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from include.local import bench_webhooks_scene, bench_webhooks_server
from include.local.bench_lab import BenchError
from include.local.bench_targets import Line, Note, Verdict
from include.local.bench_webhooks_apps import BARE, NOTHING, OURS
from include.local.bench_webhooks_load import LoadJob

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from include.local.bench_lab import Figures, Lab
    from include.local.bench_webhooks_server import Server

#: Connections that post at a time.
WIDTH: Final = 64
#: Of a peer's requests per second, what ours has to take at least.
SHARE: Final = 0.7
#: How much faster the generator has to be with a handler that does nothing: it must not be what is measured.
ROOM: Final = 1.5
NAMES: Final = {
    OURS: "ours, signature and ledger",
    BARE: "bare handler, one row",
    NOTHING: "handler that does nothing",
}
#: Name of Airflow's own database.
_METADATA: Final = "airflow"
_CHECKS: Final = {
    OURS: bench_webhooks_scene.check_ours,
    BARE: bench_webhooks_scene.check_bare,
    NOTHING: bench_webhooks_scene.check_nothing,
}


@dataclass
class Results:
    """What was measured on one kind of server.

    :param place: which kind, in words.
    :param is_light: whether the server by itself costs so little that it shows what the generator can do.
    :param figures: by contestant, a round each.
    """

    place: str
    is_light: bool = True
    figures: dict[str, list[Figures]] = field(default_factory=lambda: defaultdict(list))

    def ratio(self, one: str, other: str) -> float:
        """Compare two within each round, because what else the machine does changes from one to the next."""
        pairs = zip(self.figures[one], self.figures[other], strict=True)
        return median(mine.rate / yours.rate for mine, yours in pairs)


@dataclass(frozen=True)
class Arena:
    """Where callbacks are posted.

    :param lab: has the database.
    :param messages: of which is told.
    :param place: kind of server, in words.
    :param serve: starts one for a warehouse and an Auth Token.
    :param is_light: as for :class:`Results`.
    """

    lab: Lab
    messages: int
    place: str
    serve: Callable[[str, str], AbstractContextManager[Server]]
    is_light: bool = True

    def heat(self, contestant: str, seed: int) -> Figures:
        """Tell one contestant of everything, on a server and a ledger of its own.

        :param contestant: its path.
        :param seed: of the order.
        :raises BenchError: when it refused anything, or wrote something else than it should.
        """
        template = self.lab.template(
            f"told_{self.messages}", lambda url: bench_webhooks_scene.prepare(url, self.messages)
        )
        token = secrets.token_hex(16)
        with self.lab.database(template) as url:
            with self.serve(url, token) as server:
                job = LoadJob(contestant, server.url, url, token, seed, WIDTH)
                # The lab asks of a job that it can be told, and of what stands beside it that it knows its CPU time.
                figures = self.lab.heat(cast("Any", [job]), cast("Any", server))
            _check_answers(figures, NAMES[contestant], self.messages)
            _CHECKS[contestant](url, self.messages)
        return figures


def alone(lab: Lab, messages: int) -> Arena:
    """Give contestants served by uvicorn alone."""
    return Arena(lab, messages, "uvicorn", bench_webhooks_server.alone)


def in_airflow(lab: Lab, messages: int) -> Arena:
    """Give contestants served by Airflow's API server; its own tables are made once."""
    lab.template(_METADATA, bench_webhooks_server.migrate)

    def serve(url: str, token: str) -> AbstractContextManager[Server]:
        metadata = urlsplit(url)._replace(path=f"/{_METADATA}").geturl()
        return bench_webhooks_server.in_airflow(url, token, metadata)

    # Its middlewares and its access log cost more than any of the contestants.
    return Arena(lab, messages, "API server", serve, is_light=False)


def measure(arena: Arena, rounds: int, tell: Callable[[str], None]) -> list[Line | Note | Verdict]:
    """Let each contestant be told of everything in turn, and judge."""
    results = Results(arena.place, arena.is_light)
    for turn in range(rounds):
        # Who comes first changes: what the machine does besides comes and goes.
        order = (OURS, BARE) if turn % 2 == 0 else (BARE, OURS)
        for contestant in (*order, NOTHING) if turn == 0 else order:
            figures = arena.heat(contestant, seed=turn)
            results.figures[contestant].append(figures)
            tell(f"{arena.place}: {NAMES[contestant]}: {figures.rate:,.0f} requests/s")
    return judge(results)


def judge(results: Results) -> list[Line | Note | Verdict]:
    """Give lines, times and ratios."""
    place, figures = results.place, results.figures
    return [
        *(_line(f"{NAMES[contestant]}, {place}", each) for contestant, each in figures.items()),
        *(Note(f"{NAMES[contestant]}, {place}: p50, p99", _times(each)) for contestant, each in figures.items()),
        Verdict(f"ours ÷ bare handler, {place}", results.ratio(OURS, BARE), least=SHARE),
        *([_room(results)] if results.is_light else []),
    ]


def _room(results: Results) -> Verdict:
    fastest = max(one.rate for contestant in (OURS, BARE) for one in results.figures[contestant])
    room = results.figures[NOTHING][0].rate / fastest
    return Verdict(f"handler that does nothing ÷ fastest of both, {results.place}", room, least=ROOM)


def _check_answers(figures: Figures, name: str, messages: int) -> None:
    statuses, wanted = figures.told[0]["statuses"], messages * len(bench_webhooks_scene.TOLD)
    if statuses != {"204": wanted}:
        raise BenchError(f"{name} should have answered 204 to {wanted:,} requests; answers by status: {statuses}.")


def _line(name: str, figures: list[Figures]) -> Line:
    """Give a contestant's line: here the server is what works itself, and the generator is the simulator."""
    line = Line.of(name, figures)
    return replace(line, cpu=line.simulator_cpu, simulator_cpu=line.cpu)


def _times(figures: list[Figures]) -> str:
    p50, p99 = (median(1000 * one.told[0][name] for one in figures) for name in ("p50", "p99"))
    return f"{p50:,.0f} ms, {p99:,.0f} ms"
