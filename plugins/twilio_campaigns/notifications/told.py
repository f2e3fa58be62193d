"""Which callbacks have been texted already."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

log = logging.getLogger(__name__)

_FAILED: Final = "failed"
#: Of this process.
_TOLD: Final[set[tuple[object, ...]]] = set()


class Told:
    """One callback: whether it was texted, and that it is.

    Airflow makes the callback of a try in the worker, before it knows that the try has ended. A worker that dies right
    then is found by the scheduler, and the DAG processor makes the callback again, in another process. What was texted
    is therefore kept beside the try, in XCom, which the DAG processor can read, and in this process as well.

    It is kept after texting, because an alert that comes twice is better than one that never comes: whoever dies in
    between, or cannot reach Airflow then, is not known to have texted. A DAG's callback is not kept: only this process
    knows of it.

    :param context: Airflow's.
    :param notifier: what tells notifiers of the same task apart.
    """

    def __init__(self, context: Context, notifier: Mapping[str, object]) -> None:
        # A DAG's callback has the task instance of its last task beside it, and a reason.
        self._is_of_dag = "reason" in context
        self._task_instance: Any = context.get("ti")
        known = {
            name: getattr(self._task_instance, name, None) for name in ("dag_id", "run_id", "task_id", "map_index")
        }
        self._try = getattr(self._task_instance, "try_number", None)
        # The DAG processor does not say in which state the try is: it is asked only about those that failed.
        state = getattr(self._task_instance, "state", None) or _FAILED
        self._state = str(getattr(state, "value", state))
        self._key = f"twilio_notified_{_digest(notifier, self._state, self._try)}"
        self._here = (self._key, self._is_of_dag, *known.values())

    def is_known(self) -> bool:
        """Whether it has been texted, as far as one can know."""
        if self._task_instance is None:
            return False
        if self._here in _TOLD:
            return True
        try:
            return not self._is_of_dag and self._found()
        except Exception as error:  # noqa: BLE001 - whatever XCom's backend raises
            log.warning("Whether this was texted before cannot be seen: %s", error)
            return False

    def remember(self) -> None:
        """Keep that it has been texted."""
        if self._task_instance is None:
            return
        _TOLD.add(self._here)
        if self._is_of_dag:
            return
        try:
            self._task_instance.xcom_push(key=self._key, value=True)
        except Exception as error:  # noqa: BLE001 - the same
            log.warning("That this was texted cannot be kept: %s", error)

    def _found(self) -> bool:
        task_instance = self._task_instance
        kept = task_instance.xcom_pull(
            task_ids=task_instance.task_id, key=self._key, map_indexes=getattr(task_instance, "map_index", -1)
        )
        return bool(kept)


def _digest(*parts: object) -> str:
    return sha256(repr(parts).encode()).hexdigest()[:16]
