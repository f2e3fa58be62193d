"""Summaries of runs for pages, and marks by which they are kept; people are found by their id.

Every run that is there is marked, so that its summary is made by whoever looks first.

Revision ID: 0007
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_COUNTRY = "ISO 3166-1 alpha-2; empty where the number tells none."
_COUNTERS = {
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


def upgrade() -> None:
    op.create_index("ix_messages_customer_id", "messages", ["customer_id"])
    # One batch of a large run is found without its others.
    op.drop_index("ix_messages_run_key_send_state", "messages")
    op.create_index("ix_messages_run_key_send_state_batch_no", "messages", ["run_key", "send_state", "batch_no"])
    op.create_index(
        "ix_campaign_events_responses",
        "campaign_events",
        ["run_key", "occurred_at"],
        postgresql_where=sa.text("status in ('clicked', 'incoming_message')"),
    )
    op.create_index("ix_reconcile_passes_started_at", "reconcile_passes", ["started_at"])
    op.create_table(
        "summary_marks",
        _column("run_key", sa.Text(), "The campaign run."),
        sa.Column(
            "marked_at",
            _MOMENT,
            nullable=False,
            server_default=sa.text("now()"),
            comment="When that transaction began.",
        ),
        comment="One row per run and transaction that changed it, until its summary is made anew. Never updated, so "
        "that nobody waits for anybody.",
    )
    op.create_table(
        "webhook_receipts",
        _column("kind", sa.Text(), "status, inbound or click."),
        _column("last_at", _MOMENT, "To ten seconds."),
        sa.PrimaryKeyConstraint("kind", name="pk_webhook_receipts"),
        comment="When the last webhook of each kind was written down.",
    )
    _create_runs()
    _create_figures()
    _create_batches_and_days()
    op.execute("insert into summary_marks (run_key) select run_key from campaign_runs")


def _create_runs() -> None:
    _create(
        "summary_runs",
        [
            _column("campaign_id", sa.Text(), "Name of the campaign's file."),
            _column("sender", sa.Text(), "Sender profile.", nullable=True),
            _column("channel", sa.Text(), "sms or mms.", nullable=True),
            _column("connection", sa.Text(), "Airflow connection of the Twilio account.", nullable=True),
            _column("refreshed_at", _MOMENT, "The summary says what was known then."),
            _column("took", sa.Float(), "Seconds that it took to make."),
            _column(
                "closes_at",
                _MOMENT,
                "When the window of an open message closes next: then it is out of date.",
                nullable=True,
            ),
        ],
        [],
        "One row per run that has a summary: since when it holds, and what it cost.",
    )
    op.create_index(
        "ix_summary_runs_closes_at", "summary_runs", ["closes_at"], postgresql_where=sa.text("closes_at is not null")
    )


def _create_figures() -> None:
    _create(
        "summary_counts",
        [
            _column("country", sa.Text(), _COUNTRY),
            _column("price_unit", sa.Text(), "ISO 4217; empty where nothing is billed yet."),
            *(_column(name, sa.Integer(), comment) for name, comment in _COUNTERS.items()),
            _column("parts", sa.BigInteger(), "Text segments by Twilio's count."),
            _column("price", sa.Numeric(18, 5), "What Twilio has billed so far, in price_unit."),
        ],
        ["country", "price_unit"],
        "The funnel of each run by country and currency: cumulative counts of messages.",
    )
    _create(
        "summary_reasons",
        [
            _column("country", sa.Text(), _COUNTRY),
            _column("status", sa.Text(), "skipped, enqueue_failed, failed or rejected: what the reason is for."),
            _column("status_code", sa.Integer(), "Twilio's error code; 0 for none.", autoincrement=False),
            _column("reason", sa.Text(), "skip_reason of what was left out; the error where no code is."),
            _column("messages", sa.Integer()),
        ],
        ["country", "status", "status_code", "reason"],
        "Why messages of a run were not sent or did not arrive, by country.",
    )
    _create(
        "summary_timeline",
        [
            _column("starts_at", _MOMENT, "Beginning of five minutes; of an hour after the first day."),
            _column("status", sa.Text()),
            _column("country", sa.Text(), _COUNTRY),
            _column("messages", sa.Integer(), "Messages that reached the status then; clicks; replies."),
        ],
        ["starts_at", "status", "country"],
        "Statuses of each run over time. A message counts once under its last status: one that failed and was "
        "delivered after all is delivered.",
    )
    _create(
        "summary_delays",
        [
            _column("country", sa.Text(), _COUNTRY),
            _column(
                "bucket",
                sa.SmallInteger(),
                "0: less than a second; n: from 1.1^(n-1) to less than 1.1^n seconds.",
                autoincrement=False,
            ),
            _column("messages", sa.Integer()),
        ],
        ["country", "bucket"],
        "Seconds from acceptance to the report of delivery, in buckets that grow by a tenth: medians over any choice "
        "of rows are within 5 % of the truth, or within half a second.",
    )
    _create(
        "summary_responses",
        [
            _column("country", sa.Text(), _COUNTRY),
            _column("clicks", sa.Integer(), "Clicks by people, repeated ones included."),
            _column("replies", sa.Integer(), "What people wrote back."),
            _column("opt_outs", sa.Integer(), "Of the replies those that said STOP."),
        ],
        ["country"],
        "What people did with the messages of each run.",
    )


def _create_batches_and_days() -> None:
    _create(
        "summary_batches",
        [
            _column("batch_no", sa.Integer(), autoincrement=False),
            _column("planned", sa.Integer(), "Rows that wait."),
            _column("claimed", sa.Integer(), "Rows that are being posted."),
            _column("unknown", sa.Integer(), "Rows whose answer was lost."),
            _column("undecided", sa.Integer(), "Of them those that a person has to look at."),
            _column("accepted", sa.Integer(), "Rows that Twilio took."),
            _column("enqueue_failed", sa.Integer(), "Rows that Twilio refused."),
            _column("skipped", sa.Integer(), "Rows left out after the freeze, after an opt-out for example."),
            _column("too_late", sa.Integer(), "Rows whose deadline passed."),
            _column("held_out", sa.Integer(), "Rows that are kept aside."),
            _column("sent", sa.Integer(), "Of the accepted ones those that left Twilio and wait for a receipt."),
            _column("delivered", sa.Integer(), "Of the accepted ones those that were delivered."),
            _column("failed", sa.Integer(), "Of the accepted ones those that could not be delivered."),
            _column("rejected", sa.Integer(), "Of the accepted ones those that were refused later."),
            _column("unreported", sa.Integer(), "Of the accepted ones those whose window closed without an end."),
            _column("open", sa.Integer(), "Of the accepted ones those that may still change."),
            sa.Column("first_claimed_at", _MOMENT, nullable=True),
            sa.Column("last_claimed_at", _MOMENT, nullable=True),
        ],
        ["batch_no"],
        "Batches of each run, by send_state.",
    )
    _create(
        "summary_days",
        [
            _column("tracked_on", sa.Date(), "Reconcile day."),
            _column("messages", sa.Integer(), "Accepted messages of the day."),
            _column("open", sa.Integer(), "Of them those that are not settled."),
        ],
        ["tracked_on"],
        "Reconcile days of each run.",
    )
    op.create_index("ix_summary_days_open", "summary_days", ["tracked_on"], postgresql_where=sa.text("open > 0"))


def _create(name: str, columns: list[sa.Column[Any]], key: list[str], comment: str) -> None:
    op.create_table(
        name,
        _column("run_key", sa.Text(), "The campaign run."),
        *columns,
        sa.PrimaryKeyConstraint("run_key", *key, name=f"pk_{name}"),
        comment=comment,
    )


def _column(
    name: str,
    kind: Any,  # noqa: ANN401 - a class of types, or one of it
    comment: str | None = None,
    **options: Any,  # noqa: ANN401 - what a column takes
) -> sa.Column[Any]:
    return sa.Column(name, kind, comment=comment, **{"nullable": False, **options})
