"""The tables of schema ``messaging``, described once.

Names and columns are a contract (DESIGN.md §3). Migrations create them; statements elsewhere in this room are
plain SQL over these names. The schema is chosen by the connection's ``search_path``, so no name is qualified.
"""

from __future__ import annotations

from twilio_campaigns.warehouse.tables import campaigns, events, reconciling, summaries
from twilio_campaigns.warehouse.tables.base import metadata

__all__ = ["campaigns", "events", "metadata", "reconciling", "summaries"]
