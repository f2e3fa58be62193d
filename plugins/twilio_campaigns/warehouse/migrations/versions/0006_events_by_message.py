"""Events are kept by message: one index where there were three; room on the ledger's pages for a whole pass.

Revision ID: 0006
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint("pk_campaign_events", "campaign_events")
    op.drop_index("ix_campaign_events_message_key", "campaign_events")
    op.drop_index("ix_campaign_events_tracked_on", "campaign_events")
    op.create_primary_key("pk_campaign_events", "campaign_events", ["message_key", "event_id"])
    op.create_index("ix_campaign_events_tracked_on", "campaign_events", ["tracked_on"], postgresql_using="brin")
    # Counts for pages to come.
    op.execute("alter table messages set (fillfactor = 45)")
