"""Summaries say what messages and events say, whatever was written, in whatever order, by whomever."""

import random
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from builders import campaign, freeze, observation, people, run
from summaries_truth import kept, truth
from twilio_campaigns.domain.exceptions import TransientError
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.opt_out import OptOutWords
from twilio_campaigns.domain.webhooks import Click, StatusCallback
from twilio_campaigns.warehouse.applying import EventStore
from twilio_campaigns.warehouse.callbacks import CallbackStore
from twilio_campaigns.warehouse.clicks import ClickStore
from twilio_campaigns.warehouse.expiry import Expiry
from twilio_campaigns.warehouse.inbound import InboundStore
from twilio_campaigns.warehouse.insight.keeping import SummaryKeeper
from twilio_campaigns.warehouse.insight.refreshing import Summaries
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.outcomes import Outcomes
from twilio_campaigns.warehouse.repairing import RepairStore
from twilio_campaigns.warehouse.resolving import ResolveStore
from twilio_campaigns.warehouse.runs import RunStore

ACCOUNT = "twilio_default"
SERVICE = "MG" + "0" * 32
WINDOW, LEASE = timedelta(days=4), timedelta(minutes=10)
TEMPLATE = OutgoingMessage(to_number="", messaging_service_sid=SERVICE)
ENDS = [("queued", None), ("sent", None), ("delivered", None), ("undelivered", 30003), ("failed", 30007)]
WORLD = ["+12025550", "+4915112345", "+3361234567"]


class Chance:
    """Writes at random, through the stores that write in production."""

    def __init__(self, warehouse, query, seed):
        self.random = random.Random(seed)
        self.warehouse, self.query = warehouse, query
        self.runs = 0
        self.started = datetime.now(UTC)
        self.claims = []

    def some(self, statement, most=8):
        rows = [next(iter(row.values())) for row in self.query(statement)]
        return self.random.sample(rows, min(len(rows), self.random.randint(1, most)))

    def accepted(self):
        return self.some("select message_sid from messages where message_sid is not null order by 1")

    def observed(self, sid, source="list"):
        word, code = self.random.choice(ENDS)
        (row,) = self.query("select accepted_at from messages where message_sid = %s", sid)
        created = row["accepted_at"].replace(microsecond=0)
        at = created + timedelta(seconds=self.random.choice([0, 1, 7, 300, 90_000]))
        priced = {"price": Decimal("0.0075"), "price_unit": "USD"} if self.random.random() < 0.4 else {}
        sent_at = at if word not in {"queued", "failed"} else None
        parts = self.random.choice([None, 1, 2])
        return observation(
            sid, word, at=created, updated_at=at, sent_at=sent_at, error_code=code, parts=parts, source=source, **priced
        )

    def write_on(self, failures):
        """Write for a while; say what went wrong."""
        try:
            for way in self.random.choices(["claim", "record", "read", "click", "reply", "callback"], k=15):
                getattr(self, way)()
        except Exception as error:  # noqa: BLE001 - whatever it was
            failures.append(error)

    def freeze(self):
        if self.runs < 3:
            self.runs += 1
            rows = [
                {
                    "customer_id": f"c{n}",
                    "phone": f"{self.random.choice(WORLD)}{n:03}",
                    "first_name": "A" if n % 5 else "",
                }
                for n in range(self.random.randint(5, 30))
            ]
            of = campaign(campaign_id=f"spring{self.runs % 2}", batch_size=self.random.choice([7, 100]))
            freeze(self.warehouse, rows, of=of, as_run=run(f"run{self.runs}", of.campaign_id))

    def claim(self):
        for row in self.query("select distinct run_key, batch_no from messages where send_state = 'planned'")[:1]:
            self.claims.append(Ledger(self.warehouse).claim(row["run_key"], row["batch_no"], 5, uuid4(), TEMPLATE))

    def record(self):
        for claim in self.claims[:1]:
            self.claims.remove(claim)
            outcomes = {"accepted": {}, "refused": {}, "released": [], "unknown": []}
            kinds = self.random.choice([["accepted"] * 6 + list(outcomes), ["refused", "released", "unknown"]])
            for claimed in claim.rows[: self.random.randint(0, 5)]:
                what = self.random.choice(kinds)
                if what == "accepted":
                    outcomes[what][claimed.key] = observation(
                        at=datetime.now(UTC).replace(microsecond=0), source="send"
                    )
                elif what == "refused":
                    outcomes[what][claimed.key] = self.random.choice([21211, 21610, None])
                else:
                    outcomes[what].append(claimed.key)
            Ledger(self.warehouse).record(
                claim.claim_id, Outcomes(**outcomes), window=WINDOW, list_lag=timedelta(seconds=0)
            )

    def read(self):
        settle = self.random.choice([None, timedelta(hours=48), timedelta(microseconds=1)])
        EventStore(self.warehouse).apply([self.observed(sid) for sid in self.accepted()], settle_unpriced_after=settle)

    def settle(self):
        """Twilio does not know them any more."""
        EventStore(self.warehouse).settle_unseen(self.accepted(), timedelta(microseconds=1))

    def backfill(self):
        """Events go missing and rows are spoilt; a backfill repairs both."""
        sids = self.accepted()
        self.query("delete from campaign_events where message_sid = any(%s) and status in ('sent', 'delivered')", sids)
        EventStore(self.warehouse).apply([self.observed(sid, "fetch") for sid in sids], repair=True)

    def repair(self):
        self.query("delete from campaign_events where status = 'enqueue_failed'")
        RepairStore(self.warehouse).repair_refused(datetime.now(UTC).date())
        RepairStore(self.warehouse).repair_from_ledger(self.accepted())

    def callback(self):
        waiting = self.query("select message_key, claim_id from messages where send_state in ('claimed', 'unknown')")
        told = [
            StatusCallback(
                "SM" + uuid4().hex, "delivered", (ACCOUNT,), 0.0, key=row["message_key"], claim_id=row["claim_id"]
            )
            for row in waiting[:2]
        ]
        told += [StatusCallback(sid, self.random.choice(ENDS)[0], (ACCOUNT,), 0.0) for sid in self.accepted()]
        CallbackStore(self.warehouse, window=WINDOW, lease=LEASE, clock=lambda: 0.0).apply(told)

    def date(self):
        """A list dates what a callback made known."""
        sids = self.some("select message_sid from messages where sid_source = 'callback' order by 1")
        seen = [self.observed(sid) for sid in sids]
        EventStore(self.warehouse).apply(
            observation(o.sid, o.provider_status, at=o.created_at - timedelta(seconds=3), updated_at=o.updated_at)
            for o in seen
        )

    def click(self):
        clicks = [
            Click(sid, self.random.choice("ab"), (ACCOUNT,), 0.0, clicked_at=datetime.now(UTC), user_agent=agent)
            for sid in self.accepted()
            for agent in self.random.sample(["Mozilla/5.0 (iPhone)", "facebookexternalhit/1.1", "other"], 2)
        ]
        ClickStore(self.warehouse, lambda: 0.0).take_in(clicks)

    def reply(self):
        numbers = self.some("select to_number from messages where message_sid is not null order by message_key", 3)
        seen = [
            observation(
                direction="inbound",
                at=datetime.now(UTC),
                from_number=number,
                to_number="+12025559001",
                messaging_service_sid=SERVICE,
                body=self.random.choice(["STOP", "thanks", "START"]),
            )
            for number in numbers
        ]
        InboundStore(self.warehouse, OptOutWords()).take_in(ACCOUNT, seen)

    def age(self):
        Expiry(self.warehouse).age_claims(ACCOUNT, timedelta(0), timedelta(0))

    def close_unknown(self):
        Expiry(self.warehouse).close_unknown(ACCOUNT, timedelta(0))

    def come_too_late(self):
        self.query("update messages set send_before = now() where send_state = 'planned' and country <> 'US'")
        Expiry(self.warehouse).close_late()

    def doubt(self):
        if self.random.random() < 0.3:
            Expiry(self.warehouse).doubt_planned(ACCOUNT, self.started, timedelta(0))

    def resolve(self):
        """Each number is looked up twice: twice without a trace is what may be sent again."""
        for number in self.some("select to_number from messages where send_state = 'unknown' order by 1", 3):
            (row,) = self.query(
                "select * from messages where to_number = %s and send_state = 'unknown' limit 1", number
            )
            body = self.random.choice([row["body"], "another text"])
            found = observation(at=row["claimed_at"], to_number=number, body=body, messaging_service_sid=SERVICE)
            seen = self.random.choice([[], [], [found]])
            for hours in (1, 2):
                ResolveStore(self.warehouse).resolve(
                    ACCOUNT,
                    number,
                    seen,
                    seen_at=datetime.now(UTC) + timedelta(hours=hours),
                    absence_counts=True,
                    list_lag=timedelta(0),
                    lease=LEASE,
                    gap=timedelta(0),
                    window=WINDOW,
                )

    def free(self):
        for row in self.query("select run_key from campaign_runs"):
            ResolveStore(self.warehouse).free(row["run_key"])

    def plan_late(self):
        for row in self.query("select run_key from campaign_runs"):
            RunStore(self.warehouse).plan_late(
                row["run_key"], "somebody", within=timedelta(hours=1), repeat_after=timedelta(hours=1)
            )


WAYS = [name for name, value in vars(Chance).items() if callable(value) and not name.startswith("_")]
WAYS = [name for name in WAYS if name not in {"some", "accepted", "observed", "write_on"}]


def differences(query):
    found, wanted = kept(query), truth(query)
    # A row that says nothing is as good as none: a run has no clicks, or none any more.
    return {
        where: (found.get(where), wanted.get(where))
        for where in found.keys() | wanted.keys()
        if found.get(where) != wanted.get(where)
    }


@pytest.mark.parametrize("seed", range(3))
def test_after_any_writing_marked_summaries_say_what_messages_say(warehouse, query, seed):
    chance, summaries = Chance(warehouse, query, seed), Summaries(warehouse)
    done = ["freeze", "claim", "record", "claim", "record", *chance.random.sample(WAYS * 4, 4 * len(WAYS))]
    for number, way in enumerate(done, 1):
        getattr(chance, way)()
        summaries.refresh_marked()
        assert not differences(query), done[:number]
    assert query("select * from summary_marks") == []


def test_nothing_is_missed_while_others_write(warehouse, query):
    """Summaries are made all the time while four write; what is marked afterwards is enough to have all."""
    chances = [Chance(warehouse, query, seed) for seed in range(4)]
    for number, chance in enumerate(chances):
        chance.runs = number % 2
        chance.freeze()
    is_over = threading.Event()
    failures = []

    def refresh():
        while not is_over.is_set():
            Summaries(warehouse).refresh_marked()

    readers = [threading.Thread(target=refresh) for _ in range(2)]
    writers = [threading.Thread(target=chance.write_on, args=(failures,)) for chance in chances]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    is_over.set()
    for thread in readers:
        thread.join()
    assert failures == []
    Summaries(warehouse).refresh_marked()
    assert not differences(query)
    assert query("select count(*) as n from messages where message_sid is not null")[0]["n"] > 10


def test_what_may_be_sent_again_waits_again(warehouse, query):
    freeze(warehouse, people(3))
    claim = Ledger(warehouse).claim(run().run_key, 1, 2, uuid4(), TEMPLATE)
    outcomes = Outcomes(accepted={}, refused={}, released=[], unknown=[row.key for row in claim.rows])
    Ledger(warehouse).record(claim.claim_id, outcomes, window=WINDOW, list_lag=timedelta(0))
    query("update messages set lookups = 2 where send_state = 'unknown'")
    Summaries(warehouse).refresh_marked()
    assert query("select waiting, unknown from summary_counts") == [{"waiting": 1, "unknown": 2}]
    assert ResolveStore(warehouse).free(run().run_key) == 2
    assert Summaries(warehouse).refresh_marked() == 1
    assert query("select waiting, unknown from summary_counts") == [{"waiting": 3, "unknown": 0}]


def test_a_window_that_closes_is_seen_without_any_mark(warehouse, query):
    freeze(warehouse, people(3))
    (key,) = (row["message_key"] for row in query("select message_key from messages limit 1"))
    query(
        "update messages set send_state = 'accepted', message_sid = 'SM1', accepted_at = now() - interval '4 days', "
        "tracked_on = current_date, status = 'sent', tracking_closes_at = clock_timestamp() + interval '300 ms' "
        "where message_key = %s",
        key,
    )
    summaries = Summaries(warehouse)
    summaries.refresh(run().run_key)
    assert query("select sum(open) as open, sum(unreported) as unreported from summary_counts") == [
        {"open": 1, "unreported": 0}
    ]
    query("select pg_sleep(0.4)")
    assert query("select * from summary_marks") == []
    assert summaries.refresh_marked() == 1
    assert query("select sum(open) as open, sum(unreported) as unreported from summary_counts") == [
        {"open": 0, "unreported": 1}
    ]
    assert summaries.refresh_marked() == 0


def test_a_refresh_that_dies_leaves_the_old_summary_and_its_marks(warehouse, query, monkeypatch):
    freeze(warehouse, people(3))
    query("insert into summary_marks (run_key) values (%s)", run().run_key)
    before = kept(query)
    query("update messages set send_state = 'too_late'")
    monkeypatch.setattr("twilio_campaigns.warehouse.insight.refreshing._SIGN", "select 1 / 0")
    with pytest.raises(Exception, match="division by zero"):
        Summaries(warehouse).refresh_marked()
    monkeypatch.undo()
    assert kept(query) == before
    assert len(query("select * from summary_marks")) == 1
    assert Summaries(warehouse).refresh_marked() == 1
    assert not differences(query)


def test_a_refresh_is_not_repeated_before_it_is_worth_it(warehouse, query):
    freeze(warehouse, people(3))
    summaries = Summaries(warehouse)

    def due(ago, took):
        query("truncate summary_marks")
        query("insert into summary_marks (run_key) values (%s)", run().run_key)
        query("update summary_runs set took = %s, refreshed_at = now() - make_interval(secs => %s)", took, ago)
        return summaries.refresh_due()

    assert [due(9, 0.001), due(11, 0.001), due(30, 2.0), due(41, 2.0)] == [0, 1, 0, 1]
    assert summaries.refresh_due() == 0


def test_a_run_at_which_somebody_is_is_left_to_them(warehouse, query):
    freeze(warehouse, people(3))
    query("delete from summary_runs")
    query("insert into summary_marks (run_key) values (%s)", run().run_key)
    with warehouse.transaction() as connection:
        connection.execute("select pg_advisory_xact_lock(hashtextextended('summary ' || %s, 0))", (run().run_key,))
        assert Summaries(warehouse).refresh_due() == 0
    assert Summaries(warehouse).refresh_due() == 1


def test_nobody_waits_long_for_whoever_is_at_a_run(warehouse, query, caplog, monkeypatch):
    """A frozen worker may hold it until its connection is given up: no freeze, look or pass hangs for that."""
    monkeypatch.setattr("twilio_campaigns.warehouse.insight.refreshing.LOCK_TIMEOUT", "100ms")
    freeze(warehouse, people(2))
    with warehouse.transaction() as other:
        other.execute("select pg_advisory_xact_lock(hashtextextended('summary ' || %s, 0))", (run().run_key,))
        with pytest.raises(TransientError):
            Summaries(warehouse).refresh(run().run_key)
        SummaryKeeper(warehouse).count(run().run_key)
        assert "Summaries were not made anew" in caplog.text
    Summaries(warehouse).refresh(run().run_key)


def test_a_run_that_cannot_be_counted_keeps_nobody_from_counting_others(warehouse, query, monkeypatch):
    monkeypatch.setattr("twilio_campaigns.warehouse.insight.refreshing.LOCK_TIMEOUT", "100ms")
    first, second = run("a"), run("b")
    for number, one in enumerate((first, second)):
        freeze(warehouse, people(2, first=10 * number), as_run=one)
    query("delete from summary_runs")
    query("insert into summary_marks (run_key) select run_key from campaign_runs")
    with warehouse.transaction() as other:
        other.execute("select pg_advisory_xact_lock(hashtextextended('summary ' || %s, 0))", (first.run_key,))
        with pytest.raises(TransientError, match=first.run_key):
            Summaries(warehouse).refresh_marked()
    assert query("select run_key from summary_runs") == [{"run_key": second.run_key}]


def test_what_did_not_change_is_not_written(warehouse, query):
    freeze(warehouse, people(30))
    before = query("select xmin::text, ctid::text, * from summary_counts order by country")
    Summaries(warehouse).refresh(run().run_key)
    assert query("select xmin::text, ctid::text, * from summary_counts order by country") == before
