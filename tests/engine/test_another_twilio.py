"""A whole campaign against a Twilio that is not our simulator, in a process that could not import ours."""

import json
import os
import subprocess
import sys

import pytest

from gateway.independent_twilio import ACCOUNT_SID, AUTH_TOKEN, independent_twilio

# What the tasks do, without Airflow's processes around them: freeze, send, read the day.
CAMPAIGN = """
import asyncio, json, sys
from datetime import UTC, datetime

sys.modules["twilio_campaigns.simulator"] = None  # importing it, or anything below it, fails

from builders import campaign, freeze, people, run
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.hooks.twilio import TwilioHook
from twilio_campaigns.hooks.warehouse import WarehouseHook


async def gateway_of(connection_id):
    return TwilioGateway(await TwilioHook(connection_id).aget_settings())


async def work(warehouse):
    settings = Settings()
    frozen = freeze(warehouse, [*people(1500), {"customer_id": "x", "phone": "12"}])
    async with await gateway_of("twilio_default") as twilio:
        for batch in frozen.batches:
            await BatchSender(warehouse, twilio, campaign(), settings).send(run().run_key, batch)
    return await Reconciler(warehouse, gateway_of, settings).read(datetime.now(UTC).date(), full_read=True)


with WarehouseHook().get_conn() as warehouse:
    reading = asyncio.run(work(warehouse))
print(json.dumps({"pages": reading.list_pages, "fetches": reading.fetches, "settled": reading.settled}))
"""


@pytest.fixture
def server():
    with independent_twilio() as server:
        yield server


def test_it_is_sent_and_reconciled(server, database_url, query):
    connection = {
        "conn_type": "twilio",
        "login": ACCOUNT_SID,
        "password": AUTH_TOKEN,
        "host": server.url,
        "extra": {"list_lag_seconds": 0},
    }
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "AIRFLOW_CONN_TWILIO_DEFAULT": json.dumps(connection),
        "AIRFLOW_CONN_WAREHOUSE_DEFAULT": database_url,
    }
    done = subprocess.run(
        [sys.executable, "-c", CAMPAIGN], env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"pages": 2, "fetches": 0, "settled": 1500}
    (figures,) = query("select * from campaign_performance")
    assert {name: figures[name] for name in ("audience", "excluded", "enqueued", "delivered", "settled")} == {
        "audience": 1501,
        "excluded": 1,
        "enqueued": 1500,
        "delivered": 1500,
        "settled": 1500,
    }
    assert {record["to"] for record in server.account.messages} == {
        row["to_number"] for row in query("select to_number from messages where send_state = 'accepted'")
    }
    events = query("select status, count(*) as n from campaign_events group by 1")
    assert {row["status"]: row["n"] for row in events} == {"enqueued": 1500, "sent": 1500, "delivered": 1500}
