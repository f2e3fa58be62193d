"""Answers about campaigns and runs, as values. Times are UTC, money positive, rates from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta
    from decimal import Decimal

Answer = TypeVar("Answer")


def filled(kind: type[Answer], row: Mapping[str, Any], **more: Any) -> Answer:  # noqa: ANN401 - whatever it takes
    """Make a value of the columns of a row that have its fields' names."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{**{name: value for name, value in row.items() if name in names}, **more})


def share(part: int, whole: int) -> float | None:
    """Give a rate; ``None`` where there is nothing to divide by."""
    return part / whole if whole else None


@dataclass(frozen=True, slots=True)
class Counts:
    """The funnel, cumulative: a delivered message is also sent and enqueued. Names as in view `campaign_performance`.

    :param audience: rows that the segment gave.
    :param excluded: of them not texted.
    :param planned: of them to be texted.
    :param waiting: planned rows not handed to Twilio yet.
    :param unknown: rows whose answer was lost and is being looked up.
    :param undecided: of the unknown ones those that a person has to look at.
    :param enqueued: accepted by Twilio.
    :param enqueue_failed: refused at once, or never known.
    :param unreported: their window closed without a final status.
    :param open: accepted messages that may still change.
    :param settled: messages that nobody asks Twilio for any more.
    :param clicked: messages of which a person opened a link.
    :param arrived: known to have arrived: delivered, or clicked.
    :param clicks: clicks by people.
    :param replies: what people wrote back.
    :param opt_outs: replies that said STOP.
    :param parts: text segments by Twilio's count.
    :param reporting_enqueued: enqueued to countries whose carriers send receipts.
    :param reporting_delivered: delivered there.
    """

    audience: int = 0
    excluded: int = 0
    planned: int = 0
    too_late: int = 0
    held_out: int = 0
    waiting: int = 0
    unknown: int = 0
    undecided: int = 0
    enqueued: int = 0
    enqueue_failed: int = 0
    sent: int = 0
    delivered: int = 0
    failed: int = 0
    rejected: int = 0
    unreported: int = 0
    open: int = 0
    settled: int = 0
    clicked: int = 0
    arrived: int = 0
    clicks: int = 0
    replies: int = 0
    opt_outs: int = 0
    parts: int = 0
    reporting_enqueued: int = 0
    reporting_delivered: int = 0

    @property
    def refused(self) -> int:
        """Refused at once or later, so that number senders and service senders compare."""
        return self.enqueue_failed + self.rejected

    @property
    def delivery_rate(self) -> float | None:
        """Delivered of what was enqueued."""
        return share(self.delivered, self.enqueued)

    @property
    def delivery_rate_with_receipts(self) -> float | None:
        """The same over countries whose carriers send receipts."""
        return share(self.reporting_delivered, self.reporting_enqueued)

    @property
    def click_rate(self) -> float | None:
        """Messages clicked of those that are known to have arrived."""
        return share(self.clicked, self.arrived)


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """How many messages reached a status within one step."""

    starts_at: datetime
    status: str
    messages: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """Statuses over time; steps in which nothing happened are left out.

    :param step: five minutes, an hour or a day, whatever suits the span.
    """

    step: timedelta
    points: list[TimelinePoint]


@dataclass(frozen=True, slots=True)
class CountryFigures:
    """Delivery in one country.

    :param country: `None` where the numbers tell none.
    :param sends_receipts: false where carriers report nothing: a low delivery rate there says nothing.
    :param price: in `price_unit`; both `None` where nothing is billed yet, or in several currencies.
    :param median_seconds: from acceptance to the report of delivery.
    """

    country: str | None
    sends_receipts: bool
    planned: int
    enqueued: int
    enqueue_failed: int
    sent: int
    delivered: int
    failed: int
    rejected: int
    unreported: int
    open: int
    parts: int
    price: Decimal | None
    price_unit: str | None
    median_seconds: float | None

    @property
    def delivery_rate(self) -> float | None:
        """Delivered of what was enqueued."""
        return share(self.delivered, self.enqueued)


@dataclass(frozen=True, slots=True)
class ErrorFigures:
    """One error: what it means, what to do, and how many messages met it.

    :param status: `enqueue_failed`, `failed` or `rejected`.
    :param error: stable name of the code.
    :param comment: what it means and what to do.
    :param countries: the five with the most messages.
    :param documentation: Twilio's own page about the code.
    """

    status: str
    status_code: int | None
    error: str | None
    comment: str | None
    messages: int
    countries: list[str]
    documentation: str | None


@dataclass(frozen=True, slots=True)
class DelayBucket:
    """Messages whose delivery took this long: from the first figure up to, not including, the second."""

    from_seconds: float
    to_seconds: float
    messages: int


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds from acceptance by Twilio to the report of delivery; see :mod:`twilio_campaigns.domain.delays`.

    :param messages: delivered ones.
    :param median: at most 5 % or half a second from the truth, as is `p95`.
    """

    messages: int
    median: float | None
    p95: float | None
    buckets: list[DelayBucket]


@dataclass(frozen=True, slots=True)
class Cost:
    """What accepted messages cost, in one currency.

    :param currency: ISO 4217; `None` for those that Twilio has not billed yet.
    :param priced: messages billed.
    :param unpriced: accepted messages not billed yet.
    """

    currency: str | None
    price: Decimal
    priced: int
    unpriced: int
    parts: int


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Whom an audience left out.

    :param reason: `skip_reason`.
    :param comment: what it means and what to do.
    """

    reason: str
    messages: int
    comment: str


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to choose from."""

    countries: list[str]
    senders: list[str]


@dataclass(frozen=True, slots=True)
class AsOf:
    """What figures over several runs hold for.

    :param at: nothing that happened before is missing, of runs that were ever counted; `None` where none was.
    :param uncounted: runs that were never counted, and are in no figure.
    :param pending: whether something has happened that is in no figure yet.
    """

    at: datetime | None
    uncounted: int
    pending: bool


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run and its figures.

    :param state_reason: why somebody or something changed the state last.
    :param state_changed_by: a person, or the circuit breaker.
    :param price: in `price_unit`; both `None` where nothing is billed yet, or in several currencies.
    :param refreshed_at: what the figures hold for; `None` before the first summary, when they are zero.
    """

    run_key: str
    campaign_id: str
    dag_id: str
    dag_run_id: str
    state: str
    state_reason: str | None
    state_changed_by: str | None
    state_changed_at: datetime | None
    logical_date: datetime | None
    created_at: datetime
    finished_at: datetime | None
    sender: str | None
    channel: str | None
    counts: Counts
    price: Decimal | None
    price_unit: str | None
    refreshed_at: datetime | None


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """One campaign.

    :param runs: how many it has had.
    :param counts: over all of them.
    """

    campaign_id: str
    runs: int
    last_run: RunRow
    counts: Counts
