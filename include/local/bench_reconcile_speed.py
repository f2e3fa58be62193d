"""First part of the benchmark of reconciling: a first pass and one with few changes, beside others who only read."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

from include.local import bench_reconcile_peers, bench_reconcile_scene
from include.local.bench_lab import BenchError
from include.local.bench_reconcile_contestant import ReadJob
from include.local.bench_targets import Line, Note, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.local.bench_lab import Figures, Lab, Simulator
    from include.local.bench_reconcile_peers import Peer
    from include.local.bench_reconcile_scene import Afternoon

LATENCIES: Final = (0.0, 0.1)
FIRST: Final = "ours, first pass, into the tables"
SECOND: Final = "ours, second pass, 5 % changed"
SDK: Final = "SDK's stream(page_size=1000) to nowhere"


@dataclass
class Results:
    """What was measured at one latency.

    :param figures: of ours and the SDK, by contestant, a round each.
    :param peers: of other people's readers, which are slow: read once, in the first round.
    :param missing: why a peer was not measured.
    """

    figures: dict[str, list[Figures]] = field(default_factory=lambda: defaultdict(list))
    peers: dict[str, Peer] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def ratio(self, one: str, other: str) -> float:
        """Compare two within each round, because what else the machine does changes from one to the next."""
        pairs = zip(self.figures[one], self.figures[other], strict=True)
        return median(mine.rate / yours.rate for mine, yours in pairs)


def measure(
    lab: Lab, when: Afternoon, messages: int, rounds: int, tell: Callable[[str], None], *, peers: bool
) -> list[Line | Note | Verdict]:
    """Read the same messages in turn, at every latency."""
    found: list[Line | Note | Verdict] = []
    for latency in LATENCIES:
        results = Results()
        for turn in range(rounds):
            _play(lab, lab.simulator(latency), when, messages, results, tell, peers=peers and not turn)
        found += _judge(results, f"{1000 * latency:g} ms", messages)
    return found


def _play(
    lab: Lab,
    simulator: Simulator,
    when: Afternoon,
    messages: int,
    results: Results,
    tell: Callable[[str], None],
    *,
    peers: bool,
) -> None:
    def note(name: str, figures: Figures) -> None:
        results.figures[name].append(figures)
        tell(f"{1000 * simulator.latency:g} ms: {name}: {figures.rate:,.0f} messages/s")

    simulator.reset()
    sent = bench_reconcile_scene.populate(simulator, when, messages)
    if not results.figures:
        read_by_sdk(lab, simulator, messages)  # the simulator has written every date before anyone is timed
    template = lab.template(f"accepted_{messages}", lambda url: bench_reconcile_scene.load(url, sent))
    note(SDK, read_by_sdk(lab, simulator, messages))
    with lab.database(template) as url:
        note(FIRST, bench_reconcile_scene.read(lab, simulator, url, when))
        bench_reconcile_scene.let_time_pass(url)
        released = simulator.control("release", now=True).json()["released"]
        note(SECOND, bench_reconcile_scene.read(lab, simulator, url, when))
    told = results.figures[SECOND][-1].told[0]
    if not told["changed"] == told["events_written"] == released:
        raise BenchError(f"{released:,} messages changed, and the second pass wrote {told}.")
    for name in bench_reconcile_peers.PEERS if peers else ():
        try:
            results.peers[name] = peer = bench_reconcile_peers.read(name, simulator, when.begins_at)
            tell(f"{1000 * simulator.latency:g} ms: {name}: {peer.rate:,.0f} messages/s")
        except BenchError as error:
            results.missing[name] = str(error)
            tell(str(error))


def read_by_sdk(lab: Lab, simulator: Simulator, messages: int) -> Figures:
    """Let the plain SDK list everything.

    :raises BenchError: when it did not list every message once.
    """
    figures = lab.heat([ReadJob("sdk", simulator.url, simulator.token)], simulator)
    if figures.answers != messages:
        raise BenchError(f"The SDK listed {figures.answers:,} messages instead of {messages:,}.")
    return figures


def _judge(results: Results, latency: str, messages: int) -> list[Line | Note | Verdict]:
    lines = [Line.of(f"{name}, {latency}", figures) for name, figures in results.figures.items()]
    lines += [
        Line(f"{name} to nowhere, {latency}", peer.rate, peer.rate, peer.rate, 0.0, 0.0, 0.0)
        for name, peer in results.peers.items()
    ]
    first, second = (results.figures[name][0].told[0] for name in (FIRST, SECOND))
    against_sdk = results.ratio(FIRST, SDK)
    usual = median(figures.rate for figures in results.figures[FIRST])
    beside: list[Note | Verdict] = [
        Verdict(f"ours, first pass ÷ {name} to nowhere, {latency}", usual / peer.rate, least=10.0)
        for name, peer in results.peers.items()
    ]
    beside += [Note(f"{name} was not measured", reason) for name, reason in results.missing.items()]
    beside += [
        Note(f"{name}, {latency}: start-up, afterwards", f"{peer.starting:.1f} s, {peer.ending:.1f} s")
        for name, peer in results.peers.items()
    ]
    calls = {
        "ours, first pass": first["api_calls"],
        "ours, second pass": second["api_calls"],
        **{name: peer.pages for name, peer in results.peers.items()},
    }
    return [
        *lines,
        Verdict(f"ours, first pass ÷ SDK to nowhere, {latency}", against_sdk, least=3.0)
        if latency == "100 ms"
        else Note(f"ours, first pass ÷ SDK to nowhere, {latency}", f"{against_sdk:.3f}"),
        *beside,
        Note(f"ours, second pass ÷ first pass, {latency}", f"{results.ratio(SECOND, FIRST):.3f}"),
        Verdict(
            f"rows written by second pass ÷ changed, {latency}",
            second["changed"] / (messages * bench_reconcile_scene.HELD_SHARE),
            least=1.0,
            most=1.0,
            tolerance=0,
        ),
        *(
            Note(f"calls per 1,000 messages, {latency}: {name}", f"{count / messages * 1000:.1f}")
            for name, count in calls.items()
        ),
        Note(f"peak memory of ours, {latency}", f"{max(f.peak_megabytes for f in results.figures[FIRST]):,.0f} MB"),
    ]
