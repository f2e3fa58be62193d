"""Look-ups of messages whose answer got lost.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "messages",
        sa.Column(
            "lookups",
            sa.SmallInteger(),
            server_default=sa.text("0"),
            nullable=False,
            comment="Look-ups in a row that found no trace of it at Twilio.",
        ),
    )
    op.add_column(
        "messages",
        sa.Column(
            "looked_up_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="Last look-up of a message whose answer got lost.",
        ),
    )
