"""Reconciling at scale: indexes for slices, what lists cost, replies, scoped suppressions, audits.

Revision ID: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_ZERO = sa.text("0")


def upgrade() -> None:
    _prepare_messages()
    _scope_suppressions()
    op.create_table(
        "list_volumes",
        sa.Column("connection", sa.Text(), nullable=False, comment="Airflow connection of the Twilio account."),
        sa.Column("starts_at", _MOMENT, nullable=False, comment="Beginning of five minutes of date_sent."),
        sa.Column("messages", sa.Integer(), nullable=False, comment="Messages that a list of them gave, anybody's."),
        sa.Column("read_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("connection", "starts_at", name="pk_list_volumes"),
        comment="What lists of a time cost, learnt from earlier passes.",
    )
    op.create_table(
        "inbound_reads",
        sa.Column("connection", sa.Text(), nullable=False, comment="Airflow connection of the Twilio account."),
        sa.Column("read_at", _MOMENT, nullable=False, comment="Up to this moment replies are known."),
        sa.PrimaryKeyConstraint("connection", name="pk_inbound_reads"),
        comment="How far replies have been read.",
    )
    op.create_table(
        "reply_addresses",
        sa.Column("connection", sa.Text(), nullable=False, comment="Airflow connection of the Twilio account."),
        sa.Column("address", sa.Text(), nullable=False, comment="Number, or Messaging Service, to which people write."),
        sa.Column("scope", sa.Text(), nullable=False, comment="What an opt-out written to it concerns."),
        sa.Column("used_at", _MOMENT, nullable=False, comment="First use by a campaign that we know of."),
        sa.Column("learnt_at", _MOMENT, nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("connection", "address", "scope", name="pk_reply_addresses"),
        comment="Where people answer our senders, learnt from the ledger: a Messaging Service picks its numbers itself.",
    )
    _create_audits()


def _prepare_messages() -> None:
    op.add_column(
        "messages",
        sa.Column("asked_at", _MOMENT, nullable=True, comment="When Twilio was last asked for this message alone."),
    )
    # Room on each page, so that a status that changes does not touch the indexes; counts for pages to come.
    op.execute("alter table messages set (fillfactor = 60)")
    op.execute("alter table campaign_events set (fillfactor = 85)")
    op.drop_index("ix_messages_open", "messages")
    op.create_index(
        "ix_messages_open",
        "messages",
        ["tracked_on", "connection", "accepted_at"],
        postgresql_where=sa.text("send_state = 'accepted' and settled_at is null"),
    )
    op.drop_index("ix_messages_tracked_on", "messages")
    op.create_index(
        "ix_messages_tracked_on",
        "messages",
        ["tracked_on", "connection", "accepted_at"],
        postgresql_where=sa.text("send_state = 'accepted'"),
    )


def _scope_suppressions() -> None:
    op.add_column(
        "suppressions",
        sa.Column(
            "scope",
            sa.Text(),
            nullable=False,
            server_default=sa.text("'*'"),
            comment="Whom it concerns: * for every sender, else the Messaging Service or number that must not text it.",
        ),
    )
    op.drop_constraint("pk_suppressions", "suppressions")
    op.create_primary_key("pk_suppressions", "suppressions", ["to_number", "scope"])
    op.create_table_comment(
        "suppressions",
        "Numbers that are not texted, by nobody or not by one sender, while lifted_at is empty.",
        existing_comment="Numbers that no campaign texts while lifted_at is empty.",
    )


def _create_audits() -> None:
    op.create_table(
        "reconcile_audits",
        sa.Column("audit_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False, comment="Airflow connection of the Twilio account."),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.Column("complete", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("api_calls", sa.Integer(), nullable=False, server_default=_ZERO),
        sa.Column(
            "listed",
            sa.Integer(),
            nullable=False,
            server_default=_ZERO,
            comment="Messages in Twilio's list, anybody's.",
        ),
        sa.Column(
            "accepted", sa.Integer(), nullable=False, server_default=_ZERO, comment="Accepted rows of the ledger."
        ),
        sa.Column(
            "matched", sa.Integer(), nullable=False, server_default=_ZERO, comment="Rows whose message is as they say."
        ),
        sa.Column(
            "missing",
            sa.Integer(),
            nullable=False,
            server_default=_ZERO,
            comment="Rows whose SID Twilio does not know.",
        ),
        sa.Column(
            "orphans",
            sa.Integer(),
            nullable=False,
            server_default=_ZERO,
            comment="Messages that look like ours, without a row.",
        ),
        sa.Column(
            "different",
            sa.Integer(),
            nullable=False,
            server_default=_ZERO,
            comment="Rows whose last status is another one.",
        ),
        sa.Column("error", sa.Text(), nullable=True, comment="Why it is incomplete."),
        sa.PrimaryKeyConstraint("audit_id", name="pk_reconcile_audits"),
        comment="One row per audit of a closed day and account: the ledger against Twilio's list.",
    )
    op.create_index("ix_reconcile_audits_day_started_at", "reconcile_audits", ["day", "started_at"])
    op.create_table(
        "reconcile_audit_findings",
        sa.Column("audit_id", sa.Uuid(), nullable=False),
        sa.Column("message_sid", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="missing, orphan or different."),
        sa.Column("message_key", sa.Uuid(), nullable=True, comment="The ledger's row; empty for an orphan."),
        sa.Column("ledger_status", sa.Text(), nullable=True, comment="Twilio's word as the ledger has it."),
        sa.Column("provider_status", sa.Text(), nullable=True, comment="Twilio's word now."),
        sa.CheckConstraint("kind in ('missing', 'orphan', 'different')", name="ck_reconcile_audit_findings_kind"),
        sa.PrimaryKeyConstraint("audit_id", "message_sid", name="pk_reconcile_audit_findings"),
        comment="What an audit found, message by message.",
    )
