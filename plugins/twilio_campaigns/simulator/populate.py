"""Messages by the million, as if they had been sent some time ago: what benchmarks of reading read.

Creating them one by one would take half an hour and the senders' throughput; here they are made at once, spread
evenly over a period, with lives like any other message's. The same request on the same seed gives the same messages.
"""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from twilio_campaigns.domain.parts import count_parts
from twilio_campaigns.simulator.life import Life, draw_life
from twilio_campaigns.simulator.store import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twilio_campaigns.simulator.store import Store

#: People who are texted: every number of 555-0100 to 555-0199, kept free for fiction, in 800 area codes.
PEOPLE: Final = 80_000
#: Different lives; a million drawn ones would take long, and hold more memory than their messages.
LIVES: Final = 4096
#: Steps through the lives, so that neighbours live differently; has no factor in common with their number.
_STRIDE: Final = 1597


class Population(BaseModel):
    """Messages to be made.

    :param count: how many.
    :param begins_at: when the first one is created.
    :param ends_at: when one after the last would be.
    :param senders: numbers that send, in turn.
    :param service: a Messaging Service that they belong to.
    :param body: what all of them say.
    :param held_share: share, evenly spread, that stays `sent` until it is released.
    :param priced_after: seconds after which all are priced; as in reality when empty.
    :param told: whether the answer names each one.
    """

    model_config = ConfigDict(extra="forbid")

    count: Annotated[int, Field(ge=1, le=2_000_000)]
    begins_at: AwareDatetime
    ends_at: AwareDatetime
    senders: Annotated[list[str], Field(min_length=1)]
    service: str | None = None
    body: str = "Your points wait for you. Reply STOP to opt out."
    held_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    priced_after: Annotated[float, Field(ge=0)] | None = None
    told: bool = True

    @model_validator(mode="after")
    def _check_period(self) -> Self:
        if self.ends_at <= self.begins_at:
            raise ValueError("ends_at must come after begins_at")
        return self


def person(number: int) -> str:
    """Give a number that is nobody's, another one for each of the first :data:`PEOPLE`."""
    return f"+1{200 + number // 100 % 800}55501{number % 100:02}"


def populate(store: Store, seed: int, wanted: Population) -> list[Message]:
    """Make messages and put them into the store."""
    was_on = gc.isenabled()
    gc.disable()  # nothing of what is made here is garbage, and looking for some doubles the time
    try:
        messages = list(_make(store, seed, wanted))
        store.add_many(messages)
        store.held += [message for number, message in enumerate(messages) if _is_held(number, wanted.held_share)]
        gc.freeze()
    finally:
        if was_on:
            gc.enable()
    return messages


def release(store: Store, now: float) -> int:
    """Let every held message be delivered now; give how many those are."""
    held, store.held = store.held, []
    for message in held:
        message.life = replace(message.life, final=now - message.begins_at, final_status="delivered")
    return len(held)


def _make(store: Store, seed: int, wanted: Population) -> Iterator[Message]:
    first, last = wanted.begins_at.timestamp(), wanted.ends_at.timestamp()
    step, parts = (last - first) / wanted.count, count_parts(wanted.body).parts
    lives = [_life(seed, number, wanted, parts) for number in range(min(LIVES, wanted.count))]
    held_lives = [replace(life, final=None, final_status="sent", code=None) for life in lives if life.sent is not None]
    people = [person(number) for number in range(min(PEOPLE, wanted.count))]
    for number in range(wanted.count):
        created_at = first + number * step
        choice = held_lives if _is_held(number, wanted.held_share) else lives
        yield Message(
            sid=store.next_sid("SM"),
            to=people[number % len(people)],
            from_=wanted.senders[number % len(wanted.senders)],
            service=wanted.service,
            body=wanted.body,
            media=(),
            parts=parts,
            direction="outbound-api",
            created_at=created_at,
            begins_at=created_at,
            life=choice[number * _STRIDE % len(choice)],
            picked_later=wanted.service is not None,
        )


def _is_held(number: int, share: float) -> bool:
    return int((number + 1) * share) > int(number * share)


def _life(seed: int, number: int, wanted: Population, parts: int) -> Life:
    life = draw_life(seed, person(number), wanted.body, 1, "US", parts, mms=False)
    return life if wanted.priced_after is None else replace(life, priced=wanted.priced_after)
