"""Runs that people pause, resume and send late, look-ups that need a person, and senders that runs share fairly.

Revision ID: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = (
    ("state_reason", sa.Text(), "Why somebody or something changed the state last."),
    ("state_changed_by", sa.Text(), "A person's name, or circuit_breaker."),
    ("state_changed_at", sa.DateTime(timezone=True), None),
    (
        "resumed_at",
        sa.DateTime(timezone=True),
        "When it last went on after a pause, or was sent late on purpose.",
    ),
    (
        "lateness_waived_at",
        sa.DateTime(timezone=True),
        "When somebody decided to send it although it came too late.",
    ),
)


def upgrade() -> None:
    for name, kind, comment in _COLUMNS:
        op.add_column("campaign_runs", sa.Column(name, kind, nullable=True, comment=comment))
    op.add_column(
        "messages",
        sa.Column(
            "undecided_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Last look-up that found messages which it might be, and could not tell.",
        ),
    )
    op.create_table(
        "sender_shares",
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("run_key", sa.Text(), nullable=False),
        sa.Column(
            "served",
            postgresql.INTERVAL(),
            nullable=False,
            comment="Capacity that the run has had, as time of the sender.",
        ),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False, comment="When it last asked for capacity."),
        sa.PrimaryKeyConstraint("sender", "run_key", name="pk_sender_shares"),
        comment="Which run's turn it is where several share a sender.",
    )
