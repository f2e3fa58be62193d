"""After a page was shown: bring figures up to date that nobody else has for a minute."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.exceptions import TwilioCampaignsError
from twilio_campaigns.warehouse.insight.refreshing import Summaries

if TYPE_CHECKING:
    from twilio_campaigns.web.pages.reading import Reading

log = logging.getLogger(__name__)

#: Sending and reconciling refresh figures themselves; this long they are left to do it.
PATIENCE: Final = timedelta(seconds=60)

_at_work = threading.Lock()


async def keep_fresh(reading: Reading) -> None:
    """Refresh what is due, one at a time; a failure is logged, for the page has been answered."""
    if _at_work.locked():
        return
    try:
        await reading.run(lambda: _refresh(reading))
    except TwilioCampaignsError as error:
        log.warning("The figures of the pages were not refreshed: %s", error)
    except Exception:
        log.exception("The figures of the pages were not refreshed.")


def _refresh(reading: Reading) -> None:
    with _at_work:
        warehouse = reading.warehouse()
        summaries = Summaries(warehouse)
        marked = summaries.oldest_mark_at()
        if marked is not None and warehouse.now() - marked > PATIENCE:
            summaries.refresh_due()
