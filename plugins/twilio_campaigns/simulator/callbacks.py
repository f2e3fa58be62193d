"""Status callbacks: Twilio tells of every change of a message's status, as soon as its clock says that it happened.

One heap holds, for each message that wants callbacks, the change that it tells next. A timer waits for the first of
all; when the clock jumps, everything that it has passed is due at once, in the order in which it happened. As long as
nobody asks for callbacks there is neither timer nor entry.

A message's callbacks leave in their order: the next one waits until the first try of the one before has been answered.
Only a callback that is lost, held back or shuffled on purpose lets others pass. Twilio itself promises no order.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

from twilio_campaigns.simulator.answers import API_VERSION, iso
from twilio_campaigns.simulator.faults import CallbackFault
from twilio_campaigns.simulator.sender import Webhook

if TYPE_CHECKING:
    from collections.abc import Callable

    from twilio_campaigns.simulator.clock import Clock
    from twilio_campaigns.simulator.faults import FaultDealer
    from twilio_campaigns.simulator.sender import Sender
    from twilio_campaigns.simulator.store import Message

#: Changes that come due before requests get their turn again.
_AT_A_TIME: Final = 500
#: Longest real seconds between two looks at the clock.
_LONGEST: Final = 3600.0
#: One report in so many has no `RawDlrDoneDate`.
_UNDATED: Final = 10


class StatusCallbacks:
    """The status callbacks of one account.

    :param account_sid: the account.
    :param clock: tells when a change is due.
    :param faults: deals what goes wrong with callbacks.
    :param sender: posts them.
    """

    def __init__(self, account_sid: str, clock: Clock, faults: FaultDealer, sender: Sender) -> None:
        self._account_sid = account_sid
        self._clock = clock
        self._faults = faults
        self._sender = sender
        self._timer: asyncio.TimerHandle | None = None
        self._waits_for = 0.0
        self._held: set[asyncio.TimerHandle] = set()
        self.reset()

    def reset(self) -> None:
        """Forget every change that is to be told."""
        self.close()
        self._heap: list[tuple[float, int, Message, int]] = []
        self._order = count()
        self._canceled = 0
        self.counts: Counter[str] = Counter()

    def close(self) -> None:
        """Stop all timers."""
        for timer in (self._timer, *self._held):
            if timer is not None:
                timer.cancel()
        self._timer = None
        self._held.clear()

    def created(self, message: Message) -> None:
        """Tell of a new message's changes, where it has a URL for them; its first status is in the answer."""
        if message.status_callback is not None:
            self._plan(message, 0)

    def canceled(self, message: Message) -> None:
        """Tell that a message was canceled, instead of what would have become of it."""
        if message.status_callback is not None:
            self._canceled += 1
            self._plan(message, 0)

    def clock_changed(self) -> None:
        """Look at the clock again: it has jumped, or runs at another speed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wait()

    def status(self) -> dict[str, Any]:
        """Tell how far the callbacks are.

        `pending` counts webhooks that have not ended, `planned` messages with changes to tell, whose first comes at
        `next_due` on the clock; it is `quiet` where nothing is under way until then.
        """
        counts = {name: self.counts[name] for name in ("due", "lost", "forged", "delayed")}
        pending, next_due = len(self._held) + self._sender.pending, self._heap[0][0] if self._heap else None
        return {
            **counts,
            "pending": pending,
            "planned": len(self._heap) - self._canceled,
            "next_due": iso(next_due),
            "quiet": not pending and (next_due is None or next_due > self._clock.now()),
        }

    def _plan(self, message: Message, step: int) -> None:
        changes = changes_of(message)
        if step < len(changes):
            heappush(self._heap, (changes[step][0], next(self._order), message, step))
            self._wait()

    def _wait(self) -> None:
        """Set the timer to the first change, unless it is set early enough."""
        if not self._heap:
            return
        first = self._heap[0][0]
        if self._timer is not None:
            if self._waits_for <= first:
                return
            self._timer.cancel()
        seconds = min(max(self._clock.real_seconds_until(first), 0.0), _LONGEST)
        self._timer, self._waits_for = asyncio.get_running_loop().call_later(seconds, self._come_due), first

    def _come_due(self) -> None:
        self._timer, now = None, self._clock.now()
        for _ in range(_AT_A_TIME):
            if not self._heap or self._heap[0][0] > now:
                break
            moment, _order, message, step = heappop(self._heap)
            if message.canceled_at not in {None, moment}:
                self._canceled -= 1  # planned before it was canceled
                continue
            self._tell(message, changes_of(message)[step][1], moment, step)
        self._wait()

    def _tell(self, message: Message, status: str, moment: float, step: int) -> None:
        self.counts["due"] += 1
        fate = self._faults.for_callback(f"{message.sid}|{status}")
        then = partial(self._plan, message, step + 1)
        if fate.fault is CallbackFault.LOST:
            self.counts["lost"] += 1
            then()
            return
        self.counts["forged"] += fate.fault is CallbackFault.FORGED
        self.counts["delayed"] += fate.fault is CallbackFault.DELAYED
        send = partial(self._send, message, status, moment, forged=fate.fault is CallbackFault.FORGED)
        if not fate.held_seconds:
            send(then)
            return
        self._hold(fate.held_seconds, send)
        then()

    def _hold(self, seconds: float, send: Callable[[], None]) -> None:
        def let_go() -> None:
            self._held.discard(timer)
            send()

        timer = asyncio.get_running_loop().call_later(seconds, let_go)
        self._held.add(timer)

    def _send(
        self,
        message: Message,
        status: str,
        moment: float,
        first_try_ended: Callable[[], None] | None = None,
        *,
        forged: bool,
    ) -> None:
        form = status_form(message, status, moment, self._account_sid)
        for copy in range(self._faults.faults.callback_copies):
            token = str(uuid5(NAMESPACE_URL, f"{message.sid}|{status}|{copy}"))
            webhook = Webhook(str(message.status_callback), form, token, forged=forged)
            self._sender.post(webhook, first_try_ended if copy == 0 else None)


def changes_of(message: Message) -> list[tuple[float, str]]:
    """Give the changes of a message's status that Twilio tells of, and when they happen.

    Not the first status, and not `sending`: queued after accepted or scheduled, then sent or failed, then delivered or
    undelivered; or canceled.
    """
    if message.canceled_at is not None:
        return [(message.canceled_at, "canceled")]
    begins_at, life = message.begins_at, message.life
    changes = []
    if begins_at > message.created_at:
        changes.append((begins_at, "queued"))
    elif message.picked_later:
        changes.append((begins_at + life.queued, "queued"))
    if life.sent is not None:
        changes.append((begins_at + life.sent, "sent"))
    if life.final is not None:
        changes.append((begins_at + life.final, life.final_status))
    return changes


def status_form(message: Message, status: str, moment: float, account_sid: str) -> dict[str, str]:
    """Give the fields of a status callback.

    `RawDlrDoneDate` is on most reports only, to the minute, without a time zone.
    """
    form = {
        "MessageSid": message.sid,
        "SmsSid": message.sid,
        "MessageStatus": status,
        "SmsStatus": status,
        "AccountSid": account_sid,
        "To": message.to,
        "ApiVersion": API_VERSION,
    }
    if message.from_ is not None and not (message.picked_later and status == "canceled"):
        form["From"] = message.from_
    if message.service is not None:
        form["MessagingServiceSid"] = message.service
    if status in {"failed", "undelivered"} and message.life.code is not None:
        form["ErrorCode"] = str(message.life.code)
    if status in {"delivered", "undelivered"} and int(message.sid[-4:], 16) % _UNDATED:
        form["RawDlrDoneDate"] = f"{datetime.fromtimestamp(moment, UTC):%y%m%d%H%M}"
    return form
