"""What goes wrong on purpose: shares of faults, and which one a request or a status callback meets.

A client must text nobody twice although it cannot tell a create whose answer was lost from one that never
arrived. The simulator can: whatever it processed is in its truth, with the fault that the create met.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from math import fsum
from random import Random
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]

#: Sums of shares that are 1 on paper are not always 1 in floating point.
_ROUNDING: Final = 1e-9


class CreateFault(StrEnum):
    """What a create can meet; each name but `none` has a share, `<name>_share`."""

    NONE = "none"
    LOST = "lost"
    RESET = "reset"
    DELAYED = "delayed"
    THROTTLED = "throttled"
    THROTTLED_WITH_RETRY_AFTER = "throttled_with_retry_after"
    ERROR = "error"
    ERROR_AFTER = "error_after"
    UNAVAILABLE = "unavailable"
    UNAVAILABLE_AFTER = "unavailable_after"


class ReadFault(StrEnum):
    """What a GET of a message or a list can meet; each has a share, `<name>_share`."""

    THROTTLED = "read_throttled"
    UNAVAILABLE = "read_unavailable"
    RESET = "read_reset"


class CallbackFault(StrEnum):
    """What a status callback can meet; each has a share, `<name>_share`."""

    LOST = "callback_lost"
    FORGED = "callback_forged"
    DELAYED = "callback_delayed"


#: Faults of creates that are processed nevertheless.
PROCESSED: Final = frozenset(
    {CreateFault.LOST, CreateFault.DELAYED, CreateFault.ERROR_AFTER, CreateFault.UNAVAILABLE_AFTER}
)


class Faults(BaseModel):
    """How often what goes wrong; a request, and a status callback, meets at most one of its shares.

    :param lost_share: the create is processed, then the connection is closed without an answer.
    :param reset_share: the connection is closed before the create is processed.
    :param delayed_share: the create is processed, its answer comes after `delay_seconds`.
    :param delay_seconds: real seconds; longer than clients wait.
    :param throttled_share: 429 with code 20429, not processed.
    :param throttled_with_retry_after_share: the same with a header `Retry-After`.
    :param retry_after_seconds: what that header asks for; HTTP knows whole seconds only.
    :param error_share: 500 with code 20500, not processed.
    :param error_after_share: the same answer, but the create is processed.
    :param unavailable_share: 503 with code 20503, not processed.
    :param unavailable_after_share: the same answer, but the create is processed.
    :param slow_media_seconds: real seconds that pass before a create with `MediaUrl` is processed.
    :param young_404_seconds: age on the simulator's clock at which a GET finds a message; 404 with code 20404 before.
    :param revoked: every call of the API answers 401 with code 20003.
    :param read_throttled_share: GETs of a message or a list that answer 429 with code 20429.
    :param read_unavailable_share: GETs that answer 503 with code 20503.
    :param read_reset_share: GETs whose connection is closed. On a connection that was used before, aiohttp and
        others repeat a GET once by themselves.
    :param callback_lost_share: status callbacks that are never sent.
    :param callback_forged_share: those that are signed with another secret than the account's.
    :param callback_delayed_share: those that leave `callback_delay_seconds` late.
    :param callback_delay_seconds: real seconds.
    :param callback_copies: how often each status callback is sent.
    :param callback_shuffle_seconds: real seconds within which status callbacks leave in random order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    lost_share: Share = 0.0
    reset_share: Share = 0.0
    delayed_share: Share = 0.0
    delay_seconds: Seconds = 40.0
    throttled_share: Share = 0.0
    throttled_with_retry_after_share: Share = 0.0
    retry_after_seconds: Annotated[int, Field(ge=0)] = 1
    error_share: Share = 0.0
    error_after_share: Share = 0.0
    unavailable_share: Share = 0.0
    unavailable_after_share: Share = 0.0
    slow_media_seconds: Seconds = 0.0
    young_404_seconds: Seconds = 0.0
    revoked: bool = False
    read_throttled_share: Share = 0.0
    read_unavailable_share: Share = 0.0
    read_reset_share: Share = 0.0
    callback_lost_share: Share = 0.0
    callback_forged_share: Share = 0.0
    callback_delayed_share: Share = 0.0
    callback_delay_seconds: Seconds = 5.0
    callback_copies: Annotated[int, Field(ge=1, le=100)] = 1
    callback_shuffle_seconds: Seconds = 0.0

    @model_validator(mode="after")
    def _leave_no_request_two_faults(self) -> Self:
        for what, kinds in (("creates", CreateFault), ("reads", ReadFault), ("status callbacks", CallbackFault)):
            total = fsum(self.share_of(fault) for fault in kinds)
            if total > 1 + _ROUNDING:
                raise ValueError(f"the shares of {what} add up to {total:g}: more than 1")
        return self

    def share_of(self, fault: CreateFault | ReadFault | CallbackFault) -> float:
        """Give the share of one fault; `none` has none of its own."""
        return float(getattr(self, f"{fault}_share", 0.0))


Kind = TypeVar("Kind", CreateFault, ReadFault, CallbackFault)


@dataclass(frozen=True, slots=True)
class CallbackFate:
    """What a status callback meets.

    :param held_seconds: real seconds by which it leaves late.
    """

    fault: CallbackFault | None = None
    held_seconds: float = 0.0


_UNHARMED: Final = CallbackFate()


class FaultDealer:
    """Deals faults to requests in the order of their arrival, the same for the same seed.

    :param faults: how often what goes wrong.
    :param seed: of the draws.
    """

    def __init__(self, faults: Faults, seed: int) -> None:
        self._seed = seed
        self._set(faults)
        self.restart()

    @property
    def faults(self) -> Faults:
        """The faults in force."""
        return self._faults

    @property
    def prescribed(self) -> list[CreateFault]:
        """What the next creates meet, whatever the shares are."""
        return list(self._prescribed)

    def restart(self) -> None:
        """Draw from the beginning, with nothing dealt and nothing prescribed; the shares stay."""
        self.dealt: Counter[str] = Counter()
        self._prescribed: deque[CreateFault] = deque()
        # Reads have draws of their own: how often a client looks does not change what its creates meet.
        self._create_draws = Random(f"{self._seed}|create")  # noqa: S311 - a simulation
        self._read_draws = Random(f"{self._seed}|read")  # noqa: S311 - a simulation

    def change(self, changes: Mapping[str, Any]) -> Faults:
        """Change these fields from now on; give all.

        :raises pydantic.ValidationError: for unknown fields and bad values; nothing is changed then.
        """
        self._set(Faults.model_validate({**self._faults.model_dump(), **changes}))
        return self._faults

    def prescribe(self, faults: Iterable[CreateFault]) -> None:
        """Let the next creates meet exactly these, instead of what was prescribed before."""
        self._prescribed = deque(faults)

    def for_create(self) -> CreateFault | None:
        """Deal to the next create."""
        if self._prescribed:
            fault: CreateFault | None = self._prescribed.popleft()
        else:
            fault = _draw(self._create_draws, self._create_limits)
        if fault is None or fault is CreateFault.NONE:
            return None
        self.dealt[fault] += 1
        return fault

    def for_read(self) -> ReadFault | None:
        """Deal to the next GET of a message or a list."""
        fault = _draw(self._read_draws, self._read_limits)
        if fault is not None:
            self.dealt[fault] += 1
        return fault

    def for_callback(self, key: str) -> CallbackFate:
        """Deal to a status callback: always the same to the same one, whenever its turn comes.

        :param key: which one it is.
        """
        window = self._faults.callback_shuffle_seconds
        if not self._callback_limits and not window:
            return _UNHARMED
        draws = Random(f"{self._seed}|callback|{key}")  # noqa: S311 - a simulation
        held, fault = draws.random() * window, _draw(draws, self._callback_limits)
        if fault is not None:
            self.dealt[fault] += 1
        late = self._faults.callback_delay_seconds if fault is CallbackFault.DELAYED else 0.0
        return CallbackFate(fault, held + late)

    def _set(self, faults: Faults) -> None:
        self._faults = faults
        self._callback_limits = _limits(faults, CallbackFault)
        self._create_limits = _limits(faults, CreateFault)
        self._read_limits = _limits(faults, ReadFault)


def _limits(faults: Faults, kinds: type[Kind]) -> list[tuple[float, Kind]]:
    """Give the upper limits of each fault's numbers between 0 and 1; nothing where nothing can go wrong."""
    shares = [(faults.share_of(fault), fault) for fault in kinds]
    possible = [(share, fault) for share, fault in shares if share]
    sums = accumulate(share for share, _ in possible)
    return [(limit, fault) for limit, (_, fault) in zip(sums, possible, strict=True)]


def _draw(random: Random, limits: list[tuple[float, Kind]]) -> Kind | None:
    if not limits:
        return None
    drawn = random.random()
    return next((fault for limit, fault in limits if drawn < limit), None)
