"""The tables of schema ``messaging``, described once.

Names and columns are a contract (DESIGN.md §3). Migrations create them; statements elsewhere in this room are
plain SQL over these names. The schema is chosen by the connection's ``search_path``, so no name is qualified.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INTERVAL, JSONB, TIMESTAMP

from twilio_campaigns.domain.status import RunState, SendState, Status

Moment: Final = TIMESTAMP(timezone=True)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: object) -> str:
    words = ", ".join(f"'{value}'" for value in values)  # type: ignore[attr-defined]
    return f"{column} in ({words})"


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
    CheckConstraint(_one_of("state", RunState), name="state"),
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
    CheckConstraint(_one_of("send_state", SendState), name="send_state"),
    CheckConstraint("(send_state = 'accepted') = (message_sid is not null)", name="accepted_has_sid"),
    CheckConstraint("(send_state = 'skipped') = (skip_reason is not null)", name="skipped_has_reason"),
    CheckConstraint("sid_source in ('answer', 'callback', 'lookup')", name="sid_source"),
    CheckConstraint(_one_of("status", Status), name="status"),
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
Index("ix_messages_run_key_send_state", messages.c.run_key, messages.c.send_state)
Index("ix_messages_to_number_claimed_at", messages.c.to_number, messages.c.claimed_at)

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

campaign_events = Table(
    "campaign_events",
    metadata,
    # The message first: one index finds its events and keeps each from being written twice.
    Column("event_id", Uuid, nullable=False, comment="Deterministic from message and status."),
    Column("event_name", Text, nullable=False, server_default=text("'campaign'")),
    Column("action_type", Text, nullable=False, comment="sms or mms."),
    Column("status", Text, nullable=False),
    Column("number_of_message_parts", SmallInteger),
    Column("status_code", Integer, comment="Twilio's error code."),
    Column("error", Text, comment="Stable snake_case name of the code."),
    Column("comment", Text, comment="What the code means and what to do."),
    Column("occurred_at", Moment, nullable=False, comment="By Twilio's clock; may only move earlier."),
    Column("recorded_at", Moment, nullable=False, server_default=text("now()"), comment="By our clock."),
    Column("campaign_id", Text),
    Column("run_key", Text),
    Column("message_key", Uuid, nullable=False),
    Column("message_sid", Text),
    Column("customer_id", Text),
    Column("to_number", Text),
    Column("country", String(2)),
    Column("tracked_on", Date),
    Column("provider_status", Text),
    Column("source", Text, nullable=False, comment="send, list, fetch or webhook."),
    PrimaryKeyConstraint("message_key", "event_id"),
    CheckConstraint(_one_of("status", Status), name="status"),
    CheckConstraint("action_type in ('sms', 'mms')", name="action_type"),
    CheckConstraint("source in ('send', 'list', 'fetch', 'webhook')", name="source"),
    comment="Append-only: one row per message and status it reached, one per click.",
    # Parts and codes that come later are filled in.
    postgresql_with={"fillfactor": "85"},
)
# Events of a day lie together: an index of ranges of pages finds them, and costs nothing to keep.
Index("ix_campaign_events_tracked_on", campaign_events.c.tracked_on, postgresql_using="brin")
Index("ix_campaign_events_campaign_id_occurred_at", campaign_events.c.campaign_id, campaign_events.c.occurred_at)

inbound_messages = Table(
    "inbound_messages",
    metadata,
    Column("message_sid", Text, primary_key=True),
    Column("from_number", Text, nullable=False),
    Column("to_number", Text, nullable=False),
    Column("body", Text),
    Column("messaging_service_sid", Text),
    Column("number_of_message_parts", SmallInteger),
    Column("received_at", Moment, nullable=False),
    Column("recorded_at", Moment, nullable=False, server_default=text("now()")),
    Column("source", Text, nullable=False),
    Column("message_key", Uuid, comment="Last campaign message that this number had before it wrote."),
    Column("media_urls", ARRAY(Text), comment="At Twilio; only webhooks tell them."),
    Column("opt_out_type", Text, comment="stop, start or help, where Twilio itself says so."),
    comment="What people wrote to us.",
)

link_clicks = Table(
    "link_clicks",
    metadata,
    Column("click_id", Uuid, primary_key=True, comment="Deterministic from message, link, time and browser."),
    Column("event_id", Uuid, nullable=False, comment="The event of this message and link."),
    Column("message_key", Uuid, nullable=False),
    Column("message_sid", Text, nullable=False),
    Column("link", Text, nullable=False, comment="Where it leads."),
    Column("shortened_link", Text),
    Column("clicked_at", Moment, nullable=False, comment="By Twilio's clock."),
    Column("user_agent", Text),
    Column(
        "is_bot",
        Boolean,
        nullable=False,
        comment="A program fetched it to show a preview; such clicks make no event.",
    ),
    Column("recorded_at", Moment, nullable=False, server_default=text("now()")),
    comment="Every click on a shortened link, previews included.",
)
Index("ix_link_clicks_message_key", link_clicks.c.message_key)

webhook_rejections = Table(
    "webhook_rejections",
    metadata,
    Column("day", Date, primary_key=True, comment="UTC."),
    Column("reason", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("last_at", Moment, nullable=False),
    comment="Requests to the webhooks that were turned away, by day and reason.",
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("to_number", Text, primary_key=True, comment="E.164."),
    Column(
        "scope",
        Text,
        primary_key=True,
        server_default=text("'*'"),
        comment="Whom it concerns: * for every sender, else the Messaging Service or number that must not text it.",
    ),
    Column("reason", Text, nullable=False, comment="opt_out, bad_number, manual …"),
    Column("source", Text, nullable=False, comment="Who or what set it."),
    Column("suppressed_at", Moment, nullable=False, server_default=text("now()")),
    Column("lifted_at", Moment, comment="Set when the person came back; the row stays."),
    comment="Numbers that are not texted, by nobody or not by one sender, while lifted_at is empty.",
)

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

reconcile_days = Table(
    "reconcile_days",
    metadata,
    Column("day", Date, primary_key=True),
    Column("leased_until", Moment, comment="A reader is at work; only saves calls."),
    Column("lease_id", Uuid),
    Column("last_pass_at", Moment, comment="Start of the last complete pass."),
    Column("full_read_at", Moment, comment="Start of the last pass that read the whole day."),
    Column("closed_at", Moment, comment="When the day's run found nothing left to do."),
    comment="One row per UTC day of acceptance.",
)

reconcile_passes = Table(
    "reconcile_passes",
    metadata,
    Column("pass_id", Uuid, primary_key=True),
    Column("day", Date, nullable=False),
    Column("full_read", Boolean, nullable=False, comment="Whether the whole day was read."),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("complete", Boolean, nullable=False, server_default=text("false")),
    Column("api_calls", Integer, nullable=False, server_default=text("0")),
    Column("list_pages", Integer, nullable=False, server_default=text("0")),
    Column("fetches", Integer, nullable=False, server_default=text("0")),
    Column("observed", Integer, nullable=False, server_default=text("0"), comment="Observations of ours."),
    Column("changed", Integer, nullable=False, server_default=text("0"), comment="Ledger rows changed."),
    Column("events_written", Integer, nullable=False, server_default=text("0"), comment="New or amended."),
    Column("settled", Integer, nullable=False, server_default=text("0")),
    Column("open_left", Integer, comment="Rows of the day still open afterwards."),
    Column("error", Text, comment="Why it is incomplete."),
    comment="One row per reconcile pass: what it read, what it cost, what it changed.",
)
Index("ix_reconcile_passes_day_started_at", reconcile_passes.c.day, reconcile_passes.c.started_at)

list_volumes = Table(
    "list_volumes",
    metadata,
    Column("connection", Text, primary_key=True, comment="Airflow connection of the Twilio account."),
    Column("starts_at", Moment, primary_key=True, comment="Beginning of five minutes of date_sent."),
    Column("messages", Integer, nullable=False, comment="Messages that a list of them gave, anybody's."),
    Column("read_at", Moment, nullable=False),
    comment="What lists of a time cost, learnt from earlier passes.",
)

inbound_reads = Table(
    "inbound_reads",
    metadata,
    Column("connection", Text, primary_key=True, comment="Airflow connection of the Twilio account."),
    Column("read_at", Moment, nullable=False, comment="Up to this moment replies are known."),
    comment="How far replies have been read.",
)

reply_addresses = Table(
    "reply_addresses",
    metadata,
    Column("connection", Text, primary_key=True, comment="Airflow connection of the Twilio account."),
    Column("address", Text, primary_key=True, comment="Number, or Messaging Service, to which people write."),
    Column("scope", Text, primary_key=True, comment="What an opt-out written to it concerns."),
    Column("used_at", Moment, nullable=False, comment="First use by a campaign that we know of."),
    Column("learnt_at", Moment, nullable=False, server_default=text("now()")),
    comment="Where people answer our senders, learnt from the ledger: a Messaging Service picks its numbers itself.",
)

reconcile_audits = Table(
    "reconcile_audits",
    metadata,
    Column("audit_id", Uuid, primary_key=True),
    Column("day", Date, nullable=False),
    Column("connection", Text, nullable=False, comment="Airflow connection of the Twilio account."),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("complete", Boolean, nullable=False, server_default=text("false")),
    Column("api_calls", Integer, nullable=False, server_default=text("0")),
    Column(
        "listed", Integer, nullable=False, server_default=text("0"), comment="Messages in Twilio's list, anybody's."
    ),
    Column("accepted", Integer, nullable=False, server_default=text("0"), comment="Accepted rows of the ledger."),
    Column("matched", Integer, nullable=False, server_default=text("0"), comment="Rows whose message is as they say."),
    Column(
        "missing", Integer, nullable=False, server_default=text("0"), comment="Rows whose SID Twilio does not know."
    ),
    Column(
        "orphans",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="Messages that look like ours, without a row.",
    ),
    Column(
        "different", Integer, nullable=False, server_default=text("0"), comment="Rows whose last status is another one."
    ),
    Column("error", Text, comment="Why it is incomplete."),
    comment="One row per audit of a closed day and account: the ledger against Twilio's list.",
)
Index("ix_reconcile_audits_day_started_at", reconcile_audits.c.day, reconcile_audits.c.started_at)

reconcile_audit_findings = Table(
    "reconcile_audit_findings",
    metadata,
    Column("audit_id", Uuid, primary_key=True),
    Column("message_sid", Text, primary_key=True),
    Column("kind", Text, nullable=False, comment="missing, orphan or different."),
    Column("message_key", Uuid, comment="The ledger's row; empty for an orphan."),
    Column("ledger_status", Text, comment="Twilio's word as the ledger has it."),
    Column("provider_status", Text, comment="Twilio's word now."),
    CheckConstraint("kind in ('missing', 'orphan', 'different')", name="kind"),
    comment="What an audit found, message by message.",
)
