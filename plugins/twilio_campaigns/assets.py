"""What other DAGs can be scheduled on: a campaign run that is over, a day whose messages are settled.

::

    from airflow.sdk import DAG, task
    from twilio_campaigns.assets import campaign_asset

    with DAG("after_spring_sale", schedule=[campaign_asset("spring_sale")]):
        ...

Each event's ``extra`` holds counts and never a number; `docs/airflow.md` lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import Asset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import BaseOperator, Context

#: Under this heading Airflow lists them.
_GROUP: Final = "twilio"


def campaign_asset(campaign_id: str) -> Asset:
    """Give the asset of a campaign: an event for every run of which nothing is sent any more.

    :param campaign_id: name of the campaign's file.
    """
    return Asset(name=f"twilio_campaign__{campaign_id}", uri=f"twilio-campaign://{campaign_id}", group=_GROUP)


def reconciled_days() -> Asset:
    """Give the asset of all days: an event for every UTC day whose messages are settled, or given up."""
    return Asset(name="twilio_reconciled_days", uri="twilio-reconcile://days", group=_GROUP)


def emit(operator: BaseOperator, context: Context, asset: Asset, extra: Mapping[str, Any] | None) -> None:
    """Say what the event of an operator's outlet tells once the task has succeeded.

    :param extra: as JSON has it; ``None``: this try of the task emits no event.
    """
    if extra is None:
        # Airflow emits an event for every outlet of a task that succeeds, unless it has none any more by then.
        operator.outlets = [outlet for outlet in operator.outlets if outlet != asset]
    elif asset in operator.outlets and "outlet_events" in context:
        context["outlet_events"][asset].extra.update(extra)
