"""One contestant of `bench_reconcile`, in a process of its own: reads a job, waits for "go", tells figures.

Ours is timed from the beginning of a pass to its end, tables written; the plain SDK from its first request to its last
message, which it puts nowhere.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, ClassVar, Final

from pydantic import SecretStr
from twilio.http.http_client import TwilioHttpClient

from include.local.bench_contestant import Clock, client_of, peak_megabytes, wait_for_go
from include.local.environment import ACCOUNT_SID
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.loop import ROWS_INTERVAL, run
from twilio_campaigns.gateway.settings import TwilioSettings
from twilio_campaigns.gateway.transport import sdk_client
from twilio_campaigns.warehouse.connection import Warehouse

#: As many as Twilio gives per page.
PAGE: Final = 1000
#: What a pass says of itself.
_OF_PASS: Final = ("api_calls", "list_pages", "fetches", "changed", "events_written", "settled")


@dataclass(frozen=True)
class ReadJob:
    """What a contestant is to do.

    :param contestant: `ours` or `sdk`.
    :param url: the simulator.
    :param token: its Auth Token.
    :param messages: how many messages of ours there are, for ours: some might be seen twice, and count once.
    :param day: the UTC day that is reconciled, as text.
    :param database: the warehouse, for ours.
    """

    MODULE: ClassVar[str] = "include.local.bench_reconcile_contestant"

    contestant: str
    url: str
    token: str
    messages: int = 0
    day: str = ""
    database: str = ""


def sdk(job: ReadJob, clock: Clock) -> dict[str, Any]:
    """List all messages with the SDK, as its documentation does, with the largest pages there are."""
    client = client_of(job, TwilioHttpClient(timeout=60))
    wait_for_go()
    clock.begin()
    for _ in client.messages.stream(page_size=PAGE):
        clock.answers += 1
    clock.last = time.monotonic()
    return {}


async def ours(job: ReadJob, clock: Clock) -> dict[str, Any]:
    """Make one pass."""
    with Warehouse(job.database) as warehouse:
        reconciler = Reconciler(warehouse, gateway_to(job.url, job.token), Settings())
        warehouse.now()
        _ = sdk_client(settings_for(job.url, job.token)).api  # what the SDK imports late is not timed, as with its own
        wait_for_go()
        clock.begin()
        reading = await reconciler.read(date.fromisoformat(job.day), full_read=False)
        clock.last = time.monotonic()
    clock.answers = job.messages
    if reading is None or not reading.complete:
        return {"complete": False}
    return {"complete": True, **{name: getattr(reading, name) for name in _OF_PASS}}


def settings_for(url: str, token: str) -> TwilioSettings:
    """Give the settings of a connection to a simulator."""
    return TwilioSettings(account_sid=ACCOUNT_SID, auth_token=SecretStr(token), base_url=url, list_lag_seconds=0)


def gateway_to(url: str, token: str) -> Any:  # noqa: ANN401 - what the reconciler wants to be given
    """Give what makes gateways to a simulator."""
    settings = settings_for(url, token)

    async def gateway_of(_connection_id: str) -> TwilioGateway:
        return TwilioGateway(settings)

    return gateway_of


def main() -> None:
    """Do the job on standard input's first line; figures go to standard output as JSON."""
    job, clock = ReadJob(**json.loads(sys.stdin.readline())), Clock()
    before = time.process_time()
    told = run(ours(job, clock), switch_interval=ROWS_INTERVAL) if job.contestant == "ours" else sdk(job, clock)
    cpu = time.process_time() - before
    sys.stdout.write(json.dumps({**asdict(clock), "cpu": cpu, "peak_megabytes": peak_megabytes(), **told}) + "\n")


if __name__ == "__main__":
    main()
