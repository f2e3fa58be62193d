"""A day followed to its end over four simulated days: every fate is known in the end, and it costs few calls."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from builders import campaign, freeze, people, run
from include.local.simulated_days import ClockedWarehouse, World
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.send import BatchSender

MORNING = datetime(2026, 11, 9, 10, tzinfo=UTC)
DAY = MORNING.date()


@pytest.fixture
def world(database_url, start_simulator):
    simulator = start_simulator(started_at=MORNING)
    with ClockedWarehouse(database_url) as warehouse:
        yield World(warehouse, simulator.url, simulator.settings(), Settings())


def send(world, count, batches=1, every=timedelta(minutes=1)):
    """Send a campaign in batches, while the clock goes on."""
    of = campaign(batch_size=-(-count // batches))
    freeze(world.warehouse, people(count), of=of)

    async def work(batch):
        async with world.gateway() as twilio:
            await BatchSender(world.warehouse, twilio, of, world.settings).send(run().run_key, batch)

    for batch in range(1, batches + 1):
        asyncio.run(work(batch))
        world.advance(every.total_seconds())


def test_every_fate_is_known_in_the_end_for_few_calls(world, query):
    send(world, 2000, batches=4)
    days = world.follow(DAY)
    rows = {row["message_sid"]: row for row in query("select * from messages")}
    truth = {message["sid"]: message for message in world.truth()}
    assert {sid: row["provider_status"] for sid, row in rows.items()} == {
        sid: message["final_status"] for sid, message in truth.items()
    }
    ends = Counter(message["final_status"] for message in truth.values())
    assert min(ends[end] for end in ("delivered", "undelivered", "failed", "sent")) > 0
    late = [m for m in truth.values() if m["final_at"] and _age(m) > timedelta(hours=1)]
    assert len(late) > 20
    assert all(row["settled_at"] for row in rows.values())
    assert {sid for sid, row in rows.items() if row["price"] is None} == set()
    passes = query("select sum(api_calls)::int as calls from reconcile_passes")[0]["calls"]
    assert passes <= 40 * len(rows) / 1000, days
    replies = days.api_calls - passes
    assert replies <= 24 * 4 + 20, "one list of a quiet account every quarter of an hour, for a day"
    assert timedelta(days=4) <= days.lasted < timedelta(days=5)
    before = world.calls()
    world.look(DAY, full_read=False)
    assert world.calls() == before


def test_a_queue_of_hours_at_twilio_costs_lists_and_not_a_call_for_each(world, query, start_simulator):
    """A slow sender: Twilio takes a campaign at once and sends it hours later."""
    send(world, 3000)
    query("update messages set accepted_at = accepted_at - interval '3 hours'")
    days = world.follow(DAY)
    truth = {message["sid"]: message["final_status"] for message in world.truth()}
    assert {row["message_sid"]: row["provider_status"] for row in query("select * from messages")} == truth
    passes = query("select sum(api_calls)::int as calls from reconcile_passes")[0]["calls"]
    assert passes <= 40 * 3, days


def _age(message):
    return datetime.fromisoformat(message["final_at"]) - datetime.fromisoformat(message["created_at"])
