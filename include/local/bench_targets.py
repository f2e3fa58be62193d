"""What the benchmarks promise, and the one table in which figures stand beside it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Self

from rich.table import Table

from include.local.environment import LOCAL

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from include.local.bench_lab import Figures

MICRO: Final = 1e6
#: What a busy machine may take from a ratio.
TOLERANCE: Final = 0.1
_COLUMNS: Final = ("messages/s", "spread", "CPU µs: own", "simulator", "PostgreSQL", "ratio", "target", "")


@dataclass(frozen=True)
class Verdict:
    """One ratio against what it should be.

    :param name: what is compared.
    :param value: the figure.
    :param least: its target from below, if it has one.
    :param most: its target from above, if it has one.
    :param tolerance: share by which it may miss them; 0 where a promise is a promise.
    """

    name: str
    value: float
    least: float | None = None
    most: float | None = None
    tolerance: float = TOLERANCE

    @property
    def meets(self) -> bool:
        """Whether the target is met."""
        return self._within(0.0)

    @property
    def holds(self) -> bool:
        """Whether it is at least not missed by more than the tolerance."""
        return self._within(self.tolerance)

    @property
    def target(self) -> str:
        """The target in words."""
        limits = (("≥", self.least), ("≤", self.most))
        return ", ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)

    def _within(self, tolerance: float) -> bool:
        return (self.least is None or self.value >= self.least * (1 - tolerance)) and (
            self.most is None or self.value <= self.most * (1 + tolerance)
        )


@dataclass(frozen=True)
class Line:
    """A contestant's figures over all rounds.

    :param name: who, under which circumstances.
    :param rate: messages a second, the median.
    :param slowest: of all rounds.
    :param fastest: of all rounds.
    :param cpu: microseconds per message, contestant.
    :param simulator_cpu: the same of the simulator.
    :param postgres_cpu: the same of PostgreSQL.
    """

    name: str
    rate: float
    slowest: float
    fastest: float
    cpu: float
    simulator_cpu: float
    postgres_cpu: float

    @classmethod
    def of(cls, name: str, figures: Sequence[Figures]) -> Self:
        """Give a contestant's line.

        :param figures: of its rounds.
        """
        rates = [one.rate for one in figures]
        return cls(
            name,
            median(rates),
            min(rates),
            max(rates),
            median(MICRO * one.cpu / one.answers for one in figures),
            median(MICRO * one.simulator_cpu / one.answers for one in figures),
            median(MICRO * one.postgres_cpu / one.answers for one in figures),
        )


@dataclass(frozen=True)
class Note:
    """A figure that is not judged."""

    name: str
    text: str


@dataclass
class Report:
    """Everything that was measured.

    :param title: heads the table.
    :param name: names the file of figures.
    """

    title: str
    name: str = "send"
    entries: list[Line | Note | Verdict] = field(default_factory=list)

    @property
    def verdicts(self) -> list[Verdict]:
        """What is judged."""
        return [entry for entry in self.entries if isinstance(entry, Verdict)]

    @property
    def holds(self) -> bool:
        """Whether no target is missed by more than its tolerance."""
        return all(verdict.holds for verdict in self.verdicts)

    def show(self, console: Console) -> None:
        """Print the table."""
        table = Table(
            title=self.title,
            title_justify="left",
            caption="CPU: µs per message. Ratios: median over the rounds.",
            caption_justify="left",
        )
        table.add_column("")
        for column in _COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        for entry in self.entries:
            table.add_row(entry.name, *_cells(entry), style=_style(entry))
        console.print(table)

    def write(self) -> Path:
        """Keep the figures as JSON; give the file."""
        file = LOCAL / "bench" / f"{self.name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        content = {"title": self.title, "holds": self.holds, "entries": [_as_json(entry) for entry in self.entries]}
        file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
        return file


def _cells(entry: Line | Note | Verdict) -> tuple[str, ...]:
    if isinstance(entry, Line):
        shares = (entry.cpu, entry.simulator_cpu, entry.postgres_cpu)
        spread = f"{entry.slowest:,.0f} to {entry.fastest:,.0f}"
        return (f"{entry.rate:,.0f}", spread, *(f"{share:,.0f}" if share else "" for share in shares))
    if isinstance(entry, Note):
        return ("", "", "", "", "", entry.text)
    return ("", "", "", "", "", f"{entry.value:.3f}", entry.target, _word(entry))


def _word(verdict: Verdict) -> str:
    if verdict.meets:
        return "met"
    return f"missed by less than {TOLERANCE:.0%}" if verdict.holds else "missed"


def _style(entry: Line | Note | Verdict) -> str | None:
    if not isinstance(entry, Verdict) or entry.meets:
        return None
    return "yellow" if entry.holds else "bold red"


def _as_json(entry: Line | Note | Verdict) -> dict[str, Any]:
    known = {"kind": type(entry).__name__.lower(), **asdict(entry)}
    return {**known, "meets": entry.meets, "holds": entry.holds} if isinstance(entry, Verdict) else known
