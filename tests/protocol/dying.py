"""A process that does all the work of one run and dies at one step of it, the n-th time that it gets there.

python dying.py <database url> <simulator url> <step> <occurrence>
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import timedelta
from threading import Lock

from builders import ACCOUNT_SID, TOKEN, campaign, people, run
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.steps import Step, listen
from twilio_campaigns.engine.freeze import freeze_audience
from twilio_campaigns.engine.resolve import RunResolver
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.settings import TwilioSettings
from twilio_campaigns.warehouse.connection import Warehouse
from twilio_campaigns.warehouse.ledger import Ledger

RUN = run()
PEOPLE = people(24)
CAMPAIGN = campaign(batch_size=6)
#: The lease outlasts post window and timeout, as it must.
SETTINGS = Settings(post_window="1s", lease="3s", lookup_gap="0.3s")
LIST_LAG = timedelta(seconds=1)
#: More than any of them: whoever looks again after this finds every lease over and every look-up due.
A_WHILE = max(SETTINGS.lease, SETTINGS.lookup_gap, LIST_LAG) + timedelta(milliseconds=100)
#: Looks after which all must be done: one finds what Twilio took, two more that it has nothing else.
MOST_LOOKS = 6

# Time is not waited for: what happened, happened longer ago.
_LET_TIME_PASS = """
update messages
set claimed_at = claimed_at - %(by)s, resolve_after = resolve_after - %(by)s, looked_up_at = looked_up_at - %(by)s,
    accepted_at = accepted_at - %(by)s
"""


def die_at(step, occurrence):
    """Kill this process when it has got to a step for the n-th time; say so first."""
    left, lock = iter(range(occurrence - 1, -1, -1)), Lock()

    def die(taken):
        with lock:
            if taken is step and next(left) == 0:
                sys.stdout.write(f"died at {step}")
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    listen(die)


def let_time_pass(warehouse):
    """Let every lease end and every look-up fall due."""
    with warehouse.transaction() as connection:
        connection.execute(_LET_TIME_PASS, {"by": A_WHILE})


def do_all(warehouse, simulator_url):
    """Freeze, send, and look up what is in doubt until nothing is left; what others have done is not done again.

    :return: whether that was reached.
    """
    rows = [PEOPLE[first : first + 8] for first in range(0, len(PEOPLE), 8)]
    batches = freeze_audience(warehouse, RUN, CAMPAIGN, lambda: iter(rows)).batches
    return asyncio.run(_send_all(warehouse, simulator_url, batches))


async def _send_all(warehouse, simulator_url, batches):
    known = TwilioSettings(
        account_sid=ACCOUNT_SID,
        auth_token=TOKEN,
        base_url=simulator_url,
        list_lag_seconds=LIST_LAG.seconds,
        connect_timeout=0.5,
        total_timeout=1,
    )
    async with TwilioGateway(known) as twilio:
        for _ in range(MOST_LOOKS):
            for batch in batches:
                await BatchSender(warehouse, twilio, CAMPAIGN, SETTINGS).send(RUN.run_key, batch)
            if Ledger(warehouse).progress(RUN.run_key).left == 0:
                return True
            let_time_pass(warehouse)
            batches = await RunResolver(warehouse, RUN.run_key, SETTINGS).look(twilio)
    return False


if __name__ == "__main__":
    database_url, simulator_url, at_step, occurrence = sys.argv[1:]
    die_at(Step(at_step), int(occurrence))
    with Warehouse(database_url) as opened:
        do_all(opened, simulator_url)
