"""Small questions about finished work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from twilio_campaigns.warehouse.connection import Warehouse


def exclusions(warehouse: Warehouse, run_key: str) -> dict[str, int]:
    """Count the rows of a run's audience that are not texted, by reason, the most frequent first."""
    with warehouse.transaction() as connection:
        rows = connection.execute(
            """
            select skip_reason, count(*) as rows from messages
            where run_key = %s and send_state = 'skipped'
            group by skip_reason order by count(*) desc, skip_reason
            """,
            (run_key,),
        )
        return {row["skip_reason"]: row["rows"] for row in rows}
