"""First half of `make bench`: sending beside the SDK alone, a sender's limit, memory.

Everything runs in the same minutes against the same simulator, contestants in turn, because times of a busy machine
say little and ratios within a round say much. Ours keeps all its promises meanwhile: it claims, reserves, records and
writes events in a PostgreSQL that waits for its disk.
"""

from __future__ import annotations

import signal
import sys
import time
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Console

from include.local import bench_memory, bench_speed, bench_throughput
from include.local.bench_lab import BenchError, Lab
from include.local.bench_targets import Report

#: Columns of the table where nobody looks at a terminal.
TABLE_WIDTH: Final = 160


class Part(StrEnum):
    """What is measured."""

    SPEED = "speed"
    THROUGHPUT = "throughput"
    MEMORY = "memory"


def main(
    messages: Annotated[int, typer.Option(min=100, help="How many messages a contestant sends in a round.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each contestant runs.")] = 3,
    only: Annotated[list[Part] | None, typer.Option(help="Measure only this; may be given several times.")] = None,
    *,
    million: Annotated[bool, typer.Option("--million", help="Measure memory for a million people as well.")] = False,
) -> None:
    """Measure sending, and fail where a ratio misses its target by more than a tenth."""
    console, began = Console(), time.monotonic()
    if not console.is_terminal:
        console = Console(width=TABLE_WIDTH)
    parts = set(only or Part)

    def tell(text: str) -> None:
        console.print(f"{time.monotonic() - began:7.1f} s  {text}", highlight=False)

    report = Report(f"Sending: {messages:,} messages a round, {rounds} rounds, median and spread")
    try:
        with Lab() as lab:
            if Part.SPEED in parts:
                report.entries += bench_speed.measure(lab, messages, rounds, tell)
            if Part.THROUGHPUT in parts:
                report.entries += bench_throughput.measure(lab, tell)
            if Part.MEMORY in parts:
                report.entries += bench_memory.measure(lab, tell, million=million)
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
