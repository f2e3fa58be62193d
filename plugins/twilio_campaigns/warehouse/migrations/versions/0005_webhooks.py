"""Webhooks: clicks, what a reply's webhook tells beside the reply, and how many requests were turned away.

Revision ID: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column(
        "inbound_messages",
        sa.Column("media_urls", sa.ARRAY(sa.Text()), nullable=True, comment="At Twilio; only webhooks tell them."),
    )
    op.add_column(
        "inbound_messages",
        sa.Column(
            "opt_out_type", sa.Text(), nullable=True, comment="stop, start or help, where Twilio itself says so."
        ),
    )
    op.create_table(
        "link_clicks",
        sa.Column("click_id", sa.Uuid(), nullable=False, comment="Deterministic from message, link, time and browser."),
        sa.Column("event_id", sa.Uuid(), nullable=False, comment="The event of this message and link."),
        sa.Column("message_key", sa.Uuid(), nullable=False),
        sa.Column("message_sid", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False, comment="Where it leads."),
        sa.Column("shortened_link", sa.Text(), nullable=True),
        sa.Column("clicked_at", _MOMENT, nullable=False, comment="By Twilio's clock."),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column(
            "is_bot",
            sa.Boolean(),
            nullable=False,
            comment="A program fetched it to show a preview; such clicks make no event.",
        ),
        sa.Column("recorded_at", _MOMENT, nullable=False, server_default=sa.text("now()")),
        sa.PrimaryKeyConstraint("click_id", name="pk_link_clicks"),
        comment="Every click on a shortened link, previews included.",
    )
    op.create_index("ix_link_clicks_message_key", "link_clicks", ["message_key"])
    op.create_table(
        "webhook_rejections",
        sa.Column("day", sa.Date(), nullable=False, comment="UTC."),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("last_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("day", "reason", name="pk_webhook_rejections"),
        comment="Requests to the webhooks that were turned away, by day and reason.",
    )
