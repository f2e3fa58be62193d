"""What somebody looks at: which runs, which country, which page of a list. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from datetime import date

Row = TypeVar("Row")

#: Rows of a page at most.
LARGEST_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Scope:
    """Which runs, and of them which messages; everything is asked for unless something is given.

    Days choose runs, not messages: then an audience, its exclusions and what became of it belong together.

    :param since: runs made on this UTC day or later.
    :param until: runs made on this UTC day or earlier.
    :param country: ISO 3166-1 alpha-2; empty text for rows whose number tells none. Lists of runs ignore it.
    :param sender: name of a sender profile; a run has one.
    :param dag_ids: runs of these DAGs only: those that a visitor may read. A campaign's runs may belong to several.
    """

    campaign_id: str | None = None
    run_key: str | None = None
    since: date | None = None
    until: date | None = None
    country: str | None = None
    sender: str | None = None
    dag_ids: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list.

    :param number: from 1.
    :param size: rows, at most :data:`LARGEST_PAGE`.
    :raises ValueError: for a page that there cannot be.
    """

    number: int = 1
    size: int = 25

    def __post_init__(self) -> None:
        """Check both."""
        if self.number < 1 or not 1 <= self.size <= LARGEST_PAGE:
            raise ValueError(
                f"Pages count from 1 and have 1 to {LARGEST_PAGE} rows: page={self.number}, {self.size} rows."
            )

    @property
    def offset(self) -> int:
        """Rows before it."""
        return (self.number - 1) * self.size


@dataclass(frozen=True, slots=True)
class Listing(Generic[Row]):
    """One page of a list.

    :param total: rows over all pages.
    """

    rows: list[Row]
    total: int
    page: Page

    @property
    def pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.total // self.page.size))
