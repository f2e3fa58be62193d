"""What became of messages, and what people did: events, replies, clicks, opt-outs."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from twilio_campaigns.domain.status import Status
from twilio_campaigns.warehouse.tables.base import Moment, metadata, one_of

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
    CheckConstraint(one_of("status", Status), name="status"),
    CheckConstraint("action_type in ('sms', 'mms')", name="action_type"),
    CheckConstraint("source in ('send', 'list', 'fetch', 'webhook')", name="source"),
    comment="Append-only: one row per message and status it reached, one per click.",
    # Parts and codes that come later are filled in.
    postgresql_with={"fillfactor": "85"},
)
# Events of a day lie together: an index of ranges of pages finds them, and costs nothing to keep.
Index("ix_campaign_events_tracked_on", campaign_events.c.tracked_on, postgresql_using="brin")
Index("ix_campaign_events_campaign_id_occurred_at", campaign_events.c.campaign_id, campaign_events.c.occurred_at)
# Few events are of people, and summaries of a run want them all.
Index(
    "ix_campaign_events_responses",
    campaign_events.c.run_key,
    campaign_events.c.occurred_at,
    postgresql_where=text("status in ('clicked', 'incoming_message')"),
)

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

webhook_receipts = Table(
    "webhook_receipts",
    metadata,
    Column("kind", Text, primary_key=True, comment="status, inbound or click."),
    Column("last_at", Moment, nullable=False, comment="To ten seconds."),
    comment="When the last webhook of each kind was written down.",
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
