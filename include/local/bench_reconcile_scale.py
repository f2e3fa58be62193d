"""Second part of the benchmark of reconciling: a million messages, ours or other people's, and four days of one day."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from include.local import bench_reconcile_scene
from include.local.bench_lab import Simulator
from include.local.bench_reconcile_contestant import settings_for
from include.local.bench_reconcile_scene import Afternoon
from include.local.bench_targets import Line, Note, Verdict
from include.local.simulated_days import ClockedWarehouse, World
from twilio_campaigns.domain.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.local.bench_lab import Lab

MILLION: Final = 1_000_000
#: Time per message of a million ÷ that of fifty thousand: above this, it is not linear.
LINEAR: Final = 1.25
MOST_MEGABYTES: Final = 600
#: One in two thousand messages of the account is ours.
FEW: Final = 500
MOST_CALLS: Final = 510
STRANGER: Final = "+12025550101"
#: API calls per 1,000 messages over four days.
MOST_PER_THOUSAND: Final = 40.0
#: How many messages are followed for four days, and how fast they are sent.
FOLLOWED: Final = 10_000
SENDING: Final = timedelta(minutes=2)


def million(lab: Lab, when: Afternoon, smaller: int, tell: Callable[[str], None]) -> list[Line | Note | Verdict]:
    """Reconcile a million messages; right before, a number to compare with."""
    simulator, figures = lab.simulator(0.0), {}
    for count in (smaller, MILLION):
        simulator.reset()
        sent = bench_reconcile_scene.populate(simulator, when, count)
        with lab.database() as url:
            bench_reconcile_scene.load(url, sent)
            del sent
            figures[count] = bench_reconcile_scene.read(lab, simulator, url, when, within_budget=True)
            tell(f"{count:,} messages: {figures[count].rate:,.0f} messages/s, {figures[count].peak_megabytes:,.0f} MB")
    large, small = figures[MILLION], figures[smaller]
    return [
        Line.of(f"ours, first pass over {MILLION:,}, 0 ms", [large]),
        Verdict(f"time per message, {MILLION:,} ÷ {smaller:,}", small.rate / large.rate, most=LINEAR),
        Note("of these: failed unsent, in no list, left to the next passes", f"{large.told[0]['left']:,}"),
        Verdict(
            f"peak memory of a pass over {MILLION:,}, MB", large.peak_megabytes, most=float(MOST_MEGABYTES), tolerance=0
        ),
    ]


def among_strangers(lab: Lab, when: Afternoon, tell: Callable[[str], None]) -> list[Note | Verdict]:
    """Look for a few messages of ours where a million of the account's are not ours."""
    simulator = lab.simulator(0.0)
    simulator.reset()
    bench_reconcile_scene.populate(simulator, when, MILLION, sender=STRANGER, told=False)
    sent = bench_reconcile_scene.populate(simulator, when, FEW)
    calls, seconds = [], []
    with lab.database() as url:
        bench_reconcile_scene.load(url, sent)
        for _ in range(2):
            figures = bench_reconcile_scene.read(lab, simulator, url, when)
            calls.append(figures.told[0]["api_calls"])
            seconds.append(figures.seconds)
            bench_reconcile_scene.let_time_pass(url)
            simulator.control("release", now=True)
    tell(f"{FEW} of ours among {MILLION:,}: {calls} calls, {[round(one, 1) for one in seconds]} s")
    return [
        Verdict(f"calls of a {name} pass, {FEW} of ours among {MILLION:,}", count, most=MOST_CALLS, tolerance=0)
        for name, count in zip(("first", "second"), calls, strict=True)
    ]


def four_days(lab: Lab, tell: Callable[[str], None]) -> list[Note | Verdict]:
    """Follow a day until it is settled, as the sensor does, while the clocks jump from look to look."""
    began = datetime.combine(datetime.now(UTC).date() - timedelta(days=1), time(10), UTC)
    when = Afternoon(began - SENDING, began, began)
    with Simulator(0.0, stands_at=began) as simulator, lab.database() as url:
        sent = bench_reconcile_scene.populate(simulator, when, FOLLOWED, held_share=0.0, priced_after=None)
        bench_reconcile_scene.load(url, sent)
        with ClockedWarehouse(url) as warehouse:
            world = World(warehouse, simulator.url, settings_for(simulator.url, simulator.token), Settings())
            days = world.follow(when.day)
        bench_reconcile_scene.check(simulator, url)
        finals = simulator.control("statuses").text.count(",sent")
    per_thousand = days.api_calls / FOLLOWED * 1000
    tell(f"four days: {days.looks} looks, {days.calls}")
    return [
        Verdict(
            f"calls per 1,000 messages over {days.lasted / timedelta(days=1):.1f} simulated days, until all is settled",
            per_thousand,
            most=MOST_PER_THOUSAND,
            tolerance=0,
        ),
        Note("of these: looks at the day, list pages, single fetches", _kinds(days.looks, days.calls)),
        Note("messages of which no report ever came", f"{finals / FOLLOWED:.1%}"),
    ]


def _kinds(looks: int, calls: dict[str, int]) -> str:
    return f"{looks}, {calls.get('list', 0)}, {calls.get('fetch', 0)}"
