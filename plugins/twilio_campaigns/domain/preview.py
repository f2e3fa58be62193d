"""What a campaign run would do if it began now: who would get what, who would not, how long it takes, what it costs."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twilio_campaigns.domain.audience import Recipient
    from twilio_campaigns.domain.forecast import Forecast


@dataclass(frozen=True, slots=True)
class Price:
    """What a text segment to a country has cost lately; for MMS, a message.

    :param amount: positive, in ``unit``.
    :param unit: ISO 4217.
    """

    amount: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows of the audience that share a fate and a country.

    :param reason: why they are left out; ``None``: they are texted.
    :param parts: text segments of all of them, by our own count.
    """

    reason: str | None
    country: str | None
    rows: int
    parts: int


@dataclass(frozen=True, slots=True)
class PreviewedRow:
    """One row of the segment, and what would become of it.

    :param number: of the row in the segment, counted from 1.
    :param reason: why it is left out; ``None``: it is texted.
    """

    number: int
    recipient: Recipient
    reason: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """What freezing an audience now would plan.

    :param tallies: every row of the audience, counted.
    :param rows: the first rows of the segment.
    :param forecast: what sending takes.
    :param prices: by country; empty where nothing was billed lately, or no ledger was asked.
    :param refusal: why the freeze would plan nobody, and what to do; ``None``: it would not refuse.
    """

    tallies: tuple[Tally, ...]
    rows: tuple[PreviewedRow, ...]
    forecast: Forecast
    prices: Mapping[str, Price]
    refusal: str | None

    @property
    def audience(self) -> int:
        """Rows of the segment."""
        return sum(tally.rows for tally in self.tallies)

    def exclusions(self) -> dict[str, int]:
        """Count the rows that are left out, by reason, the most frequent first."""
        found: Counter[str] = Counter()
        for tally in self.tallies:
            if tally.reason is not None:
                found[tally.reason] += tally.rows
        return dict(found.most_common())

    def countries(self) -> list[Tally]:
        """Tell whom it texts, by country, the largest first."""
        return sorted(
            (tally for tally in self.tallies if tally.reason is None), key=lambda t: (-t.rows, t.country or "")
        )

    def costs(self) -> dict[str, Decimal]:
        """Tell what it would cost, by currency, as far as prices are known."""
        found: defaultdict[str, Decimal] = defaultdict(Decimal)
        for tally in self.countries():
            if price := self.prices.get(tally.country or ""):
                found[price.unit] += price.amount * tally.parts
        return dict(found)

    def unpriced(self) -> int:
        """Count the messages to countries of which nobody knows the price."""
        return sum(tally.rows for tally in self.countries() if (tally.country or "") not in self.prices)
