"""Second half of `make bench`: reconciling into the tables beside others who read to nowhere.

The plain SDK, `tap-twilio` and `airbyte-source-twilio` read the same messages from the same simulator in the same
minutes, and put them nowhere. Ours has to write what it read, and what it wrote is compared with the simulator's truth
after every pass. Times of a busy machine say little, ratios within a round say much.
"""

from __future__ import annotations

import signal
import sys
import time
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from include.local import bench_reconcile_scale, bench_reconcile_speed
from include.local.bench_lab import BenchError, Lab
from include.local.bench_reconcile_scene import yesterday
from include.local.bench_send import TABLE_WIDTH
from include.local.bench_targets import Report


class Part(StrEnum):
    """What is measured."""

    SPEED = "speed"
    STRANGERS = "strangers"
    DAYS = "days"


def main(
    messages: Annotated[int, typer.Option(min=1000, help="How many messages are read in a round.")] = 50_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often ours and the SDK read.")] = 3,
    only: Annotated[list[Part] | None, typer.Option(help="Measure only this; may be given several times.")] = None,
    *,
    peers: Annotated[bool, typer.Option(help="Install other people's readers from PyPI and let them read too.")] = True,
    million: Annotated[bool, typer.Option("--million", help="Reconcile a million messages as well.")] = False,
) -> None:
    """Measure reconciling, and fail where a ratio misses its target by more than a tenth."""
    console, began = Console(), time.monotonic()
    if not console.is_terminal:
        console = Console(width=TABLE_WIDTH)
    parts, when = set(only or Part), yesterday()

    def tell(text: str) -> None:
        console.print(f"{time.monotonic() - began:7.1f} s  {text}", highlight=False, markup=False)

    report = Report(f"Reconciling: {messages:,} messages a round, {rounds} rounds, median and spread", "reconcile")
    try:
        with Lab(stands_at=when.now) as lab:
            if Part.SPEED in parts:
                report.entries += bench_reconcile_speed.measure(lab, when, messages, rounds, tell, peers=peers)
            if Part.STRANGERS in parts:
                report.entries += bench_reconcile_scale.among_strangers(lab, when, tell)
            if Part.DAYS in parts:
                report.entries += bench_reconcile_scale.four_days(lab, tell)
            if million:
                report.entries += bench_reconcile_scale.million(lab, when, messages, tell)
    except BenchError as error:
        console.print(f"The benchmark failed: {error}", markup=False)
        raise typer.Exit(1) from None
    report.show(console)
    console.print(f"Figures: {report.write()}", highlight=False)
    if not report.holds:
        raise typer.Exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    typer.run(main)
