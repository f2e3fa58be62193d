"""The sensor over one day, run as Airflow runs it: real warehouse, real HTTP, and a context."""

import asyncio
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from types import SimpleNamespace

import pytest
from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from builders import campaign, freeze, people, run
from gateway.scripted_server import answer, scripted
from twilio_campaigns.domain.exceptions import TwilioUnavailableError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway import client
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.reading import Patience
from twilio_campaigns.sensors.reconcile import TwilioReconcileSensor
from twilio_campaigns.warehouse.reconciling import ReconcileStore

#: A message is followed for a second.
QUICK = {"TRACKING_WINDOW": "1s", "SETTLE_UNPRICED_AFTER": "1s", "LADDER": "1s", "MIN_WAIT": "1s"}
#: Long enough ago for a last word, not so long that the day is given up anyway.
PAST_DAY = datetime.now(UTC).date() - timedelta(days=3)
GIVEN_UP_DAY = datetime.now(UTC).date() - timedelta(days=6)
#: Somebody in a country that reports nothing: open until the window closes, however fast all else goes.
SILENT = {"customer_id": "silent", "phone": "+4915112345678", "first_name": "Silent"}


def in_run(logical_date, run_after=None):
    """Give the part of Airflow's context that the sensor reads."""
    return {"dag_run": SimpleNamespace(logical_date=logical_date, run_after=run_after or datetime.now(UTC))}


def run_of(day):
    return in_run(datetime(day.year, day.month, day.day, tzinfo=UTC))


@pytest.fixture
def connections(database_url, simulator, connect_twilio, monkeypatch):
    connect_twilio(simulator.url)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_DEFAULT", database_url)


@pytest.fixture
def messages_of(connections, warehouse, query, simulator):
    """Send messages and move them to another day."""

    def make(day, count=20, others=(), **settings):
        freeze(warehouse, [*people(count), *others])

        async def work():
            async with TwilioGateway(simulator.settings()) as twilio:
                await BatchSender(warehouse, twilio, campaign(), Settings(**settings)).send(run().run_key, 1)

        asyncio.run(work())
        query("update messages set tracked_on = %s", day)

    return make


@pytest.fixture
def settled(messages_of, configure):
    """Messages of a past day whose run has come to its end."""
    configure(**QUICK)
    messages_of(PAST_DAY, tracking_window=timedelta(seconds=1))
    sensor().execute(run_of(PAST_DAY))


def sensor():
    return TwilioReconcileSensor(task_id="reconcile")


def passes(query):
    return query("select day, full_read, complete from reconcile_passes order by started_at")


def times_of_passes(query):
    return [row["started_at"] for row in query("select started_at from reconcile_passes order by started_at")]


def events(query):
    return {row["event_id"]: row["status"] for row in query("select event_id, status from campaign_events")}


class TestDay:
    @pytest.mark.parametrize(
        ("context", "day"),
        [
            (in_run(datetime(2025, 11, 20, tzinfo=UTC)), date(2025, 11, 20)),
            (in_run(datetime(2025, 11, 20, 23, 30, tzinfo=timezone(timedelta(hours=-5)))), date(2025, 11, 21)),
            (in_run(None, run_after=datetime(2025, 11, 20, 1, tzinfo=UTC)), date(2025, 11, 20)),
        ],
    )
    def test_it_is_the_utc_day_of_the_runs_date(self, connections, query, context, day):
        sensor().execute(context)
        assert passes(query) == [{"day": day, "full_read": True, "complete": True}]

    def test_a_day_without_messages_ends_without_a_call(self, connections, query, connect_twilio):
        connect_twilio("http://127.0.0.1:1")
        sensor().execute(run_of(PAST_DAY))
        assert query("select closed_at is not null as closed from reconcile_days") == [{"closed": True}]

    def test_another_days_messages_are_left_alone(self, messages_of, query):
        messages_of(PAST_DAY)
        before = query("select * from messages order by message_key"), events(query)
        sensor().execute(run_of(PAST_DAY - timedelta(days=1)))
        assert (query("select * from messages order by message_key"), events(query)) == before


class TestPastDay:
    def test_it_follows_the_day_in_place_until_all_is_settled(
        self, messages_of, query, configure, simulator, caplog, capsys
    ):
        caplog.set_level("DEBUG")
        configure(**QUICK)
        messages_of(PAST_DAY, others=[SILENT])
        query("update messages set tracking_closes_at = now() + interval '4 seconds'")
        sensor().execute(run_of(PAST_DAY))
        found = query("select message_sid, provider_status, settled_at is not null as settled from messages")
        assert all(row["settled"] for row in found)
        assert {row["message_sid"]: row["provider_status"] for row in found} == {
            message["sid"]: message["final_status"] for message in simulator.truth()
        }
        read = passes(query)
        assert read[0]["full_read"]
        assert [reading["full_read"] for reading in read[1:]] == [False] * (len(read) - 1)
        gaps = [later - earlier for earlier, later in pairwise(times_of_passes(query))]
        assert gaps
        assert min(gaps) >= timedelta(seconds=1)
        assert query("select closed_at is not null as closed from reconcile_days") == [{"closed": True}]
        said = caplog.text + "".join(capsys.readouterr())
        assert f"Day {PAST_DAY} is settled." in said
        assert [message["to"] for message in simulator.truth() if message["to"][2:] in said] == []

    def test_another_start_reads_the_whole_settled_day_and_repairs_it(self, settled, query):
        before = events(query)
        assert set(before.values()) >= {"enqueued", "sent", "delivered"}
        query("delete from campaign_events where status <> 'enqueued'")
        sensor().execute(run_of(PAST_DAY))
        assert events(query) == before

    @pytest.mark.parametrize("left_behind", [{"event": None, "full_read": False}, None])
    def test_a_resumed_run_asks_for_nothing_that_is_settled(self, messages_of, query, connect_twilio, left_behind):
        """Also one that an older version deferred, without arguments."""
        messages_of(PAST_DAY, count=3)
        query("update messages set settled_at = now()")
        query("insert into reconcile_days (day, full_read_at) values (%s, now())", PAST_DAY)
        connect_twilio("http://127.0.0.1:1")
        sensor().resume_execution("resume", left_behind, run_of(PAST_DAY))
        assert passes(query) == [{"day": PAST_DAY, "full_read": False, "complete": True}]

    def test_a_day_that_is_long_over_ends_whatever_is_left(self, messages_of, query):
        messages_of(GIVEN_UP_DAY, others=[SILENT])
        query("update messages set provider_status = null, settled_at = null")
        query("update messages set tracking_closes_at = now() + interval '1 day'")
        sensor().execute(run_of(GIVEN_UP_DAY))
        assert query("select count(*) as n from messages where settled_at is null")[0]["n"] > 0


class TestDeferral:
    @pytest.fixture(autouse=True)
    def _nothing_is_due_soon(self, configure):
        configure(LADDER="5h")

    def test_a_long_pause_is_left_to_the_triggerer(self, messages_of, query):
        today = datetime.now(UTC)
        messages_of(today.date(), others=[SILENT])
        with pytest.raises(TaskDeferred) as deferred:
            sensor().execute(run_of(today.date()))
        left = deferred.value
        assert isinstance(left.trigger, DateTimeTrigger)
        assert timedelta(minutes=1) < left.trigger.moment - today <= timedelta(minutes=15, seconds=30)
        assert (left.method_name, left.kwargs, left.timeout) == ("resume", {"full_read": False}, None)
        assert passes(query) == [{"day": today.date(), "full_read": True, "complete": True}]

    def test_what_is_a_long_pause_can_be_set(self, messages_of, query, configure):
        """Twenty seconds would be waited in place otherwise."""
        configure(MIN_WAIT="5s", WAIT_IN_PLACE="1s")
        messages_of(PAST_DAY, others=[SILENT])
        query("update messages set tracking_closes_at = now() + interval '20 seconds'")
        with pytest.raises(TaskDeferred) as deferred:
            sensor().execute(run_of(PAST_DAY))
        (closes,) = query("select distinct tracking_closes_at as at from messages")
        assert deferred.value.trigger.moment == closes["at"] + Settings(ladder="5h").schedule.closing_slack

    def test_what_it_asked_for_can_be_resumed(self, messages_of, query):
        today = datetime.now(UTC).date()
        messages_of(today, others=[SILENT])
        with pytest.raises(TaskDeferred) as deferred:
            sensor().execute(run_of(today))
        left = deferred.value
        resumed = {**left.kwargs, "event": left.trigger.moment}
        with pytest.raises(TaskDeferred) as again:
            sensor().resume_execution(left.method_name, resumed, run_of(today))
        assert again.value.kwargs == {"full_read": False}
        assert [reading["full_read"] for reading in passes(query)] == [True, False]

    def test_while_somebody_else_reads_the_full_read_stays_owed(self, settled, warehouse, query, configure):
        configure(WAIT_IN_PLACE="0.1s", MIN_WAIT="30s")
        before = events(query)
        query("delete from campaign_events where status <> 'enqueued'")
        store = ReconcileStore(warehouse, Settings().schedule)
        reading = store.begin(PAST_DAY, timedelta(minutes=5), full_read=False)
        with pytest.raises(TaskDeferred) as deferred:
            sensor().execute(run_of(PAST_DAY))
        assert deferred.value.kwargs == {"full_read": True}
        assert deferred.value.trigger.moment - warehouse.now() <= timedelta(seconds=30)
        assert events(query) != before
        store.end(reading)
        sensor().resume_execution("resume", {**deferred.value.kwargs, "event": None}, run_of(PAST_DAY))
        assert events(query) == before


class TestErrors:
    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch):
        monkeypatch.setattr(client, "Patience", lambda: Patience(tries=1))

    @pytest.mark.parametrize("status", [429, 503])
    def test_twilio_in_trouble_may_be_tried_again(self, messages_of, query, connect_twilio, status):
        messages_of(PAST_DAY)
        before = events(query)
        with scripted(*[answer(status, {"code": 20429})] * 40) as server:
            connect_twilio(server.url)
            with pytest.raises(TwilioUnavailableError) as caught:
                sensor().execute(run_of(PAST_DAY))
        assert not isinstance(caught.value, AirflowFailException)
        assert events(query) == before
        assert [reading["complete"] for reading in passes(query)] == [False]

    def test_the_next_try_reads_what_the_failed_one_could_not(self, messages_of, query, connect_twilio, simulator):
        messages_of(GIVEN_UP_DAY)
        connect_twilio("http://127.0.0.1:1")
        with pytest.raises(TwilioUnavailableError):
            sensor().execute(run_of(GIVEN_UP_DAY))
        connect_twilio(simulator.url)
        sensor().execute(run_of(GIVEN_UP_DAY))
        assert {row["provider_status"] for row in query("select provider_status from messages")} >= {"delivered"}

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"password": "another-token"}, "does not accept these credentials"),
            ({"login": "AC1"}, "Connection twilio_default"),
        ],
    )
    def test_a_connection_that_a_person_has_to_mend_is_not_retried(
        self, messages_of, simulator, connect_twilio, changes, says
    ):
        messages_of(PAST_DAY)
        connect_twilio(simulator.url, **changes)
        with pytest.raises(AirflowFailException, match=says) as caught:
            sensor().execute(run_of(PAST_DAY))
        assert "another-token" not in str(caught.value)

    def test_a_misspelt_setting_is_not_retried(self, connections, configure):
        configure(MAX_WAITS="10m")
        with pytest.raises(AirflowFailException, match="TWILIO_CAMPAIGNS__MAX_WAITS is no setting"):
            sensor().execute(run_of(PAST_DAY))

    def test_a_warehouse_without_tables_names_the_dag_that_makes_them(self, empty_database_url, monkeypatch):
        monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE_DEFAULT", empty_database_url)
        with pytest.raises(AirflowFailException, match="warehouse_upgrade"):
            sensor().execute(run_of(PAST_DAY))
