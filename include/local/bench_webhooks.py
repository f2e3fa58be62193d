"""Third part of `make bench`: status callbacks at full speed, beside a bare handler that inserts one row for each.

The same requests, four per message and shuffled, go to ours and to the peer in turn, over 64 connections that stay, in
the same minutes against the same PostgreSQL. Ours checks every signature, changes the ledger and writes events; the
peer believes everything. What stands in the tables afterwards is compared with what was told.
"""

from __future__ import annotations

import signal
import sys
import time
from typing import Annotated

import typer
from rich.console import Console

from include.local import bench_webhooks_speed
from include.local.bench_lab import BenchError, Lab
from include.local.bench_send import TABLE_WIDTH
from include.local.bench_targets import Report
from include.local.bench_webhooks_scene import TOLD
from include.local.processes import StackError


def main(
    messages: Annotated[int, typer.Option(min=10, help="Of how many messages is told; four requests each.")] = 10_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each contestant is told of all.")] = 3,
    *,
    airflow: Annotated[bool, typer.Option("--airflow", help="Measure in a real Airflow API server as well.")] = False,
) -> None:
    """Measure webhooks, and fail where a ratio misses its target by more than a tenth."""
    console, began = Console(), time.monotonic()
    if not console.is_terminal:
        console = Console(width=TABLE_WIDTH)

    def tell(text: str) -> None:
        console.print(f"{time.monotonic() - began:7.1f} s  {text}", highlight=False, markup=False)

    requests = messages * len(TOLD)
    report = Report(
        f"Webhooks: {requests:,} callbacks a round, {rounds} rounds; per request; the generator is the simulator",
        "webhooks",
    )
    try:
        with Lab() as lab:
            report.entries += bench_webhooks_speed.measure(bench_webhooks_speed.alone(lab, messages), rounds, tell)
            if airflow:
                arena = bench_webhooks_speed.in_airflow(lab, messages)
                report.entries += bench_webhooks_speed.measure(arena, rounds, tell)
    except (BenchError, StackError) as error:
        console.print(f"The benchmark failed: {error}", markup=False)
        raise typer.Exit(1) from None
    report.show(console)
    console.print(f"Figures: {report.write()}", highlight=False)
    if not report.holds:
        raise typer.Exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    typer.run(main)
