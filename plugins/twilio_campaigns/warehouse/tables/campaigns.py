"""Runs, the ledger, and how fast it may be sent."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, JSONB

from twilio_campaigns.domain.status import RunState, SendState, Status
from twilio_campaigns.warehouse.tables.base import Moment, metadata, one_of

campaign_runs = Table(
    "campaign_runs",
    metadata,
    Column("run_key", Text, primary_key=True, comment="campaign_id/logical date, or campaign_id/run_id."),
    Column("campaign_id", Text, nullable=False, comment="Name of the campaign's file."),
    Column("logical_date", Moment, comment="Airflow's logical date; empty for runs made without one."),
    Column("dag_id", Text, nullable=False),
    Column("dag_run_id", Text, nullable=False),
    Column("spec", JSONB, comment="The campaign as it was when the audience was frozen, SQL text included."),
    Column("audience_rows", Integer, comment="Rows that the segment gave, excluded ones included."),
    Column("state", Text, nullable=False),
    Column("created_at", Moment, nullable=False, server_default=text("now()")),
    Column("finished_at", Moment, comment="When no row of the run was left to send."),
    Column("state_reason", Text, comment="Why somebody or something changed the state last."),
    Column("state_changed_by", Text, comment="A person's name, or circuit_breaker."),
    Column("state_changed_at", Moment),
    Column("resumed_at", Moment, comment="When it last went on after a pause, or was sent late on purpose."),
    Column("lateness_waived_at", Moment, comment="When somebody decided to send it although it came too late."),
    CheckConstraint(one_of("state", RunState), name="state"),
    comment="One row per campaign run: one DAG run's sending. Counts are in the views.",
)
Index("ix_campaign_runs_campaign_id_created_at", campaign_runs.c.campaign_id, campaign_runs.c.created_at)

messages = Table(
    "messages",
    metadata,
    Column("message_key", Uuid, primary_key=True, comment="Ours; deterministic from run and number."),
    Column("run_key", Text, nullable=False),
    Column("campaign_id", Text, nullable=False),
    Column("connection", Text, nullable=False, comment="Airflow connection of the Twilio account."),
    Column("customer_id", Text, comment="The segment's id of the person."),
    Column("input_number", Text, comment="The number as the segment gave it."),
    Column("to_number", Text, comment="E.164; empty where the input is no number."),
    Column("country", String(2), comment="ISO 3166-1 alpha-2."),
    Column("time_zone", Text, comment="IANA name, where the number tells it."),
    Column("channel", Text, nullable=False, comment="sms or mms."),
    Column("sender", Text, nullable=False, comment="Sender profile."),
    Column("from_number", Text, comment="Number that sent it; with a Messaging Service known after sending."),
    Column("body", Text),
    Column("media_urls", ARRAY(Text)),
    Column("content_sid", Text, comment="Content template, if one is used."),
    Column("content_variables", Text, comment="JSON object of the template's variables."),
    Column("estimated_parts", SmallInteger, nullable=False, comment="Text segments by our own count."),
    Column("batch_no", Integer),
    Column("send_state", Text, nullable=False),
    Column("skip_reason", Text, comment="Why this row of the audience is not texted."),
    Column("send_before", Moment, comment="Never claimed after this moment."),
    Column("claim_id", Uuid, comment="The lease under which it was posted."),
    Column("attempts", SmallInteger, nullable=False, server_default=text("0"), comment="Claims."),
    Column("claimed_at", Moment),
    Column("resolve_after", Moment, comment="Before this moment absence from Twilio's list proves nothing."),
    Column(
        "lookups",
        SmallInteger,
        nullable=False,
        server_default=text("0"),
        comment="Look-ups in a row that found no trace of it at Twilio.",
    ),
    Column("looked_up_at", Moment, comment="Last look-up of a message whose answer got lost."),
    Column("undecided_at", Moment, comment="Last look-up that found messages which it might be, and could not tell."),
    Column("message_sid", Text, unique=True, comment="Twilio's id."),
    Column("sid_source", Text, comment="answer, callback or lookup."),
    Column("accepted_at", Moment, comment="Twilio's date_created."),
    Column("tracked_on", Date, comment="Reconcile day: the UTC day of acceptance by Twilio's clock."),
    Column("tracking_closes_at", Moment, comment="We do not look after it by ourselves after this moment."),
    Column("provider_status", Text, comment="Twilio's own word."),
    Column("status", Text, comment="Greatest status known."),
    Column("status_code", Integer, comment="Twilio's error code."),
    Column("number_of_message_parts", SmallInteger, comment="Text segments by Twilio's count."),
    Column("sent_at", Moment, comment="Twilio's date_sent."),
    Column("final_at", Moment, comment="When the final status was reached."),
    Column("price", Numeric(12, 5), comment="Positive, in price_unit; empty until Twilio bills."),
    Column("price_unit", Text, comment="ISO 4217."),
    Column("settled_at", Moment, comment="From here on no further read is planned."),
    Column("asked_at", Moment, comment="When Twilio was last asked for this message alone."),
    CheckConstraint(one_of("send_state", SendState), name="send_state"),
    CheckConstraint("(send_state = 'accepted') = (message_sid is not null)", name="accepted_has_sid"),
    CheckConstraint("(send_state = 'skipped') = (skip_reason is not null)", name="skipped_has_reason"),
    CheckConstraint("sid_source in ('answer', 'callback', 'lookup')", name="sid_source"),
    CheckConstraint(one_of("status", Status), name="status"),
    CheckConstraint("price >= 0", name="price_positive"),
    comment="The ledger: one row per intended message, written before anything is sent.",
    # Room on each page for all its rows anew, so that statuses that change do not touch the indexes (HOT updates).
    postgresql_with={"fillfactor": "45"},
)
Index(
    "uq_messages_run_key_to_number",
    messages.c.run_key,
    messages.c.to_number,
    unique=True,
    postgresql_where=text("send_state <> 'skipped'"),
)
Index(
    "ix_messages_planned",
    messages.c.run_key,
    messages.c.batch_no,
    messages.c.message_key,
    postgresql_where=text("send_state = 'planned'"),
)
Index(
    "ix_messages_claimed",
    messages.c.claimed_at,
    postgresql_where=text("send_state in ('claimed', 'unknown')"),
)
Index(
    "ix_messages_open",
    messages.c.tracked_on,
    messages.c.connection,
    messages.c.accepted_at,
    postgresql_where=text("send_state = 'accepted' and settled_at is null"),
)
Index(
    "ix_messages_tracked_on",
    messages.c.tracked_on,
    messages.c.connection,
    messages.c.accepted_at,
    postgresql_where=text("send_state = 'accepted'"),
)
Index("ix_messages_run_key_send_state_batch_no", messages.c.run_key, messages.c.send_state, messages.c.batch_no)
Index("ix_messages_to_number_claimed_at", messages.c.to_number, messages.c.claimed_at)
# Whoever looks a person up knows the id that the segment gives.
Index("ix_messages_customer_id", messages.c.customer_id)

audience_staging = Table(
    "audience_staging",
    metadata,
    Column("freeze_id", Uuid, nullable=False),
    Column("row_no", Integer, nullable=False),
    Column("customer_id", Text),
    Column("input_number", Text),
    Column("to_number", Text),
    Column("country", String(2)),
    Column("time_zone", Text),
    Column("body", Text),
    Column("media_urls", ARRAY(Text)),
    Column("content_sid", Text),
    Column("content_variables", Text),
    Column("estimated_parts", SmallInteger, nullable=False),
    Column("skip_reason", Text),
    Column("staged_at", Moment, nullable=False, server_default=text("now()")),
    comment="Rows on their way from a segment to the ledger; emptied by the freeze that wrote them.",
    prefixes=["UNLOGGED"],
)
Index("ix_audience_staging_freeze_id", audience_staging.c.freeze_id)

stray_messages = Table(
    "stray_messages",
    metadata,
    Column("message_sid", Text, primary_key=True),
    Column("run_key", Text),
    Column("message_key", Uuid, comment="The row that asked for it, if known."),
    Column("to_number", Text),
    Column("found_at", Moment, nullable=False, server_default=text("now()")),
    Column("reason", Text, nullable=False),
    comment="SIDs that belong to no ledger row for certain. Each one needs a person.",
)

sender_throughput = Table(
    "sender_throughput",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("next_free_at", Moment, nullable=False, comment="Everything before it is reserved."),
    comment="Reservations of sending capacity, shared by all tasks and workers.",
)

sender_shares = Table(
    "sender_shares",
    metadata,
    Column("sender", Text, primary_key=True),
    Column("run_key", Text, primary_key=True),
    Column("served", INTERVAL, nullable=False, comment="Capacity that the run has had, as time of the sender."),
    Column("asked_at", Moment, nullable=False, comment="When it last asked for capacity."),
    comment="Which run's turn it is where several share a sender.",
)
