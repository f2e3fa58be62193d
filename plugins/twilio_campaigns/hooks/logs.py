"""Writing the last lines of a task's log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twilio_campaigns.domain.exceptions import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterable


def tell(log: Any, lines: Iterable[str]) -> None:  # noqa: ANN401 - the task's logger, of whatever make
    """Write tables of what happened, one entry per line, which is what Airflow's log viewer shows as a line.

    That they cannot be read from the warehouse now fails no task, and hides no other error.

    :param log: of the operator.
    """
    try:
        for line in lines:
            log.info(line)
    except TransientError as error:
        log.warning("What happened cannot be counted now: %s", error)
