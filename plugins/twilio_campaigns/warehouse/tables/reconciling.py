"""How messages are read: days, passes, what lists cost, replies, audits."""

from __future__ import annotations

from sqlalchemy import Boolean, CheckConstraint, Column, Date, Index, Integer, Table, Text, Uuid, text

from twilio_campaigns.warehouse.tables.base import Moment, metadata

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
Index("ix_reconcile_passes_started_at", reconcile_passes.c.started_at)

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
