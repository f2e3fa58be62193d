"""Four days in moments: the database's clock and the simulator's jump together to where the next look is due.

Every statement of ours asks PostgreSQL for the time. In a warehouse whose search path names our schema before
`pg_catalog`, `now()` is a function of our own, and tells the time that the simulator has.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx

from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.warehouse.connection import Warehouse

if TYPE_CHECKING:
    from datetime import date

    from twilio_campaigns.domain.settings import Settings
    from twilio_campaigns.gateway.settings import TwilioSettings
    from twilio_campaigns.warehouse.connection import Connection

_CLOCK = """
create table if not exists simulated_clock (moment timestamptz not null);
create or replace function now() returns timestamptz language sql stable as 'select moment from simulated_clock';
delete from simulated_clock;
"""


class ClockedWarehouse(Warehouse):
    """A warehouse whose time is told to it."""

    def _configure(self, connection: Connection) -> None:
        connection.execute(
            "select set_config('search_path', %s, false), set_config('TimeZone', 'UTC', false)",
            (f'"{self.schema}", pg_catalog',),
        )

    def prepare(self, moment: datetime) -> None:
        """Make the clock."""
        with self.transaction() as connection:
            connection.execute(_CLOCK)
            connection.execute("insert into simulated_clock values (%s)", (moment,))

    def set_clock(self, moment: datetime) -> None:
        """Tell the time."""
        with self.transaction() as connection:
            connection.execute("update simulated_clock set moment = %s", (moment,))


@dataclass
class Days:
    """What following one day took.

    :param looks: how often the day was looked at.
    :param calls: API calls by kind, creates left out.
    :param lasted: simulated time from the first look to the last.
    """

    looks: int
    calls: dict[str, int]
    lasted: timedelta

    @property
    def api_calls(self) -> int:
        """Calls in all."""
        return sum(self.calls.values())


class World:
    """A warehouse and a simulator that share a clock.

    :param warehouse: the warehouse.
    :param simulator_url: where the simulator listens.
    :param twilio: settings that reach it.
    :param settings: of the engine.
    """

    def __init__(
        self, warehouse: ClockedWarehouse, simulator_url: str, twilio: TwilioSettings, settings: Settings
    ) -> None:
        self.warehouse = warehouse
        self.settings = settings
        self._url = simulator_url
        self._twilio = twilio
        warehouse.prepare(self.now())

    def now(self) -> datetime:
        """Tell the simulator's time."""
        return datetime.fromisoformat(self._control("GET", "stats")["now"])

    def advance(self, seconds: float) -> datetime:
        """Jump ahead, in both."""
        self._control("POST", "clock", advance_seconds=max(0.0, seconds))
        moment = self.now()
        self.warehouse.set_clock(moment)
        return moment

    def gateway(self) -> TwilioGateway:
        """Give an unopened gateway to the simulator."""
        return TwilioGateway(self._twilio, max_connections=self.settings.fetch_concurrency)

    def look(self, day: date, *, full_read: bool) -> Any:  # noqa: ANN401 - engine.reconcile.Look
        """Look at a day once."""

        async def gateway_of(_connection_id: str) -> TwilioGateway:
            return self.gateway()

        return asyncio.run(Reconciler(self.warehouse, gateway_of, self.settings).look(day, full_read=full_read))

    def follow(self, day: date, *, longest: timedelta = timedelta(days=7)) -> Days:
        """Look at a day whenever it is due until it is finished, as the sensor does.

        :param longest: give up after so much simulated time.
        """
        began = self.advance(0)
        before = self.calls()
        looks = 0
        while True:
            look = self.look(day, full_read=looks == 0)
            looks += 1
            now = self.advance(0)
            if look.finished or now - began > longest:
                break
            self.advance((look.wake_at - now).total_seconds())
        after = self.calls()
        calls = {kind: after[kind] - before.get(kind, 0) for kind in after if after[kind] != before.get(kind, 0)}
        return Days(looks, calls, now - began)

    def calls(self) -> dict[str, int]:
        """Count the API calls so far, by kind, without creates."""
        calls = self._control("GET", "stats")["calls"]
        return {kind: count for kind, count in calls.items() if kind != "create"}

    def truth(self) -> list[dict[str, Any]]:
        """Give every message that the simulator holds."""
        return list(self._control("GET", "messages")["messages"])

    def _control(self, method: str, path: str, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        answer = httpx.request(method, f"{self._url}/_simulator/{path}", json=body or None, timeout=120)
        return dict(answer.raise_for_status().json())
