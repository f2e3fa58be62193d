"""Tables of the first version.

Revision ID: 0001
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audience_staging",
        sa.Column("freeze_id", sa.Uuid(), nullable=False),
        sa.Column("row_no", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("input_number", sa.Text(), nullable=True),
        sa.Column("to_number", sa.Text(), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("media_urls", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("content_sid", sa.Text(), nullable=True),
        sa.Column("content_variables", sa.Text(), nullable=True),
        sa.Column("estimated_parts", sa.SmallInteger(), nullable=False),
        sa.Column("skip_reason", sa.Text(), nullable=True),
        sa.Column("staged_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        comment="Rows on their way from a segment to the ledger; emptied by the freeze that wrote them.",
        prefixes=["UNLOGGED"],
    )
    op.create_index("ix_audience_staging_freeze_id", "audience_staging", ["freeze_id"], unique=False)
    op.create_table(
        "campaign_events",
        sa.Column("event_id", sa.Uuid(), nullable=False, comment="Deterministic from message and status."),
        sa.Column("event_name", sa.Text(), server_default=sa.text("'campaign'"), nullable=False),
        sa.Column("action_type", sa.Text(), nullable=False, comment="sms or mms."),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("number_of_message_parts", sa.SmallInteger(), nullable=True),
        sa.Column("status_code", sa.Integer(), nullable=True, comment="Twilio's error code."),
        sa.Column("error", sa.Text(), nullable=True, comment="Stable snake_case name of the code."),
        sa.Column("comment", sa.Text(), nullable=True, comment="What the code means and what to do."),
        sa.Column(
            "occurred_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="By Twilio's clock; may only move earlier.",
        ),
        sa.Column(
            "recorded_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="By our clock.",
        ),
        sa.Column("campaign_id", sa.Text(), nullable=True),
        sa.Column("run_key", sa.Text(), nullable=True),
        sa.Column("message_key", sa.Uuid(), nullable=True),
        sa.Column("message_sid", sa.Text(), nullable=True),
        sa.Column("customer_id", sa.Text(), nullable=True),
        sa.Column("to_number", sa.Text(), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("tracked_on", sa.Date(), nullable=True),
        sa.Column("provider_status", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False, comment="send, list, fetch or webhook."),
        sa.CheckConstraint("action_type in ('sms', 'mms')", name=op.f("ck_campaign_events_action_type")),
        sa.CheckConstraint("source in ('send', 'list', 'fetch', 'webhook')", name=op.f("ck_campaign_events_source")),
        sa.CheckConstraint(
            "status in ('enqueued', 'enqueue_failed', 'sent', 'delivered', 'failed', 'rejected', 'incoming_message', 'clicked')",
            name=op.f("ck_campaign_events_status"),
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_campaign_events")),
        comment="Append-only: one row per message and status it reached, one per click.",
    )
    op.create_index(
        "ix_campaign_events_campaign_id_occurred_at",
        "campaign_events",
        ["campaign_id", "occurred_at"],
        unique=False,
    )
    op.create_index("ix_campaign_events_message_key", "campaign_events", ["message_key"], unique=False)
    op.create_index("ix_campaign_events_tracked_on", "campaign_events", ["tracked_on"], unique=False)
    op.create_table(
        "campaign_runs",
        sa.Column("run_key", sa.Text(), nullable=False, comment="campaign_id/logical date, or campaign_id/run_id."),
        sa.Column("campaign_id", sa.Text(), nullable=False, comment="Name of the campaign's file."),
        sa.Column(
            "logical_date",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Airflow's logical date; empty for runs made without one.",
        ),
        sa.Column("dag_id", sa.Text(), nullable=False),
        sa.Column("dag_run_id", sa.Text(), nullable=False),
        sa.Column(
            "spec",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="The campaign as it was when the audience was frozen, SQL text included.",
        ),
        sa.Column(
            "audience_rows",
            sa.Integer(),
            nullable=True,
            comment="Rows that the segment gave, excluded ones included.",
        ),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "finished_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When no row of the run was left to send.",
        ),
        sa.CheckConstraint(
            "state in ('freezing', 'sending', 'paused', 'stopped', 'too_late', 'done')",
            name=op.f("ck_campaign_runs_state"),
        ),
        sa.PrimaryKeyConstraint("run_key", name=op.f("pk_campaign_runs")),
        comment="One row per campaign run: one DAG run's sending. Counts are in the views.",
    )
    op.create_index(
        "ix_campaign_runs_campaign_id_created_at",
        "campaign_runs",
        ["campaign_id", "created_at"],
        unique=False,
    )
    op.create_table(
        "inbound_messages",
        sa.Column("message_sid", sa.Text(), nullable=False),
        sa.Column("from_number", sa.Text(), nullable=False),
        sa.Column("to_number", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("messaging_service_sid", sa.Text(), nullable=True),
        sa.Column("number_of_message_parts", sa.SmallInteger(), nullable=True),
        sa.Column("received_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column(
            "recorded_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column(
            "message_key",
            sa.Uuid(),
            nullable=True,
            comment="Last campaign message that this number had before it wrote.",
        ),
        sa.PrimaryKeyConstraint("message_sid", name=op.f("pk_inbound_messages")),
        comment="What people wrote to us.",
    )
    op.create_table(
        "messages",
        sa.Column("message_key", sa.Uuid(), nullable=False, comment="Ours; deterministic from run and number."),
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False, comment="Airflow connection of the Twilio account."),
        sa.Column("customer_id", sa.Text(), nullable=True, comment="The segment's id of the person."),
        sa.Column("input_number", sa.Text(), nullable=True, comment="The number as the segment gave it."),
        sa.Column("to_number", sa.Text(), nullable=True, comment="E.164; empty where the input is no number."),
        sa.Column("country", sa.String(length=2), nullable=True, comment="ISO 3166-1 alpha-2."),
        sa.Column("time_zone", sa.Text(), nullable=True, comment="IANA name, where the number tells it."),
        sa.Column("channel", sa.Text(), nullable=False, comment="sms or mms."),
        sa.Column("sender", sa.Text(), nullable=False, comment="Sender profile."),
        sa.Column(
            "from_number",
            sa.Text(),
            nullable=True,
            comment="Number that sent it; with a Messaging Service known after sending.",
        ),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("media_urls", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("content_sid", sa.Text(), nullable=True, comment="Content template, if one is used."),
        sa.Column("content_variables", sa.Text(), nullable=True, comment="JSON object of the template's variables."),
        sa.Column("estimated_parts", sa.SmallInteger(), nullable=False, comment="Text segments by our own count."),
        sa.Column("batch_no", sa.Integer(), nullable=True),
        sa.Column("send_state", sa.Text(), nullable=False),
        sa.Column("skip_reason", sa.Text(), nullable=True, comment="Why this row of the audience is not texted."),
        sa.Column(
            "send_before",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Never claimed after this moment.",
        ),
        sa.Column("claim_id", sa.Uuid(), nullable=True, comment="The lease under which it was posted."),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False, comment="Claims."),
        sa.Column("claimed_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column(
            "resolve_after",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Before this moment absence from Twilio's list proves nothing.",
        ),
        sa.Column("message_sid", sa.Text(), nullable=True, comment="Twilio's id."),
        sa.Column("sid_source", sa.Text(), nullable=True, comment="answer, callback or lookup."),
        sa.Column(
            "accepted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Twilio's date_created.",
        ),
        sa.Column(
            "tracked_on",
            sa.Date(),
            nullable=True,
            comment="Reconcile day: the UTC day of acceptance by Twilio's clock.",
        ),
        sa.Column(
            "tracking_closes_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="We do not look after it by ourselves after this moment.",
        ),
        sa.Column("provider_status", sa.Text(), nullable=True, comment="Twilio's own word."),
        sa.Column("status", sa.Text(), nullable=True, comment="Greatest status known."),
        sa.Column("status_code", sa.Integer(), nullable=True, comment="Twilio's error code."),
        sa.Column(
            "number_of_message_parts",
            sa.SmallInteger(),
            nullable=True,
            comment="Text segments by Twilio's count.",
        ),
        sa.Column("sent_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="Twilio's date_sent."),
        sa.Column(
            "final_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the final status was reached.",
        ),
        sa.Column(
            "price",
            sa.Numeric(precision=12, scale=5),
            nullable=True,
            comment="Positive, in price_unit; empty until Twilio bills.",
        ),
        sa.Column("price_unit", sa.Text(), nullable=True, comment="ISO 4217."),
        sa.Column(
            "settled_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="From here on no further read is planned.",
        ),
        sa.CheckConstraint(
            "(send_state = 'accepted') = (message_sid is not null)", name=op.f("ck_messages_accepted_has_sid")
        ),
        sa.CheckConstraint(
            "(send_state = 'skipped') = (skip_reason is not null)",
            name=op.f("ck_messages_skipped_has_reason"),
        ),
        sa.CheckConstraint(
            "send_state in ('planned', 'claimed', 'accepted', 'enqueue_failed', 'unknown', 'skipped', 'too_late', 'held_out')",
            name=op.f("ck_messages_send_state"),
        ),
        sa.CheckConstraint("sid_source in ('answer', 'callback', 'lookup')", name=op.f("ck_messages_sid_source")),
        sa.CheckConstraint(
            "status in ('enqueued', 'enqueue_failed', 'sent', 'delivered', 'failed', 'rejected', 'incoming_message', 'clicked')",
            name=op.f("ck_messages_status"),
        ),
        sa.CheckConstraint("price >= 0", name=op.f("ck_messages_price_positive")),
        sa.PrimaryKeyConstraint("message_key", name=op.f("pk_messages")),
        sa.UniqueConstraint("message_sid", name=op.f("uq_messages_message_sid")),
        comment="The ledger: one row per intended message, written before anything is sent.",
    )
    op.create_index(
        "ix_messages_claimed",
        "messages",
        ["claimed_at"],
        unique=False,
        postgresql_where=sa.text("send_state in ('claimed', 'unknown')"),
    )
    op.create_index(
        "ix_messages_open",
        "messages",
        ["tracked_on", "connection"],
        unique=False,
        postgresql_where=sa.text("send_state = 'accepted' and settled_at is null"),
    )
    op.create_index(
        "ix_messages_planned",
        "messages",
        ["run_key", "batch_no", "message_key"],
        unique=False,
        postgresql_where=sa.text("send_state = 'planned'"),
    )
    op.create_index("ix_messages_run_key_send_state", "messages", ["run_key", "send_state"], unique=False)
    op.create_index("ix_messages_to_number_claimed_at", "messages", ["to_number", "claimed_at"], unique=False)
    op.create_index("ix_messages_tracked_on", "messages", ["tracked_on"], unique=False)
    op.create_index(
        "uq_messages_run_key_to_number",
        "messages",
        ["run_key", "to_number"],
        unique=True,
        postgresql_where=sa.text("send_state <> 'skipped'"),
    )
    op.create_table(
        "reconcile_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column(
            "leased_until",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="A reader is at work; only saves calls.",
        ),
        sa.Column("lease_id", sa.Uuid(), nullable=True),
        sa.Column(
            "last_pass_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Start of the last complete pass.",
        ),
        sa.Column(
            "full_read_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Start of the last pass that read the whole day.",
        ),
        sa.Column(
            "closed_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the day's run found nothing left to do.",
        ),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_reconcile_days")),
        comment="One row per UTC day of acceptance.",
    )
    op.create_table(
        "reconcile_passes",
        sa.Column("pass_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("full_read", sa.Boolean(), nullable=False, comment="Whether the whole day was read."),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("complete", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("api_calls", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("list_pages", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("fetches", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "observed",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Observations of ours.",
        ),
        sa.Column(
            "changed",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Ledger rows changed.",
        ),
        sa.Column(
            "events_written",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="New or amended.",
        ),
        sa.Column("settled", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("open_left", sa.Integer(), nullable=True, comment="Rows of the day still open afterwards."),
        sa.Column("error", sa.Text(), nullable=True, comment="Why it is incomplete."),
        sa.PrimaryKeyConstraint("pass_id", name=op.f("pk_reconcile_passes")),
        comment="One row per reconcile pass: what it read, what it cost, what it changed.",
    )
    op.create_index("ix_reconcile_passes_day_started_at", "reconcile_passes", ["day", "started_at"], unique=False)
    op.create_table(
        "sender_throughput",
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column(
            "next_free_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="Everything before it is reserved.",
        ),
        sa.PrimaryKeyConstraint("sender", name=op.f("pk_sender_throughput")),
        comment="Reservations of sending capacity, shared by all tasks and workers.",
    )
    op.create_table(
        "stray_messages",
        sa.Column("message_sid", sa.Text(), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=True),
        sa.Column("message_key", sa.Uuid(), nullable=True, comment="The row that asked for it, if known."),
        sa.Column("to_number", sa.Text(), nullable=True),
        sa.Column("found_at", postgresql.TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("message_sid", name=op.f("pk_stray_messages")),
        comment="SIDs that belong to no ledger row for certain. Each one needs a person.",
    )
    op.create_table(
        "suppressions",
        sa.Column("to_number", sa.Text(), nullable=False, comment="E.164."),
        sa.Column("reason", sa.Text(), nullable=False, comment="opt_out, bad_number, manual …"),
        sa.Column("source", sa.Text(), nullable=False, comment="Who or what set it."),
        sa.Column(
            "suppressed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column(
            "lifted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="Set when the person came back; the row stays.",
        ),
        sa.PrimaryKeyConstraint("to_number", name=op.f("pk_suppressions")),
        comment="Numbers that no campaign texts while lifted_at is empty.",
    )
