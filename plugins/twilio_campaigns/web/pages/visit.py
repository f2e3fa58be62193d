"""What a page is given, and what it gives."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from twilio_campaigns.domain.scope import Listing
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.web.pages.visitors import Visitor


Row = TypeVar("Row")

#: NUL, and halves of characters that UTF-16 writes in two.
_NO_TEXT: Final = re.compile(r"[\x00\ud800-\udfff]")
#: Digits of a number that are read at most: Python refuses thousands, and no list has so many pages.
_DIGITS: Final = 9
#: Characters that a message repeats at most.
_SHOWN: Final = 40


class NotFoundError(Exception):
    """There is no such thing, or not for this visitor: nobody learns which. Its text says what to do."""


class ForbiddenError(Exception):
    """The visitor sees the thing, and may not do this. Its text says who may."""


class BadInputError(Exception):
    """A filter or form that cannot be read. Its text says what it may be."""


@dataclass
class Visit:
    """One request, as pages need it. Pages run in threads: what is asked for here may block.

    :param visitor: who came.
    :param open_warehouse: gives the warehouse.
    :param nudge: has figures made anew that wait for longer than it is told; waits for nothing.
    :param count_soon: has the figures of a run made anew; waits for nothing.
    :param path: parameters of the path.
    :param query: parameters of the query, the last one of each name.
    :param form: fields of the form.
    """

    visitor: Visitor
    open_warehouse: Callable[[], Warehouse]
    nudge: Callable[[timedelta], None]
    count_soon: Callable[[str], None]
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse; errors as its opening raises them."""
        return self.open_warehouse()

    @cached_property
    def sees_people(self) -> bool:
        """Whether the visitor sees whole numbers and texts."""
        return self.visitor.edits_connections()

    def require_text(self) -> None:
        """Refuse what is no text: PostgreSQL has no place for such characters, whatever they are compared with.

        :raises BadInputError: when something in the path, the query or the form is none.
        """
        for given in (self.path, self.query, self.form):
            for text in (*given, *given.values()):
                if _NO_TEXT.search(text):
                    raise BadInputError(
                        "The address or the form has a character that no text has: NUL, or half of one."
                    )

    def number_of(self, name: str, otherwise: int = 1, *, least: int = 1, most: int = 100_000) -> int:
        """Read a number from the query.

        :raises BadInputError: when it is none.
        """
        given = self.query.get(name, "").strip()
        if not given:
            return otherwise
        is_number = given.isascii() and given.isdecimal() and len(given) <= _DIGITS
        if not is_number or not least <= int(given) <= most:
            said = repr(given[:_SHOWN]) + ("…" if len(given) > _SHOWN else "")
            raise BadInputError(f"{name} is {said} in the address; it must be a number from {least} to {most:,}.")
        return int(given)

    def choice_of(self, name: str, choices: tuple[str, ...], otherwise: str) -> str:
        """Read one of several words from the query.

        :raises BadInputError: when it is none of them.
        """
        given = self.query.get(name, "").strip() or otherwise
        if given not in choices:
            raise BadInputError(f"{name} is {given!r} in the address; it may be {', '.join(c for c in choices if c)}.")
        return given


def existing(listing: Listing[Row]) -> Listing[Row]:
    """Give a list, if it has the page that was asked for.

    :raises BadInputError: when it has not.
    """
    if listing.page.number > listing.pages:
        raise BadInputError(f"There is no page {listing.page.number:,}: the list has {listing.pages:,} now.")
    return listing


@dataclass(frozen=True)
class Page:
    """What is shown.

    :param template: file of folder ``templates``.
    :param values: what it is filled with.
    """

    template: str
    values: dict[str, Any]
    status: int = 200


@dataclass(frozen=True)
class Redirect:
    """Another page.

    :param path: below the mount.
    """

    path: str
