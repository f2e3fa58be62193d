"""Our errors, as Airflow understands them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowFailException

from twilio_campaigns.domain.exceptions import TerminalError, TwilioUnknownOutcomeError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def no_retry() -> Iterator[None]:
    """Tell Airflow which errors no retry can mend.

    :raises AirflowFailException: for every :class:`TerminalError`, and for outcomes that nobody knows: a retry might
        text somebody twice.
    """
    try:
        yield
    except (TerminalError, TwilioUnknownOutcomeError) as error:
        raise AirflowFailException(str(error)) from error
