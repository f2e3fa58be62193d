"""Bringing the warehouse to the installed version, from Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from twilio_campaigns.hooks.errors import no_retry
from twilio_campaigns.hooks.warehouse import DEFAULT_CONNECTION, WarehouseHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class WarehouseUpgradeOperator(BaseOperator):
    """Create or migrate schema `messaging` and its views; safe to run at any time. Gives the revision.

    :param warehouse_conn_id: connection of the warehouse.
    """

    def __init__(self, *, warehouse_conn_id: str = DEFAULT_CONNECTION, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.warehouse_conn_id = warehouse_conn_id

    def execute(self, context: Context) -> str:  # noqa: ARG002 - Airflow hands it over
        """Upgrade."""
        with no_retry():
            revision = WarehouseHook(self.warehouse_conn_id).upgrade()
        self.log.info("The warehouse has revision %s.", revision)
        return revision
