"""Answers about single messages, days and passes, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain.phone import mask_number
from twilio_campaigns.warehouse.insight.answers import RunRow, filled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message in a list; the number is whole or masked, as was asked for."""

    message_key: UUID
    message_sid: str | None
    campaign_id: str
    run_key: str
    customer_id: str | None
    to_number: str | None
    country: str | None
    channel: str
    sender: str
    batch_no: int | None
    send_state: str
    skip_reason: str | None
    delivery_state: str
    status: str | None
    status_code: int | None
    claimed_at: datetime | None
    accepted_at: datetime | None


#: Columns of view `message_status` that a :class:`MessageRow` has.
MESSAGE_COLUMNS: Final = ", ".join(MessageRow.__slots__)


def message_row(row: Mapping[str, Any], *, mask: bool) -> MessageRow:
    """Make a message of its row, its number whole only where that was asked for."""
    number = row["to_number"]
    return filled(MessageRow, row, to_number=mask_number(number) if mask else number)


@dataclass(frozen=True, slots=True)
class PassRow:
    """One reconcile pass over one day.

    :param complete: whether everything was read.
    :param error: why not.
    """

    pass_id: UUID
    day: date
    full_read: bool
    started_at: datetime
    finished_at: datetime | None
    complete: bool
    api_calls: int
    list_pages: int
    fetches: int
    observed: int
    changed: int
    events_written: int
    settled: int
    open_left: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One batch of a run: its messages by `send_state`, and the accepted ones by `delivery_state`.

    :param undecided: of the unknown ones those that a person has to look at.
    :param open: accepted ones that may still change, those `sent` among them.
    """

    batch_no: int
    planned: int
    claimed: int
    unknown: int
    undecided: int
    accepted: int
    enqueue_failed: int
    skipped: int
    too_late: int
    held_out: int
    sent: int
    delivered: int
    failed: int
    rejected: int
    unreported: int
    open: int
    first_claimed_at: datetime | None
    last_claimed_at: datetime | None

    @property
    def messages(self) -> int:
        """All of the batch."""
        sent = self.planned + self.claimed + self.unknown + self.accepted + self.enqueue_failed
        return sent + self.skipped + self.too_late + self.held_out


@dataclass(frozen=True, slots=True)
class RunDay:
    """One reconcile day of a run.

    :param messages: accepted ones of the run.
    :param open: of them those that are not settled.
    :param last_pass_at: start of the day's last complete pass.
    :param full_read_at: start of the last pass that read the whole day.
    :param closed_at: when nothing was left to do for it.
    """

    day: date
    messages: int
    open: int
    last_pass_at: datetime | None
    full_read_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunDetail:
    """Everything about one run.

    :param resumed_at: when it last went on after a pause, or was sent late on purpose.
    :param lateness_waived_at: when somebody decided to send it although it came too late.
    :param spec: the campaign as it was frozen; `None` before.
    :param unknowns: messages whose answer got lost, the oldest claim first, at most a hundred.
    :param days: the newest first.
    :param passes: the latest fifty over those days, the newest first.
    """

    run: RunRow
    resumed_at: datetime | None
    lateness_waived_at: datetime | None
    spec: dict[str, Any] | None
    batches: list[BatchRow]
    unknowns: list[MessageRow]
    days: list[RunDay]
    passes: list[PassRow]
