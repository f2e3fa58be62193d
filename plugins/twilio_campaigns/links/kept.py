"""Links that a task finds out while it runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey

log = logging.getLogger(__name__)

#: Where the operator keeps what was found until Airflow asks for it.
_KEPT: Final = "_kept_links"


class KeptLink(BaseOperatorLink):
    """A link that is there as soon as the task knows it, not only when it has ended: a batch may take hours.

    Airflow's API server shows what XCom holds under ``xcom_key``, of the task instance that was asked for, mapped ones
    included. Airflow itself writes that when a try ends, or is deferred, by asking :meth:`get_link` in the worker. A
    try that never came so far has no link, which is no error.
    """

    def keep(self, operator: BaseOperator, context: Context, url: str) -> None:
        """Show the link from now on. That it cannot be stored yet does not concern the task."""
        vars(operator).setdefault(_KEPT, {})[self.xcom_key] = url
        task_instance = context.get("ti")
        if task_instance is None:
            return
        try:
            task_instance.xcom_push(key=self.xcom_key, value=url)
        except Exception as error:  # noqa: BLE001 - whatever XCom's backend raises
            log.warning("Link %r shows when the task has ended: %s", self.name, error)

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's own
        """Give the link that was found, or none."""
        found: dict[str, str] = vars(operator).get(_KEPT, {})
        return found.get(self.xcom_key, "")
