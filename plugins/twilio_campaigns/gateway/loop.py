"""The event loop in which Twilio is spoken to: libuv's, which takes a third less time per request than Python's own."""

from __future__ import annotations

import asyncio
import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

Answer = TypeVar("Answer")

#: New objects after which Python looks for cycles, and how often it then looks among older ones.
RARELY: Final = (20_000, 20, 20)
#: Seconds after which a thread hands over to another one (Python's "switch interval"), where requests have to leave on
#: time.
REQUESTS_INTERVAL: Final = 0.0005
#: The same where rows are the work: each change of threads costs what the processor's caches hold.
ROWS_INTERVAL: Final = 0.02


def run(work: Coroutine[Any, Any, Answer], *, switch_interval: float = REQUESTS_INTERVAL) -> Answer:
    """Run a coroutine to its end in a loop of its own; as :func:`asyncio.run`.

    :param switch_interval: seconds for which another thread may keep the loop waiting.
    :raises RuntimeError: in a thread that has a running loop already.
    """
    with rare_collections(), _turns_of(switch_interval), asyncio.Runner(loop_factory=_factory()) as runner:
        return runner.run(work)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Look for cycles rarely, and never among what was there before; for processes that do nothing else.

    Requests make objects by the hundred, so Python would look often, and each time through all modules too, Airflow's
    included: an eighth of the time per message.
    """
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*RARELY)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@contextmanager
def _turns_of(interval: float) -> Iterator[None]:
    """Let the loop have its turn as often as its work needs while other threads encode and decode rows.

    Python lets a thread go on for 5 ms before another one gets its turn: time for twenty requests, and not for a page.
    """
    usual = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Give what makes uvloop's loops, where uvloop exists: not on Windows."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
