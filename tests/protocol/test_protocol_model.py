"""The send protocol against a model: attempts that overlap and die, lost answers, callbacks, look-ups, in any order.

PostgreSQL and all statements are real; Twilio is a list in memory; time is moved by moving everything's past. What the
protocol documents as its limits is not generated: each place says so.

`PROTOCOL_EXAMPLES=1500 pytest tests/protocol/test_protocol_model.py` looks further than the suite does.
"""

import asyncio
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from builders import campaign, freeze, run, sender
from protocol.ledger_watch import SENT_LATE, LedgerWatch
from protocol.twilio_in_memory import WORDS, Clock, TwilioInMemory
from twilio_campaigns.domain.campaign import Message
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.resolving import SKEW
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.status import Source
from twilio_campaigns.engine.chunk import Chunk
from twilio_campaigns.engine.resolve import Resolver
from twilio_campaigns.gateway.outcome import Outcome, OutcomeKind
from twilio_campaigns.warehouse.applying import EventStore
from twilio_campaigns.warehouse.expiry import Expiry
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.resolving import ResolveStore
from twilio_campaigns.warehouse.runs import RunStore

ACCOUNT = "twilio_default"
SETTINGS = Settings(tracking_window=timedelta(days=2))
WINDOW = SETTINGS.tracking_window
POST_WINDOW = SETTINGS.post_window
TOTAL_TIMEOUT = timedelta(seconds=30)
#: With a lag, look-ups that a gap parts fall well within it.
LIST_LAGS = (timedelta(0), timedelta(hours=4))
NUMBERS = tuple(f"+1202555000{n}" for n in range(3))
CONTROL_NUMBER = "+12025559999"
SENDERS = (sender(), sender(name="number", messaging_service_sid=None, from_number="+15005550006"))
#: What is sent, and what Twilio shows of it. The links are one text to whoever allows for shortened ones.
TEXTS = (
    (Message(body="Sale today"), "Sale today"),
    (Message(body="“New” hours"), '"New" hours'),
    (Message(body="See https://a.example/1"), "See https://short.example/x"),
    (Message(body="See https://b.example/2"), "See https://short.example/y"),
    (Message(content_sid="HX" + "0" * 32), "Written by Twilio"),
)
SHOWN = {message.body: shown for message, shown in TEXTS}
TEMPLATE = len(TEXTS) - 1
OUTCOMES = {
    "refused": Outcome(OutcomeKind.REFUSED, code=21612),
    "throttled": Outcome(OutcomeKind.THROTTLED, code=20429),
    "5xx_before": Outcome(OutcomeKind.UNKNOWN, http_status=503),
    "5xx_after": Outcome(OutcomeKind.UNKNOWN, http_status=503),
}
FATES = ("accepted", "accepted", "answer_lost", "answer_lost", "lost_before", *OUTCOMES)
#: Shares of the list lag: none exceeds the setting, which is the limit.
LISTED_AFTER = (0.0, 0.5, 1.0)
SOURCES = (Source.LIST, Source.FETCH, Source.WEBHOOK)
STEPS = (
    timedelta(seconds=15),
    timedelta(seconds=25),
    timedelta(minutes=4),
    timedelta(minutes=11),
    timedelta(minutes=31),
    timedelta(minutes=65),
    timedelta(minutes=181),
    WINDOW,
)
_COLUMNS = {
    "messages": "claimed_at resolve_after looked_up_at undecided_at send_before accepted_at tracking_closes_at sent_at "
    "final_at settled_at",
    "campaign_runs": "created_at finished_at resumed_at state_changed_at",
    "campaign_events": "occurred_at recorded_at",
    "suppressions": "suppressed_at lifted_at",
    "stray_messages": "found_at",
}
MOVE_TIME = "; ".join(
    f"update {table} set " + ", ".join(f"{column} = {column} - {{by}}" for column in columns.split())
    for table, columns in _COLUMNS.items()
)
EMPTY = "truncate messages, campaign_runs, campaign_events, suppressions, stray_messages, audience_staging"

index = st.integers(0, 5)
durations = st.sampled_from(STEPS)
#: What becomes of a post: its fate, when lists show it, how long the request takes, whether the text is shown.
fates = st.tuples(
    st.sampled_from(FATES),
    st.sampled_from(LISTED_AFTER),
    st.sampled_from([timedelta(0), TOTAL_TIMEOUT]),
    st.sampled_from([False, False, False, True]),
)
chunks = st.lists(fates, min_size=1, max_size=2)


class Held:
    """One claim in an attempt's memory: its chunk, when it was asked for, and what was posted."""

    def __init__(self, chunk, asked_at, of, run_key):
        self.chunk, self.asked_at, self.of, self.run_key = chunk, asked_at, of, run_key
        self.to_post = list(chunk.rows)


class SendProtocol(RuleBasedStateMachine):
    """Two attempts, one ledger, one Twilio.

    :param warehouse: emptied before each example.
    """

    def __init__(self, warehouse):
        super().__init__()
        self.warehouse = warehouse
        with warehouse.transaction() as connection:
            connection.execute(EMPTY)
        self.ledger, self.expiry, self.runs = Ledger(warehouse), Expiry(warehouse), RunStore(warehouse)
        self.store, self.events = ResolveStore(warehouse), EventStore(warehouse)
        self.clock = Clock()
        self.campaigns = {}
        self.attempts = ([], [])
        self.reading = None

    @initialize(
        list_lag=st.sampled_from(LIST_LAGS),
        with_control=st.sampled_from([True, True, False]),
        with_templates=st.booleans(),
        text=st.integers(0, TEMPLATE),
        via=st.sampled_from(SENDERS),
        fates=chunks,
        end=st.sampled_from(["record", "hold", "die"]),
    )
    def begin(self, list_lag, with_control, with_templates, text, via, fates, end):
        self.list_lag, self.with_templates = list_lag, with_templates
        self.twilio = TwilioInMemory(self.clock, list_lag)
        self.watch = LedgerWatch(self.warehouse, self.twilio)
        if with_control:  # a message that lists must show, so that absence may count
            self._freeze(campaign(campaign_id="control"), [CONTROL_NUMBER])
            self._claim(0, "control/r0", 1, 1)
            self._post(self.attempts[0][0], "accepted")
            self._record(self.attempts[0].pop())
            self.advance(max(list_lag, timedelta(minutes=1)))
        self.freeze("spring", set(NUMBERS), text, via, timedelta(minutes=5), timedelta(hours=3))
        self._send(1, *self._planned()[0], fates, end)

    # What people and schedules do.

    @precondition(lambda self: len(self.campaigns) < 4)
    @rule(
        name=st.sampled_from(["spring", "autumn"]),
        numbers=st.sets(st.sampled_from(NUMBERS), min_size=1),
        text=st.integers(0, TEMPLATE),
        via=st.sampled_from(SENDERS),
        repeat_after=st.sampled_from([timedelta(minutes=5), timedelta(days=1)]),
        send_within=st.sampled_from([timedelta(hours=3), timedelta(days=3)]),
        as_before=st.booleans(),
    )
    def freeze(self, name, numbers, text, via, repeat_after, send_within, as_before=False):
        message, _ = TEXTS[text % (len(TEXTS) if self.with_templates else TEMPLATE)]
        if as_before:  # the same words through the same sender: two rows that one message may fit
            last = list(self.campaigns.values())[-1]
            message, via = last.message, last.sender
        self._freeze(
            campaign(
                campaign_id=name,
                message=message,
                sender=via,
                repeat_after=repeat_after,
                send_within=send_within,
                batch_size=2,
            ),
            sorted(numbers),
        )

    @precondition(lambda self: self.campaigns)
    @rule(which=index, what=st.sampled_from(["pause", "resume", "resume", "finish", "finish", "stop"]))
    def steer(self, which, what):
        run_key = self._run(which)
        if what == "pause":
            self.runs.pause(run_key, "somebody", "a look")
        elif what == "resume":
            self.runs.resume(run_key, "somebody")
        elif what == "stop":
            self.runs.stop(run_key, "somebody", "enough")
        else:
            self.runs.finish(run_key)
        self.watch.look()

    @precondition(lambda self: self.watch.in_state("too_late", "planned"))
    @rule(which=index, within=st.sampled_from([timedelta(hours=3), timedelta(days=1)]))
    def send_late(self, which, within):
        run_key = self._run(which)
        if self.runs.run(run_key).state == "stopped":  # RunSteering refuses
            return
        repeat_after = self.campaigns[run_key].repeat_after
        self.runs.plan_late(run_key, "somebody", within=within, repeat_after=repeat_after)
        self.watch.look(allows=SENT_LATE)

    @rule(by=durations)
    def advance(self, by):
        with self.warehouse.transaction() as connection:
            connection.execute(MOVE_TIME.format(by=f"interval '{by.total_seconds()} s'"))
        self.clock.moved += by
        self.watch.look()

    # What attempts do. Both may hold claims of one batch: a zombie and its successor.

    @precondition(lambda self: self.watch.in_state("planned"))
    @rule(attempt=st.integers(0, 1), which=index, rows=st.integers(1, 3))
    def claim(self, attempt, which, rows):
        planned = self._planned()
        self._claim(attempt, *planned[which % len(planned)], rows)

    @precondition(lambda self: self.watch.in_state("planned"))
    @rule(
        attempt=st.integers(0, 1),
        which=index,
        fates=chunks,
        end=st.sampled_from(["record", "hold", "die"]),
        by=durations,
    )
    def send_a_chunk(self, attempt, which, fates, end, by):
        """What an attempt does when nobody interferes, up to its record or its death."""
        planned = self._planned()
        self._send(attempt, *planned[which % len(planned)], fates, end)
        self.advance(by)

    @precondition(lambda self: self.watch.in_state("planned"))
    @rule(which=index, fates=chunks, by=durations)
    def send_a_chunk_and_die(self, which, fates, by):
        """Once more: Hypothesis leaves out about half of the rules in each example, and this must not be missing."""
        planned = self._planned()
        self._send(0, *planned[which % len(planned)], fates, "die")
        self.advance(by)

    @precondition(lambda self: any(held.to_post for held in self._all_held()))
    @rule(which=index, fate=fates)
    def post(self, which, fate):
        waiting = [held for held in self._all_held() if held.to_post]
        self._post(waiting[which % len(waiting)], *fate)

    @precondition(lambda self: self._all_held())
    @rule(which=index, end=st.sampled_from(["record", "record", "record_and_hold", "die"]))
    def end(self, which, end):
        """Record, however long after the lease, and perhaps the same again later; or die, with all that one holds."""
        held = self._all_held()[which % len(self._all_held())]
        (attempt,) = (claims for claims in self.attempts if held in claims)
        if end == "die":
            attempt.clear()
            return
        if end == "record":
            attempt.remove(held)
        self._record(held)

    # What time and look-ups do.

    @precondition(lambda self: self.watch.in_state("planned", "claimed", "unknown"))
    @rule(what=st.sampled_from(["age", "free", "close_late", "close_unknown"]))
    def pass_on(self, what):
        """One of the things that the passing of time does, at any moment."""
        {
            "age": self._age,
            "free": self._free,
            "close_late": self._close_late,
            "close_unknown": self._close_unknown,
        }[what]()

    @precondition(lambda self: self.watch.in_state("unknown"))
    @rule(is_late=st.booleans(), only_run=st.none() | index)
    def look_up_what_is_due(self, is_late, only_run):
        """As the run's task and reconciling do it; lists that are later than the setting show it by the control.

        The limit: lists that are late although they show the control. They are not generated.
        """
        if is_late:
            self.twilio.hidden_from = datetime.min.replace(tzinfo=UTC)
        self._look_up_what_is_due(None if only_run is None else self._run(only_run))
        self.twilio.hidden_from = None

    @precondition(lambda self: self.watch.in_state("unknown", "claimed"))
    @rule()
    def look_as_the_runs_do(self):
        """Age claims, look up what is due, plan again what is absent: `RunResolver.look` for every run."""
        self._look_as_the_runs_do()

    @precondition(lambda self: self.reading is not None or self.watch.in_state("unknown", "claimed"))
    @rule(which=index)
    def look_up_and_stand_still(self, which):
        """Read one number's list, whether it is due or not, and decide when this comes again, however late that is."""
        if self.reading is not None:
            (number, seen, absence_counts, read_at), self.reading = self.reading, None
            seen = [self._told_again(told) for told in seen]
            self._resolve(number, seen, read_at, absence_counts=absence_counts)
        else:
            numbers = sorted({row["to_number"] for row in self.watch.in_state("unknown", "claimed")})
            number = numbers[which % len(numbers)]
            read_at = self.clock.now()
            self.reading = (number, self.twilio.listed(number), self._has_control(), read_at)

    # What Twilio does.

    @precondition(lambda self: self.twilio.messages)
    @rule(
        whats=st.lists(
            st.tuples(st.integers(0, 20), st.sampled_from(WORDS), st.sampled_from(SOURCES)),
            min_size=1,
            max_size=4,
        )
    )
    def say(self, whats):
        """Lists, fetches and callbacks: older after newer, repeated, of anybody's messages, answered or not."""
        messages = self.twilio.messages
        told = [self.twilio.tell(messages[which % len(messages)], word, source) for which, word, source in whats]
        self.events.apply(told)
        self.watch.look(told, applied=True)

    @precondition(lambda self: sum(message.key is None for message in self.twilio.messages) < 2)
    @rule(
        number=st.sampled_from(NUMBERS),
        via=st.sampled_from(SENDERS),
        text=st.sampled_from(["Sale today", "Your code is 123"]),
        age=st.sampled_from([timedelta(0), timedelta(minutes=6), timedelta(hours=1)]),
    )
    def somebody_else_texts(self, number, via, text, age):
        """The same text from the same sender within a claim's time cannot be told from ours: a limit, not generated."""
        created_at = self.clock.now() - age
        if (text == "Sale today" or self.with_templates) and not self._is_out_of_question(number, created_at):
            text, via = "Your code is 123", sender(messaging_service_sid="MG" + "1" * 32)
        self.twilio.create(
            to=number,
            shown=text,
            service=via.messaging_service_sid,
            from_number=via.from_number,
            created_at=created_at,
        )

    def teardown(self):
        """Drive everything to its end: what is planned is sent, the rest closes.

        What is in memory is recorded late; the second attempt wakes up when others have sent what it held.
        """
        if not hasattr(self, "watch") or not self.watch.is_intact:
            return
        self.advance(SETTINGS.lease + timedelta(seconds=1))
        self._age()
        for held in self.attempts[0]:
            self._record(held)
        for run_key in self.campaigns:
            self.runs.resume(run_key, "somebody")
        for _ in range(3):
            self._one_round()
        for held in self.attempts[1]:
            while held.to_post:
                self._post(held, "accepted")
            self._record(held)
        self.advance(self.list_lag)
        for _ in range(3 if self.list_lag else 0):
            self._one_round()
        self.advance(max(WINDOW, timedelta(days=3)) + timedelta(seconds=1))
        self._age()
        for number in NUMBERS:
            self._resolve(number, self.twilio.listed(number), self.clock.now(), absence_counts=False)
        self._close_unknown()
        self._close_late()
        for run_key in self.campaigns:
            assert self.runs.finish(run_key) or self.runs.run(run_key).state in {"done", "stopped"}
        self.watch.look()
        assert not self.watch.in_state("planned", "claimed", "unknown")

    def _one_round(self):
        """Make one look of each run's own task, and send what is planned."""
        self._look_as_the_runs_do()
        for run_key, batch_no in self._planned():
            held = self._claim(0, run_key, batch_no, 10)
            while held.to_post:
                self._post(held, "accepted")
            self._record(held)
        self.advance(SETTINGS.lookup_gap + timedelta(seconds=1))

    def _look_as_the_runs_do(self):
        self._age()
        self._look_up_what_is_due()
        self._free()

    def _planned(self):
        return sorted({(row["run_key"], row["batch_no"]) for row in self.watch.in_state("planned")})

    def _age(self):
        self.expiry.age_claims(ACCOUNT, SETTINGS.lease, self.list_lag)
        self.watch.look()

    def _free(self):
        for run_key in self.campaigns:
            self.store.free(run_key)
        self.watch.look()

    def _close_late(self):
        self.expiry.close_late()
        self.watch.look()

    def _close_unknown(self):
        self.expiry.close_unknown(ACCOUNT, WINDOW)
        self.watch.look()

    def _look_up_what_is_due(self, only_run=None):
        seen = [told for number in NUMBERS for told in self.twilio.listed(number)]
        resolver = Resolver(self.warehouse, self.twilio, ACCOUNT, SETTINGS)
        asyncio.run(resolver.resolve(only_run))
        self.watch.look(seen)

    def _freeze(self, of, numbers):
        as_run = run(f"r{len(self.campaigns)}", of.campaign_id)
        self.campaigns[as_run.run_key] = of
        rows = [{"customer_id": number, "phone": number, "first_name": "A"} for number in numbers]
        freeze(self.warehouse, rows, of=of, as_run=as_run)
        self.watch.look()

    def _claim(self, attempt, run_key, batch_no, rows):
        of, asked_at = self.campaigns[run_key], self.clock.now()
        template = OutgoingMessage(
            to_number="", from_number=of.sender.from_number, messaging_service_sid=of.sender.messaging_service_sid
        )
        held = Held(Chunk(self.ledger.claim(run_key, batch_no, rows, uuid4(), template)), asked_at, of, run_key)
        if held.chunk.rows:
            self.attempts[attempt].append(held)
        self.watch.look()
        return held

    def _send(self, attempt, run_key, batch_no, fates, end):
        # Whoever stands still has one more to post when it wakes up.
        held = self._claim(attempt, run_key, batch_no, len(fates) + (end == "hold"))
        for fate in fates[: len(held.to_post)]:
            self._post(held, *fate)
        if end == "record":
            self._record(held)
        elif end == "die":
            self.attempts[attempt].clear()

    def _post(self, held, fate, listed_after=0.0, takes=timedelta(0), is_redacted=False):
        row = held.to_post.pop()
        # The same last look as the sender's.
        if self.clock.now() >= held.asked_at + POST_WINDOW or not held.chunk.begin(row.key):
            return
        outcome = OUTCOMES.get(fate)
        if fate in {"accepted", "answer_lost", "5xx_after"}:
            created = self.twilio.create(
                to=row.message.to_number,
                shown="" if is_redacted else SHOWN.get(row.message.body, row.message.body),
                service=row.message.messaging_service_sid,
                from_number=row.message.from_number,
                created_at=self.clock.now() + (takes if fate == "answer_lost" else timedelta(0)),
                listed_after=self.list_lag * listed_after,
                key=row.key,
            )
            if fate == "accepted":
                outcome = Outcome(OutcomeKind.ACCEPTED, self.twilio.tell(created, source=Source.SEND))
        if outcome is not None:
            held.chunk.put(row.key, outcome)

    def _record(self, held):
        outcomes = held.chunk.close()
        held.to_post.clear()
        answers = {key: self._told_again(answer) for key, answer in outcomes.accepted.items()}
        outcomes = replace(outcomes, accepted=answers)
        self.ledger.record(held.chunk.claim_id, outcomes, window=WINDOW, list_lag=self.list_lag)
        self.watch.look(list(answers.values()))

    def _resolve(self, number, seen, read_at, *, absence_counts):
        self.store.resolve(
            ACCOUNT,
            number,
            seen,
            seen_at=self.clock.in_database(read_at),
            absence_counts=absence_counts,
            list_lag=self.list_lag,
            lease=SETTINGS.lease,
            gap=SETTINGS.lookup_gap,
            window=WINDOW,
        )
        self.watch.look(seen)

    def _told_again(self, told):
        """What was told a while ago, its moments moved as the database's were."""
        return self.twilio.tell(self.twilio.by_sid()[told.sid], source=told.source)

    def _all_held(self):
        return [held for claims in self.attempts for held in claims]

    def _run(self, which):
        return list(self.campaigns)[which % len(self.campaigns)]

    def _has_control(self):
        return self.store.control(ACCOUNT, self.list_lag, SETTINGS.lease) is not None

    def _is_out_of_question(self, number, created_at):
        """Whether no claim's time, past or to come, takes in a message of this moment."""
        if created_at >= self.clock.now() - SKEW - timedelta(seconds=1):
            return False
        return not any(
            to == number and claimed_at - SKEW <= created_at <= claimed_at + SETTINGS.lease + SKEW
            for to, claimed_at in self.watch.claims
        )


def test_no_interleaving_texts_anybody_twice_or_forgets_a_message(warehouse, query):
    name = query("select current_database() as name")[0]["name"]
    query(f"alter database {name} set synchronous_commit = off")
    run_state_machine_as_test(
        lambda: SendProtocol(warehouse),
        settings=settings(
            max_examples=int(os.environ.get("PROTOCOL_EXAMPLES", "40")),
            stateful_step_count=40,
            deadline=None,
            print_blob=True,
            derandomize=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
