"""Working through many things a bounded number at a time."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Give lists of at most ``size`` items, in order; ``itertools.batched`` comes with Python 3.12 only."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk
