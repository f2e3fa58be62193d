"""Ask Twilio whether it accepts a connection's credentials."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

#: The connection of a campaign that names none.
DEFAULT: Final = "twilio_default"
#: Seconds for which Twilio's answer is awaited.
_PATIENCE: Final = 12.0


def check_account(connection_id: str) -> tuple[bool, str]:
    """Say whether the credentials work, in words; blocks, but not for ever.

    Airflow's connection is read in a thread that has no event loop: a synchronous look-up inside one may wait for
    itself.
    """
    from twilio_campaigns.hooks.twilio import TwilioHook

    pool = ThreadPoolExecutor(1, thread_name_prefix="twilio-check")
    try:
        return pool.submit(TwilioHook(connection_id).test_connection).result(_PATIENCE)
    except TimeoutError:
        return False, f"Twilio did not answer within {_PATIENCE:.0f} s. That says nothing about the credentials."
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
