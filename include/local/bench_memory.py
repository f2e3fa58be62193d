"""The benchmark's part on memory: what freezing and sending hold must not grow with the audience."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from include.local.bench_contestant import Job
from include.local.bench_targets import Note, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.local.bench_lab import Lab

AUDIENCES: Final = (10_000, 100_000)
MILLION: Final = 1_000_000
#: Largest ÷ smallest audience: above this, memory grows.
FLAT: Final = 1.5


def measure(lab: Lab, tell: Callable[[str], None], *, million: bool) -> list[Note | Verdict]:
    """Freeze audiences of several sizes and send one batch of each, in processes of their own."""
    bare = lab.heat([Job("import")]).peak_megabytes
    audiences = (*AUDIENCES, MILLION) if million else AUDIENCES
    frozen, sent = [], []
    for people in audiences:
        tell(f"memory: {people:,} people")
        freeze, send = _peaks(lab, people)
        frozen.append(freeze)
        sent.append(send)
    return [
        Note("memory after imports", f"{bare:,.0f} MB"),
        *_notes("freezing", audiences, frozen),
        *_notes("sending one batch", audiences, sent),
        Verdict(f"memory of freezing, {audiences[-1]:,} ÷ {audiences[0]:,}", frozen[-1] / frozen[0], most=FLAT),
        Verdict(f"memory of sending, {audiences[-1]:,} ÷ {audiences[0]:,}", sent[-1] / sent[0], most=FLAT),
    ]


def _peaks(lab: Lab, people: int) -> tuple[float, float]:
    """Give peaks of a freeze and of sending its first batch, which is as large as the product makes it."""
    simulator = lab.simulator(0.0)
    simulator.reset()
    with lab.database() as url:
        freeze = lab.heat([Job("freeze", messages=people, database=url)])
        send = lab.heat([Job("ours", simulator.url, simulator.token, database=url, batches=(1,))], simulator)
    return freeze.peak_megabytes, send.peak_megabytes


def _notes(what: str, audiences: tuple[int, ...], peaks: list[float]) -> list[Note]:
    return [
        Note(f"memory of {what}, audience of {people:,}", f"{peak:,.0f} MB")
        for people, peak in zip(audiences, peaks, strict=True)
    ]
