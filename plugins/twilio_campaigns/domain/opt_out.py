"""What a reply asks for when it is one of the words that Twilio, too, listens to: STOP, START, HELP. Pure."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


class Keyword(StrEnum):
    """What a person asks for with a single word."""

    STOP = "stop"
    START = "start"
    HELP = "help"


#: Words of Twilio's default handling (support article 223134027).
_ENGLISH: Final = {
    Keyword.STOP: ("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"),
    Keyword.START: ("START", "YES", "UNSTOP"),
    Keyword.HELP: ("HELP", "INFO"),
}


class OptOutWords:
    """The words of one Twilio account: the English ones, and its own (Advanced Opt-Out knows others per language).

    As with Twilio the whole text has to be the word, in whatever case and with whatever space around it: "please stop"
    is a text like any other. A word that stands in several lists counts for the first of stop, start, help.

    :param stop: further words that opt out.
    :param start: further words that opt in again.
    :param help_: further words that ask for help.
    """

    def __init__(self, stop: Iterable[str] = (), start: Iterable[str] = (), help_: Iterable[str] = ()) -> None:
        own = {Keyword.STOP: stop, Keyword.START: start, Keyword.HELP: help_}
        self._meanings: dict[str, Keyword] = {}
        for keyword, english in _ENGLISH.items():
            for word in (*english, *own[keyword]):
                self._meanings.setdefault(_plain(word), keyword)

    def meaning_of(self, body: str | None) -> Keyword | None:
        """Give what a text asks for; ``None`` for a text like any other, and for one without words (a picture)."""
        return self._meanings.get(_plain(body)) if body else None


def _plain(text: str) -> str:
    """Fold case, forms of the same letter (``É`` has two) and spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
