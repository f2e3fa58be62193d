"""How long a run will take to send, known before it sends anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from twilio_campaigns.domain.exceptions import AudienceError

#: How long Twilio keeps a message in a sender's queue unless told otherwise: 10 hours (errors 21611, 30001, 30036).
LONGEST_QUEUE: Final = timedelta(hours=10)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What sending an audience will take.

    :param messages: recipients.
    :param parts: text segments of all their messages, by our own count.
    :param parts_ahead: what other runs still have to send through the same sender.
    :param parts_per_second: at which we hand over.
    :param released_per_second: at which Twilio passes on.
    """

    messages: int
    parts: int
    parts_ahead: int
    parts_per_second: float
    released_per_second: float

    @property
    def takes(self) -> timedelta:
        """How long after the freeze the last message is handed over."""
        return timedelta(seconds=(self.parts + self.parts_ahead) / self.parts_per_second)

    @property
    def queues_for(self) -> timedelta:
        """How long the last message then waits in Twilio's queue."""
        behind = (self.parts + self.parts_ahead) / self.released_per_second - self.takes.total_seconds()
        return timedelta(seconds=max(0.0, behind))

    def problem(self, *, send_within: timedelta, validity: timedelta | None) -> tuple[str, str] | None:
        """Say why an audience cannot be reached in time, and what to do; `None` if it can.

        :param send_within: after the freeze nothing is handed over later than this.
        :param validity: when Twilio gives up on a queued message; `None` is Twilio's own 10 hours.
        """
        if self.takes > send_within:
            why = f"{self} That is longer than send_within ({_words(send_within)}), so the rest would never go out."
            return why, "Raise send_within, use a faster sender, or make the segment smaller"
        longest = validity or LONGEST_QUEUE
        if self.queues_for > longest:
            why = (
                f"{self} The last message would wait {_words(self.queues_for)} in Twilio's queue, which gives up after "
                f"{_words(longest)} (errors 21611, 30001, 30036)."
            )
            return why, "Lower the sender's parts_per_second, or make the segment smaller"
        return None

    def check(self, *, send_within: timedelta, validity: timedelta | None) -> None:
        """Refuse an audience that cannot be reached in time; better nobody than an unknown part of it.

        :param send_within: as for :meth:`problem`.
        :param validity: the same.
        :raises AudienceError: with the figures and what to do.
        """
        if found := self.problem(send_within=send_within, validity=validity):
            why, remedy = found
            raise AudienceError(f"{why} Nobody was planned. {remedy}; then clear this task.")

    def __str__(self) -> str:
        """Say it in one sentence, for whoever has to be told why not."""
        ahead = f", {self.parts_ahead:,} parts of other runs before or beside them" if self.parts_ahead else ""
        return (
            f"{self.messages:,} messages of {self.parts:,} parts at {self.parts_per_second:g} parts/s{ahead}: "
            f"{_words(self.takes)} until the last one is handed over."
        )


def _words(duration: timedelta) -> str:
    return str(timedelta(seconds=round(duration.total_seconds())))
