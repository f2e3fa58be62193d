"""Summaries of runs, so that a page reads a few hundred rows instead of a million messages.

They hold nothing that `messages`, `campaign_events` and `link_clicks` do not say, and are made anew from them, run by
run, by whoever writes there (`warehouse/insight/refreshing.py`). Nobody else writes them. Where a figure has no
country, code or currency the column is empty text or 0, so that it can be part of the key.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Float, Index, Integer, Numeric, SmallInteger, Table, Text, text

from twilio_campaigns.warehouse.tables.base import Moment, metadata

_RUN = "The campaign run."
_COUNTRY = "ISO 3166-1 alpha-2; empty where the number tells none."

#: Figures of a run that are sums over its messages; names as in view campaign_performance.
COUNTERS = {
    "audience": "Rows that the segment gave.",
    "excluded": "Rows that are not texted.",
    "planned": "Rows that were to be texted.",
    "too_late": "Planned rows that were not sent in time.",
    "held_out": "Planned rows that are kept aside.",
    "waiting": "Planned rows not handed to Twilio yet.",
    "unknown": "Rows whose answer was lost and is being looked up.",
    "undecided": "Of the unknown ones those that might be one of several messages at Twilio.",
    "enqueued": "Rows that Twilio accepted.",
    "enqueue_failed": "Rows that Twilio refused at once, or of which nobody ever learnt whether it took them.",
    "sent": "Messages that left Twilio.",
    "delivered": "Messages that the carrier reports as delivered.",
    "failed": "Messages that could not be delivered.",
    "rejected": "Messages that Twilio, a carrier or a policy refused.",
    "unreported": "Messages whose window closed without a final status.",
    "open": "Accepted messages that may still change.",
    "settled": "Messages that nobody asks Twilio for any more.",
    "clicked": "Messages of which a person opened a link.",
    "arrived": "Messages that are known to have arrived: delivered, or clicked.",
    "priced": "Messages that Twilio has billed.",
}

summary_marks = Table(
    "summary_marks",
    metadata,
    Column("run_key", Text, nullable=False, comment=_RUN),
    Column("marked_at", Moment, nullable=False, server_default=text("now()"), comment="When that transaction began."),
    comment="One row per run and transaction that changed it, until its summary is made anew. Never updated, so that "
    "nobody waits for anybody.",
)

summary_runs = Table(
    "summary_runs",
    metadata,
    Column("run_key", Text, primary_key=True, comment=_RUN),
    Column("campaign_id", Text, nullable=False, comment="Name of the campaign's file."),
    Column("sender", Text, comment="Sender profile."),
    Column("channel", Text, comment="sms or mms."),
    Column("connection", Text, comment="Airflow connection of the Twilio account."),
    Column("refreshed_at", Moment, nullable=False, comment="The summary says what was known then."),
    Column("took", Float, nullable=False, comment="Seconds that it took to make."),
    Column("closes_at", Moment, comment="When the window of an open message closes next: then it is out of date."),
    comment="One row per run that has a summary: since when it holds, and what it cost.",
)
Index("ix_summary_runs_closes_at", summary_runs.c.closes_at, postgresql_where=text("closes_at is not null"))

summary_counts = Table(
    "summary_counts",
    metadata,
    Column("run_key", Text, primary_key=True, comment=_RUN),
    Column("country", Text, primary_key=True, comment=_COUNTRY),
    Column("price_unit", Text, primary_key=True, comment="ISO 4217; empty where nothing is billed yet."),
    *(Column(name, Integer, nullable=False, comment=comment) for name, comment in COUNTERS.items()),
    Column("parts", BigInteger, nullable=False, comment="Text segments by Twilio's count."),
    Column("price", Numeric(18, 5), nullable=False, comment="What Twilio has billed so far, in price_unit."),
    comment="The funnel of each run by country and currency: cumulative counts of messages.",
)

summary_reasons = Table(
    "summary_reasons",
    metadata,
    Column("run_key", Text, primary_key=True, comment=_RUN),
    Column("country", Text, primary_key=True, comment=_COUNTRY),
    Column(
        "status", Text, primary_key=True, comment="skipped, enqueue_failed, failed or rejected: what the reason is for."
    ),
    Column("status_code", Integer, primary_key=True, autoincrement=False, comment="Twilio's error code; 0 for none."),
    Column("reason", Text, primary_key=True, comment="skip_reason of what was left out; the error where no code is."),
    Column("messages", Integer, nullable=False),
    comment="Why messages of a run were not sent or did not arrive, by country.",
)

summary_timeline = Table(
    "summary_timeline",
    metadata,
    Column("run_key", Text, primary_key=True, comment=_RUN),
    Column("starts_at", Moment, primary_key=True, comment="Beginning of five minutes; of an hour after the first day."),
    Column("status", Text, primary_key=True),
    Column("country", Text, primary_key=True, comment=_COUNTRY),
    Column("messages", Integer, nullable=False, comment="Messages that reached the status then; clicks; replies."),
    comment="Statuses of each run over time. A message counts once under its last status: one that failed and was "
    "delivered after all is delivered.",
)

summary_delays = Table(
    "summary_delays",
    metadata,
    Column("run_key", Text, primary_key=True, comment=_RUN),
    Column("country", Text, primary_key=True, comment=_COUNTRY),
    Column(
        "bucket",
        SmallInteger,
        primary_key=True,
        autoincrement=False,
        comment="0: less than a second; n: from 1.1^(n-1) to less than 1.1^n seconds.",
    ),
    Column("messages", Integer, nullable=False),
    comment="Seconds from acceptance to the report of delivery, in buckets that grow by a tenth: medians over any "
    "choice of rows are within 5 % of the truth, or within half a second.",
)

summary_batches = Table(
    "summary_batches",
    metadata,
    Column("run_key", Text, primary_key=True, comment=_RUN),
    Column("batch_no", Integer, primary_key=True, autoincrement=False),
    Column("planned", Integer, nullable=False, comment="Rows that wait."),
    Column("claimed", Integer, nullable=False, comment="Rows that are being posted."),
    Column("unknown", Integer, nullable=False, comment="Rows whose answer was lost."),
    Column("undecided", Integer, nullable=False, comment="Of them those that a person has to look at."),
    Column("accepted", Integer, nullable=False, comment="Rows that Twilio took."),
    Column("enqueue_failed", Integer, nullable=False, comment="Rows that Twilio refused."),
    Column("skipped", Integer, nullable=False, comment="Rows left out after the freeze, after an opt-out for example."),
    Column("too_late", Integer, nullable=False, comment="Rows whose deadline passed."),
    Column("held_out", Integer, nullable=False, comment="Rows that are kept aside."),
    Column(
        "sent", Integer, nullable=False, comment="Of the accepted ones those that left Twilio and wait for a receipt."
    ),
    Column("delivered", Integer, nullable=False, comment="Of the accepted ones those that were delivered."),
    Column("failed", Integer, nullable=False, comment="Of the accepted ones those that could not be delivered."),
    Column("rejected", Integer, nullable=False, comment="Of the accepted ones those that were refused later."),
    Column(
        "unreported", Integer, nullable=False, comment="Of the accepted ones those whose window closed without an end."
    ),
    Column("open", Integer, nullable=False, comment="Of the accepted ones those that may still change."),
    Column("first_claimed_at", Moment),
    Column("last_claimed_at", Moment),
    comment="Batches of each run, by send_state.",
)

summary_days = Table(
    "summary_days",
    metadata,
    Column("run_key", Text, primary_key=True, comment=_RUN),
    Column("tracked_on", Date, primary_key=True, comment="Reconcile day."),
    Column("messages", Integer, nullable=False, comment="Accepted messages of the day."),
    Column("open", Integer, nullable=False, comment="Of them those that are not settled."),
    comment="Reconcile days of each run.",
)
Index("ix_summary_days_open", summary_days.c.tracked_on, postgresql_where=text("open > 0"))

summary_responses = Table(
    "summary_responses",
    metadata,
    Column("run_key", Text, primary_key=True, comment=_RUN),
    Column("country", Text, primary_key=True, comment=_COUNTRY),
    Column("clicks", Integer, nullable=False, comment="Clicks by people, repeated ones included."),
    Column("replies", Integer, nullable=False, comment="What people wrote back."),
    Column("opt_outs", Integer, nullable=False, comment="Of the replies those that said STOP."),
    comment="What people did with the messages of each run.",
)
