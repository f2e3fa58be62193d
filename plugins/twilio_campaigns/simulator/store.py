"""The messages of the simulated account, and how lists find them without looking at all."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right, insort
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from heapq import merge
from operator import attrgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from twilio_campaigns.simulator.life import Life

FOREVER: Final = float("inf")


@dataclass(slots=True, eq=False)
class Message:
    """One message. Times are seconds since 1970 on the simulator's clock.

    :param begins_at: when its life begins: creation, or `SendAt` of a scheduled one.
    :param picked_later: whether a Messaging Service picks the sender, which shows once the message is queued.
    :param fault: name of the fault that its create met.
    :param status_callback: URL that is told of every change of its status.
    """

    sid: str
    to: str
    from_: str | None
    service: str | None
    body: str
    media: tuple[str, ...]
    parts: int
    direction: str
    created_at: float
    begins_at: float
    life: Life
    picked_later: bool = False
    canceled_at: float | None = None
    touched_at: float = 0.0
    feedback: str | None = None
    fault: str | None = None
    status_callback: str | None = None
    _deleted_media: set[int] | None = field(default=None, init=False)

    @property
    def deleted_media(self) -> set[int]:
        """Numbers of its media that are gone. Made when asked for: among a million messages empty sets weigh."""
        if self._deleted_media is None:
            self._deleted_media = set()
        return self._deleted_media

    @property
    def sent_at(self) -> float:
        """When it leaves; never for one that fails or is canceled before."""
        if self.life.sent is None or self.canceled_at is not None:
            return FOREVER
        return self.begins_at + self.life.sent

    def status_at(self, now: float) -> str:
        """Twilio's word for it at a moment."""
        if self.direction == "inbound":
            return "received"
        if self.canceled_at is not None and self.canceled_at <= now:
            return "canceled"
        age, life = now - self.begins_at, self.life
        if life.final is not None and age >= life.final:
            return life.final_status
        if life.sent is not None and age >= life.sent:
            return "sent"
        return "sending" if age >= life.sending else self._status_before_sending(age)

    def _status_before_sending(self, age: float) -> str:
        accepted_first = self.picked_later and self.begins_at == self.created_at
        if age >= (self.life.queued if accepted_first else 0.0):
            return "queued"
        return "accepted" if age >= 0.0 else "scheduled"

    def updated_at(self, now: float) -> float:
        """When something about it changed last; the price counts."""
        life, latest = self.life, max(self.created_at, self.touched_at)
        if self.canceled_at is not None:
            return max(latest, self.canceled_at) if self.canceled_at <= now else latest
        for step in (life.queued, life.sending, life.sent, life.final, life.priced):
            if step is not None and latest < self.begins_at + step <= now:
                latest = self.begins_at + step
        return latest

    def is_final_at(self, now: float) -> bool:
        """Whether it may be deleted."""
        return self.status_at(now) not in {"accepted", "scheduled", "queued", "sending"}

    @property
    def price(self) -> float:
        """What it will cost; a canceled message costs nothing."""
        return 0.0 if self.canceled_at is not None else self.life.price

    def is_priced_at(self, now: float) -> bool:
        """Whether its price is known by then."""
        return self.price > 0 and now >= self.begins_at + self.life.priced


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list asks for; limits in seconds, both included.

    :param as_of: the moment at which the list's first page was asked for: all its pages show that moment's
        messages in that moment's order, so that none is skipped or comes twice while others move.
    """

    as_of: float
    to: str | None = None
    from_: str | None = None
    sent_after: float | None = None
    sent_before: float | None = None

    @property
    def by_date(self) -> bool:
        """Whether messages that were never sent are left out."""
        return self.sent_after is not None or self.sent_before is not None


#: Place of the last row of a page: (1 for unsent rows, which come first; else 0), time, SID.
Place = tuple[int, float, str]

_sent_key = attrgetter("sent_at", "sid")
_created_key = attrgetter("created_at", "sid")


def _take_in(messages: list[Message], message: Message) -> None:
    """Keep the order of creation; nearly always the last one made is the last one."""
    if messages and _created_key(message) < _created_key(messages[-1]):
        insort(messages, message, key=_created_key)
    else:
        messages.append(message)


def _place_of(message: Message) -> Place:
    """Give its place among the unsent."""
    return (1, message.created_at, message.sid)


def _merge(into: list[Message], messages: Sequence[Message], key: Callable[[Message], tuple[float, str]]) -> None:
    into += messages
    into.sort(key=key)


@dataclass(slots=True)
class Reading:
    """What was read of lists since somebody began to count, on a clock that all processes of a machine share.

    :param first: when the first page was asked for.
    :param last: when the last one was ready to leave.
    """

    pages: int = 0
    messages: int = 0
    first: float = 0.0
    last: float = 0.0

    def note(self, began: float, messages: int) -> None:
        """Count a page."""
        self.first = self.first or began
        self.last = time.monotonic()
        self.pages += 1
        self.messages += messages


class Store:
    """All messages of the account.

    :param seed: SIDs follow from it.
    :param list_lag_seconds: how old a message is before lists show it.
    :ivar held: populated messages that wait for their end.
    :ivar reading: what was read of lists.
    """

    def __init__(self, seed: int, list_lag_seconds: float = 0.0) -> None:
        self._seed = seed
        self._lag = list_lag_seconds
        self._by_sid: dict[str, Message] = {}
        self._by_to: dict[str, list[Message]] = {}
        self._by_sent: list[Message] = []
        self._never_sent: list[Message] = []
        self._not_by_to: list[Message] = []
        self._by_created: list[Message] = []
        self._ordinals: Counter[str] = Counter()
        self._made = 0
        self.held: list[Message] = []
        self.reading = Reading()

    def __len__(self) -> int:
        """Count the messages."""
        return len(self._by_sid)

    def __iter__(self) -> Iterator[Message]:
        """Give every message in the order of creation."""
        return iter(self._by_created)

    def next_sid(self, prefix: str) -> str:
        """Make the next SID."""
        self._made += 1
        return prefix + blake2b(f"{self._seed}|{self._made}".encode(), digest_size=16).hexdigest()

    def next_ordinal(self, to: str) -> int:
        """Count this number's messages."""
        self._ordinals[to] += 1
        return self._ordinals[to]

    def add(self, message: Message) -> None:
        """Take a message in."""
        self._by_sid[message.sid] = message
        _take_in(self._by_to.setdefault(message.to, []), message)
        _take_in(self._by_created, message)
        if message.sent_at < FOREVER:
            insort(self._by_sent, message, key=_sent_key)
        else:
            _take_in(self._never_sent, message)

    def add_many(self, messages: Sequence[Message]) -> None:
        """Take many messages in: each list is sorted once."""
        self._by_sid.update((message.sid, message) for message in messages)
        self._not_by_to += messages
        _merge(self._by_created, messages, _created_key)
        _merge(self._by_sent, [message for message in messages if message.sent_at < FOREVER], _sent_key)
        _merge(self._never_sent, [message for message in messages if message.sent_at == FOREVER], _created_key)

    def get(self, sid: str) -> Message | None:
        """Find one message."""
        return self._by_sid.get(sid)

    def delete(self, message: Message) -> None:
        """Forget a message."""
        del self._by_sid[message.sid]
        self.messages_to(message.to).remove(message)
        self._by_created.remove(message)
        if message.sent_at < FOREVER:
            self._drop_sent(message)
        else:
            self._never_sent.remove(message)

    def cancel(self, message: Message, now: float) -> None:
        """Cancel a scheduled message."""
        if message.sent_at < FOREVER:
            self._drop_sent(message)
            _take_in(self._never_sent, message)
        message.canceled_at = now

    def _drop_sent(self, message: Message) -> None:
        del self._by_sent[bisect_left(self._by_sent, _sent_key(message), key=_sent_key)]

    def messages_to(self, to: str) -> list[Message]:
        """Give a number's messages. Those that came by the million are sorted in when somebody asks for the first."""
        if self._not_by_to:
            later, self._not_by_to = self._not_by_to, []
            for message in later:
                _take_in(self._by_to.setdefault(message.to, []), message)
        return self._by_to.get(to, [])

    def page(self, wanted: Filter, after: Place | None, size: int) -> tuple[list[Message], Place | None]:
        """Give up to `size` rows that follow a place, and the last one's place if there may be more.

        Newest `date_sent` first; rows without one come before all others, newest creation first.
        """
        rows: list[tuple[Place, Message]] = []
        for place, message in self._walk(wanted, after):
            rows.append((place, message))
            if len(rows) > size:
                return [message for _, message in rows[:size]], rows[size - 1][0]
        return [message for _, message in rows], None

    def _walk(self, wanted: Filter, after: Place | None) -> Iterator[tuple[Place, Message]]:
        if not wanted.by_date and (after is None or after[0] == 1):
            yield from self._unsent(wanted, after)
            after = None
        yield from self._sent(wanted, after)

    def _unsent(self, wanted: Filter, after: Place | None) -> Iterator[tuple[Place, Message]]:
        for message in self._unsent_at(wanted):
            place = _place_of(message)
            if after is not None and place >= after:
                continue
            if message.sent_at > wanted.as_of and self._shown(message, wanted):
                yield place, message

    def _unsent_at(self, wanted: Filter) -> Iterable[Message]:
        """Rows that may be unsent at the list's moment, newest creation first; hardly any of a million are."""
        if wanted.to:
            return reversed(self.messages_to(wanted.to))
        leaving_later = self._by_sent[bisect_right(self._by_sent, wanted.as_of, key=attrgetter("sent_at")) :]
        return merge(
            reversed(self._never_sent),
            sorted(leaving_later, key=_created_key, reverse=True),
            key=_created_key,
            reverse=True,
        )

    def _sent(self, wanted: Filter, after: Place | None) -> Iterator[tuple[Place, Message]]:
        for message in self._sent_between(wanted, after):
            if self._shown(message, wanted):
                yield (0, message.sent_at, message.sid), message

    def _sent_between(self, wanted: Filter, after: Place | None) -> Iterable[Message]:
        """Rows by falling `date_sent`; an upper limit of whole seconds takes in that whole second."""
        earliest = -FOREVER if wanted.sent_after is None else wanted.sent_after
        rows = sorted(self.messages_to(wanted.to), key=_sent_key) if wanted.to else self._by_sent
        end = bisect_right(rows, wanted.as_of, key=attrgetter("sent_at"))
        if wanted.sent_before is not None:
            end = min(end, bisect_left(rows, wanted.sent_before + 1, key=attrgetter("sent_at")))
        if after is not None:
            end = min(end, bisect_left(rows, after[1:], key=_sent_key))
        start = bisect_left(rows, earliest, key=attrgetter("sent_at"))
        return (rows[index] for index in range(end - 1, start - 1, -1))

    def _shown(self, message: Message, wanted: Filter) -> bool:
        return message.created_at + self._lag <= wanted.as_of and (
            wanted.from_ is None or message.from_ == wanted.from_
        )
