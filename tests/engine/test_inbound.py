"""Replies against the simulator: rows, the messages they answer, and whom STOP, START and refusals leave out."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import campaign, freeze, observation, people, run, sender
from twilio_campaigns.domain.exceptions import TwilioRejectedError, TwilioUnavailableError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.status import Source
from twilio_campaigns.engine.inbound import MAX_NUMBERS, InboundSweep
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.reading import Patience
from twilio_campaigns.simulator.intake import POOL
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.outcomes import Outcomes, accept_locked
from twilio_campaigns.warehouse.suppressions import suppress_failed

ACCOUNT = "twilio_default"
SERVICE = "MG" + "0" * 32
OTHER_SERVICE = "MG" + "1" * 32
NUMBER = "+12025559001"
OTHER_NUMBER = "+12025559002"
PERSON = "+12025551000"
STRANGER = "+12025557777"
ALWAYS = Settings(inbound_every=timedelta(microseconds=1))
AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def number_campaign(number=NUMBER, **changes):
    return campaign(sender=sender(name=number, messaging_service_sid=None, from_number=number), **changes)


def service_campaign(service=SERVICE, **changes):
    return campaign(sender=sender(name=service, messaging_service_sid=service), **changes)


def send(warehouse, simulator, of, key="2026-11-20", rows=None):
    """Freeze and send a run of one person, or of these."""
    as_run = run(key, of.campaign_id)
    freeze(warehouse, rows or people(1, first=1000), of=of, as_run=as_run)

    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            await BatchSender(warehouse, twilio, of, Settings()).send(as_run.run_key, 1)

    asyncio.run(work())
    return as_run.run_key


def fill_in_senders(query, simulator):
    """Let the ledger know what reconciling would: which number of the service sent each message."""
    for message in simulator.truth():
        query("update messages set from_number = %s where message_sid = %s", message["from"], message["sid"])


def write(simulator, body, *, to=NUMBER, person=PERSON):
    return simulator.control("POST", "inbound", From=person, To=to, Body=body)["sid"]


def sweep(warehouse, simulator, with_settings=ALWAYS, **changes):
    async def work():
        async with TwilioGateway(simulator.settings(**changes), patience=Patience(tries=1)) as twilio:
            summary = await InboundSweep(warehouse, with_settings).sweep(ACCOUNT, twilio)
            assert twilio.calls == summary.pages
            return summary

    return asyncio.run(work())


def suppressions(query):
    return query("select to_number, scope, reason, source, lifted_at is null as stands from suppressions order by 1, 2")


def standing(query):
    return {(row["to_number"], row["scope"], row["reason"]) for row in suppressions(query) if row["stands"]}


def tables(query):
    """Everything that replies write, without what says who saw them when."""
    replies = query("select * from inbound_messages order by message_sid")
    events = query("select * from campaign_events where status = 'incoming_message' order by event_id")
    for row in (*replies, *events):
        del row["recorded_at"], row["source"]
    for row in events:
        del row["provider_status"]
    return replies, events, query("select * from suppressions order by to_number, scope")


class TestReplies:
    def test_a_reply_becomes_a_row_and_an_event_of_the_message_it_answers(self, warehouse, query, simulator):
        run_key = send(warehouse, simulator, number_campaign(event_name="offer"))
        sid = write(simulator, "Is this still on?")
        summary = sweep(warehouse, simulator)
        assert (summary.taken.received, summary.taken.answers, summary.taken.opted_out) == (1, 1, 0)
        (message,) = query("select * from messages")
        (reply,) = query("select * from inbound_messages")
        assert (reply["message_sid"], reply["from_number"], reply["to_number"]) == (sid, PERSON, NUMBER)
        assert (reply["body"], reply["message_key"], reply["source"]) == (
            "Is this still on?",
            message["message_key"],
            "list",
        )
        (event,) = query("select * from campaign_events where status = 'incoming_message'")
        assert event["event_name"] == "offer"
        assert (event["action_type"], event["message_sid"], event["provider_status"]) == ("sms", sid, "received")
        assert event["occurred_at"] == reply["received_at"]
        assert event["run_key"] == run_key
        same = ("campaign_id", "message_key", "customer_id", "to_number", "country", "tracked_on")
        assert {name: event[name] for name in same} == {name: message[name] for name in same}
        assert suppressions(query) == []

    def test_a_number_learnt_late_is_read_from_its_first_use(self, warehouse, query, start_simulator):
        """A service picks its number after the answer; until that is known nobody can ask for replies to it."""
        simulator = start_simulator(started_at=datetime.now(UTC) - timedelta(hours=3), life_speed=100_000)
        send(warehouse, simulator, service_campaign())
        pool_number = simulator.truth()[0]["from"]
        assert pool_number in POOL
        write(simulator, "hello", to=pool_number)
        first = sweep(warehouse, simulator)
        assert (first.was_due, first.pages, first.taken.received) == (True, 0, 0)
        fill_in_senders(query, simulator)
        with pytest.raises(TwilioRejectedError):
            sweep(warehouse, simulator, auth_token="wrong")
        second = sweep(warehouse, simulator)
        assert (second.pages, second.taken.answers) == (1, 1)
        query("delete from inbound_messages")
        assert sweep(warehouse, simulator).taken.received == 0

    def test_a_reply_answers_the_last_message_of_the_sender_that_it_was_written_to(self, warehouse, query, simulator):
        earlier = send(warehouse, simulator, number_campaign(campaign_id="earlier"))
        send(warehouse, simulator, number_campaign(OTHER_NUMBER, campaign_id="from_another_number"))
        later = send(warehouse, simulator, number_campaign(campaign_id="later"))
        query("update messages set accepted_at = accepted_at - interval '1 hour' where run_key = %s", earlier)
        write(simulator, "which one?")
        sweep(warehouse, simulator)
        assert query("select run_key from campaign_events where status = 'incoming_message'") == [{"run_key": later}]
        query("truncate inbound_messages, campaign_events")
        query("update messages set accepted_at = accepted_at + interval '1 day' where run_key = %s", later)
        sweep(warehouse, simulator)
        assert query("select run_key from campaign_events where status = 'incoming_message'") == [{"run_key": earlier}]

    def test_a_reply_to_one_number_of_a_service_prefers_the_thread_on_that_number(self, warehouse, query, simulator):
        on_this = send(warehouse, simulator, service_campaign(campaign_id="on_this"))
        on_that = send(warehouse, simulator, service_campaign(campaign_id="on_that"))
        query("update messages set from_number = %s where run_key = %s", NUMBER, on_this)
        query("update messages set from_number = %s where run_key = %s", OTHER_NUMBER, on_that)
        query("update messages set accepted_at = accepted_at - interval '1 hour' where run_key = %s", on_this)
        write(simulator, "yes?", to=NUMBER)
        sweep(warehouse, simulator)
        assert query("select run_key from campaign_events where status = 'incoming_message'") == [{"run_key": on_this}]

    def test_who_writes_without_having_been_texted_belongs_to_no_campaign(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        write(simulator, "STOP", person=STRANGER)
        summary = sweep(warehouse, simulator)
        assert (summary.taken.received, summary.taken.answers, summary.taken.opted_out) == (1, 0, 1)
        assert query("select message_key from inbound_messages") == [{"message_key": None}]
        assert query("select * from campaign_events where status = 'incoming_message'") == []
        assert standing(query) == {(STRANGER, NUMBER, "opt_out")}

    def test_other_traffic_of_a_shared_account_costs_no_row(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        write(simulator, "STOP", to="+12025558888")
        found = InboundSweep(warehouse, ALWAYS).take_in(
            ACCOUNT, [seen("STOP", to="+12025558888", service=OTHER_SERVICE), observation()]
        )
        assert found.received == sweep(warehouse, simulator).taken.received == 0
        assert tables(query) == ([], [], [])

    def test_a_webhook_names_the_service_before_its_number_is_known(self, warehouse, query, simulator):
        send(warehouse, simulator, service_campaign())
        query("update messages set accepted_at = %s", AT)
        sweep(warehouse, simulator)
        to_pool = seen("STOP", to=POOL[0], service=SERVICE, source=Source.WEBHOOK)
        assert take_in(warehouse, [to_pool, seen("STOP", to=POOL[0], service=OTHER_SERVICE)]).answers == 1
        assert standing(query) == {(PERSON, SERVICE, "opt_out")}

    def test_a_reply_that_came_before_its_message_was_recorded_is_joined_at_the_next_sweep(
        self, warehouse, query, simulator
    ):
        send(warehouse, simulator, number_campaign())
        (row,) = query("select message_key, message_sid from messages")
        query("update messages set send_state = 'claimed', message_sid = null")
        write(simulator, "hi")
        assert sweep(warehouse, simulator).taken.answers == 0
        query("update messages set send_state = 'accepted', message_sid = %s", row["message_sid"])
        again = sweep(warehouse, simulator)
        assert (again.taken.received, again.taken.answers) == (0, 1)
        assert query("select message_key from inbound_messages") == [{"message_key": row["message_key"]}]

    def test_what_a_status_list_happens_to_show_is_taken_in(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        write(simulator, "STOP")
        sweeper = InboundSweep(warehouse, ALWAYS)
        sweep(warehouse, simulator)
        before = tables(query)
        query("truncate inbound_messages, campaign_events, suppressions")

        async def work():
            async with TwilioGateway(simulator.settings()) as twilio:
                return [page.messages async for page in twilio.list()]

        (page,) = asyncio.run(work())
        assert sweeper.take_in(ACCOUNT, page).opted_out == 1
        assert tables(query) == before

    def test_odd_texts_and_pictures_are_kept(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        sweep(warehouse, simulator)
        later = datetime.now(UTC) + timedelta(minutes=1)
        picture = observation("MM" + "1" * 32, "received", at=later, direction="inbound", **SENT, parts=1)
        odd = observation("SM" + "2" * 32, "received", at=later, direction="inbound", **SENT, body="a\0b\ud83d")
        assert InboundSweep(warehouse, ALWAYS).take_in(ACCOUNT, [picture, odd, picture]).answers == 2
        rows = query("select action_type from campaign_events where status = 'incoming_message' order by 1")
        assert [row["action_type"] for row in rows] == ["mms", "sms"]
        assert query("select body from inbound_messages order by message_sid") == [{"body": None}, {"body": "ab"}]

    def test_neither_numbers_nor_texts_are_logged(self, warehouse, simulator, caplog):
        caplog.set_level("DEBUG", logger="twilio_campaigns")
        send(warehouse, simulator, number_campaign())
        write(simulator, "my secret")
        sweep(warehouse, simulator)
        assert "1 new replies" in caplog.text
        assert "secret" not in caplog.text
        assert "2555" not in caplog.text


SENT = {"from_number": PERSON, "to_number": NUMBER}


def seen(body, second=0, *, to=NUMBER, service=None, sid=None, source=Source.LIST):
    at = AT + timedelta(seconds=second)
    return observation(
        sid,
        "received",
        at=at,
        direction="inbound",
        from_number=PERSON,
        to_number=to,
        messaging_service_sid=service,
        body=body,
        source=source,
    )


class TestReading:
    def test_replies_are_read_a_quarter_of_an_hour_apart(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        sweeper = InboundSweep(warehouse, Settings())
        assert sweeper.connections() == [ACCOUNT]
        assert sweeper.is_due(ACCOUNT)
        assert sweep(warehouse, simulator, Settings()).was_due
        write(simulator, "one")
        query("update inbound_reads set read_at = read_at - interval '14 minutes'")
        assert not sweeper.is_due(ACCOUNT)
        assert not sweep(warehouse, simulator, Settings()).was_due
        query("update inbound_reads set read_at = read_at - interval '1 minute'")
        assert sweeper.is_due(ACCOUNT)
        assert sweep(warehouse, simulator, Settings()).taken.received == 1

    @pytest.mark.parametrize(("minutes", "received"), [(29, 1), (31, 0)])
    def test_each_read_reaches_half_an_hour_back(self, warehouse, start_simulator, minutes, received):
        simulator = start_simulator(started_at=datetime.now(UTC) - timedelta(minutes=minutes))
        send(warehouse, simulator, number_campaign())
        sweep(warehouse, simulator)
        write(simulator, "listed late")
        assert sweep(warehouse, simulator).taken.received == received

    def test_a_sweep_that_fails_is_made_up_for(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        sweep(warehouse, simulator)
        before = query("select * from inbound_reads")
        write(simulator, "STOP")
        simulator.control("POST", "faults", read_unavailable_share=1.0)
        with pytest.raises(TwilioUnavailableError):
            sweep(warehouse, simulator)
        with pytest.raises(TwilioRejectedError):
            sweep(warehouse, simulator, auth_token="wrong")
        assert query("select * from inbound_reads") == before
        simulator.control("POST", "faults", read_unavailable_share=0.0)
        assert sweep(warehouse, simulator).taken.opted_out == 1

    def test_an_account_without_campaigns_costs_no_call(self, warehouse, query, simulator):
        write(simulator, "STOP")
        summary = sweep(warehouse, simulator)
        assert (summary.pages, summary.taken.received) == (0, 0)
        assert InboundSweep(warehouse, ALWAYS).connections() == []

    def test_many_numbers_are_read_together_and_new_ones_by_themselves(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        query(
            "insert into reply_addresses select %s, '+1202555' || n, '+1202555' || n, now() - interval '3 hours' "
            "from generate_series(5000, 5000 + %s) as n",
            ACCOUNT,
            MAX_NUMBERS,
        )
        write(simulator, "one")
        write(simulator, "two", to="+12025555001")
        first = sweep(warehouse, simulator)
        assert (first.pages, first.taken.received, first.taken.answers) == (1, 2, 1)
        write(simulator, "three", to=OTHER_NUMBER)
        query("insert into reply_addresses values (%s, %s, %s, now())", ACCOUNT, OTHER_NUMBER, OTHER_NUMBER)
        again = sweep(warehouse, simulator)
        assert (again.pages, again.taken.received) == (2, 1)

    def test_senders_to_whom_nobody_can_write_are_not_asked_for(self, warehouse, simulator):
        send(warehouse, simulator, number_campaign("ACME"))
        assert sweep(warehouse, simulator).pages == 0


class TestWords:
    def test_stop_start_and_help_of_a_service(self, warehouse, query, simulator):
        send(warehouse, simulator, service_campaign())
        fill_in_senders(query, simulator)
        number = simulator.truth()[0]["from"]
        write(simulator, "Stop ", to=number)
        sweep(warehouse, simulator)
        assert standing(query) == {(PERSON, SERVICE, "opt_out")}
        simulator.control("POST", "clock", advance_seconds=5)
        write(simulator, "help", to=number)
        assert sweep(warehouse, simulator).taken.asked_for_help == 1
        assert standing(query) == {(PERSON, SERVICE, "opt_out")}
        simulator.control("POST", "clock", advance_seconds=5)
        sid = write(simulator, "START", to=number)
        assert sweep(warehouse, simulator).taken.opted_in == 1
        (row,) = query("select * from suppressions")
        assert (row["reason"], row["source"] == f"inbound:{sid}") == ("opt_out", False)
        assert (
            row["lifted_at"]
            == query("select received_at from inbound_messages where message_sid = %s", sid)[0]["received_at"]
        )
        words = query("select comment from campaign_events where status = 'incoming_message' order by occurred_at")
        assert [row["comment"].split()[2:4] for row in words] == [["opted", "out:"], ["asked", "for"], ["opted", "in:"]]

    def test_words_of_the_account(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        write(simulator, "arrêt")
        sweep(warehouse, simulator)
        assert standing(query) == set()
        query("delete from inbound_messages")
        own = Settings(inbound_every=timedelta(microseconds=1), opt_out_words=["ARRÊT"])
        assert sweep(warehouse, simulator, own).taken.opted_out == 1
        assert standing(query) == {(PERSON, NUMBER, "opt_out")}

    def test_a_number_of_several_senders_opts_out_of_all_of_them(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign(campaign_id="through_number"))
        of_service = send(warehouse, simulator, service_campaign(campaign_id="through_service"))
        query("update messages set from_number = %s where run_key = %s", NUMBER, of_service)
        write(simulator, "STOP")
        sweep(warehouse, simulator)
        assert standing(query) == {(PERSON, NUMBER, "opt_out"), (PERSON, SERVICE, "opt_out")}

    def test_what_a_person_wrote_into_the_table_stands_until_they_lift_it(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        sweep(warehouse, simulator)
        for reason in ("manual", "bad_number"):
            query("delete from suppressions")
            query("insert into suppressions values (%s, %s, 'me', %s, null, %s)", PERSON, reason, AT, NUMBER)
            before = query("select * from suppressions")
            take_in(warehouse, [seen("STOP", 1), seen("START", 2)])
            assert query("select * from suppressions") == before
        query("update suppressions set lifted_at = %s", AT + timedelta(seconds=3))
        take_in(warehouse, [seen("STOP", 2)])
        assert standing(query) == set()
        take_in(warehouse, [seen("STOP", 4)])
        assert standing(query) == {(PERSON, NUMBER, "opt_out")}

    def test_start_does_not_lift_a_bad_number(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        sweep(warehouse, simulator)
        query("insert into suppressions values (%s, 'bad_number', 'twilio:21614')", PERSON)
        take_in(warehouse, [seen("START", 10**9)])
        assert standing(query) == {(PERSON, "*", "bad_number")}


def take_in(warehouse, observations):
    return InboundSweep(warehouse, ALWAYS).take_in(ACCOUNT, observations)


@pytest.fixture
def texted(warehouse, query):
    """One person whom a number and a service texted at noon; the service used the same number."""
    for of in (number_campaign(campaign_id="through_number"), service_campaign(campaign_id="through_service")):
        freeze(warehouse, people(1, first=1000), of=of, as_run=run(campaign_id=of.campaign_id))
    query(
        "update messages set send_state = 'accepted', message_sid = 'SM' || md5(campaign_id), sid_source = 'answer', "
        "accepted_at = %s, tracked_on = %s, from_number = %s",
        AT,
        AT.date(),
        NUMBER,
    )
    query("insert into reply_addresses select %s, %s, unnest(%s::text[]), %s", ACCOUNT, NUMBER, [NUMBER, SERVICE], AT)
    return warehouse


@st.composite
def conversations(draw):
    """What one person wrote, each text with its own second, and failures of messages created at some."""
    words = draw(
        st.lists(st.sampled_from(["STOP", "START", "UNSTOP", "hello", "HELP", "stop"]), min_size=1, max_size=5)
    )
    written = [seen(body, 2 * second, sid=f"SM{second:032}") for second, body in enumerate(words)]
    refusals = draw(st.lists(st.sampled_from([(1, 21610), (5, 21610), (3, 30005)]), max_size=2, unique=True))
    return written, refusals


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(conversations(), st.randoms(use_true_random=False))
def test_order_and_repetition_do_not_matter(texted, query, conversation, random):
    written, refusals = conversation
    (row,) = query("select message_sid from messages where campaign_id = 'through_service'")
    steps = [("reply", reply) for reply in written] + [
        ("failure", observation(row["message_sid"], "failed", at=AT + timedelta(seconds=second), error_code=code))
        for second, code in refusals
    ]

    def outcome(order):
        query("truncate inbound_messages, campaign_events, suppressions")
        for kind, what in order:
            if kind == "reply":
                take_in(texted, [what])
                continue
            with texted.transaction() as connection:
                suppress_failed(connection, [what])
        return tables(query)

    expected = outcome(steps)
    assert outcome(list(reversed(steps))) == expected
    assert outcome(random.sample([*steps, *steps], 2 * len(steps))) == expected
    query("truncate inbound_messages, campaign_events, suppressions")
    take_in(texted, random.sample(written, len(written)))
    take_in(texted, random.sample(written, len(written)))
    assert tables(query)[:2] == expected[:2]
    last = next((r.body.upper() for r in reversed(written) if r.body in {"STOP", "stop", "START", "UNSTOP"}), None)
    stands = {scope for _, scope, reason in standing(query) if reason == "opt_out"}
    assert stands == ({NUMBER, SERVICE} if last == "STOP" else set())


def test_the_earlier_date_of_a_reply_counts(texted, query):
    sid = "SM" + "5" * 32
    orders = ([seen("STOP", 1, sid=sid), seen("STOP", 3, sid=sid, source=Source.WEBHOOK)],)
    for order in (*orders, list(reversed(orders[0]))):
        query("truncate inbound_messages, campaign_events, suppressions")
        for reply in order:
            take_in(texted, [reply])
        assert query("select received_at from inbound_messages") == [{"received_at": AT + timedelta(seconds=1)}]
        assert query("select occurred_at from campaign_events") == [{"occurred_at": AT + timedelta(seconds=1)}]


def test_many_writers_at_once_agree(texted, query):
    """Several sweeps with different replies of the same people, and refusals between them: no deadlock, one result."""
    import random
    from concurrent.futures import ThreadPoolExecutor

    (row,) = query("select message_sid from messages where campaign_id = 'through_service'")
    written = [
        observation(
            f"SM{n:032}",
            "received",
            at=AT + timedelta(seconds=n),
            direction="inbound",
            from_number=f"+1202556{n % 41:04}",
            to_number=NUMBER,
            body="STOP" if n % 3 else "START",
        )
        for n in range(1600)
    ]

    def work(part):
        mine = random.Random(part).sample(written[part::8], len(written[part::8]))
        for start in range(0, len(mine), 50):
            take_in(texted, mine[start : start + 50])
            with texted.transaction() as connection:
                suppress_failed(connection, [observation(row["message_sid"], "failed", at=AT, error_code=21610)])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
    result = tables(query)
    assert len(result[0]) == 1600
    query("truncate inbound_messages, campaign_events, suppressions")
    for part in reversed(range(8)):
        work(part)
    assert tables(query) == result


class TestWhoIsLeftOut:
    def test_an_opt_out_leaves_out_of_later_runs_of_that_sender_only(self, warehouse, query, simulator):
        send(warehouse, simulator, number_campaign())
        write(simulator, "STOP")
        sweep(warehouse, simulator)
        rows = people(1, first=1000)
        reasons = {}
        for of in (
            number_campaign(campaign_id="same"),
            number_campaign(OTHER_NUMBER, campaign_id="other_number"),
            service_campaign(campaign_id="service"),
        ):
            as_run = run(campaign_id=of.campaign_id)
            freeze(warehouse, rows, of=of, as_run=as_run)
            (row,) = query("select skip_reason from messages where run_key = %s", as_run.run_key)
            reasons[of.campaign_id] = row["skip_reason"]
        assert reasons == {"same": "suppressed", "other_number": None, "service": None}

    def test_a_claim_leaves_out_who_opted_out_of_this_sender_after_the_freeze(self, warehouse, query):
        of = service_campaign()
        freeze(warehouse, people(5, first=1000), of=of)
        for place, scope in enumerate(["*", SERVICE, OTHER_SERVICE, NUMBER]):
            query("insert into suppressions values (%s, 'x', 'x', now(), null, %s)", f"+1202555100{place}", scope)
        template = BatchSender(warehouse, None, of, Settings())._template
        claim = Ledger(warehouse).claim(run().run_key, 1, 10, uuid4(), template)
        assert sorted(row.message.to_number for row in claim.rows) == [f"+1202555100{place}" for place in (2, 3, 4)]
        assert query("select distinct skip_reason from messages where send_state = 'skipped'") == [
            {"skip_reason": "suppressed"}
        ]

    def test_start_lets_a_person_back_into_the_next_run(self, warehouse, query, simulator):
        """What Twilio refuses, what we leave out and what START brings back go together, with no webhook at all."""
        of = number_campaign()
        send(warehouse, simulator, of)
        write(simulator, "STOP")
        # Nobody has read the STOP yet: Twilio refuses, and that suppresses as well.
        refused = send(warehouse, simulator, number_campaign(campaign_id="second"))
        assert query("select send_state, status_code from messages where run_key = %s", refused) == [
            {"send_state": "enqueue_failed", "status_code": 21610}
        ]
        assert suppressions(query) == [
            {"to_number": PERSON, "scope": NUMBER, "reason": "opt_out", "source": "twilio:21610", "stands": True}
        ]
        other = send(warehouse, simulator, number_campaign(OTHER_NUMBER, campaign_id="other"))
        assert query("select send_state from messages where run_key = %s", other) == [{"send_state": "accepted"}]
        sweep(warehouse, simulator)
        skipped = send(warehouse, simulator, number_campaign(campaign_id="third"))
        assert query("select skip_reason from messages where run_key = %s", skipped) == [{"skip_reason": "suppressed"}]
        simulator.control("POST", "clock", advance_seconds=5)
        write(simulator, "start")
        sweep(warehouse, simulator)
        assert standing(query) == set()
        back = send(warehouse, simulator, number_campaign(campaign_id="fourth"))
        assert query("select send_state from messages where run_key = %s", back) == [{"send_state": "accepted"}]

    def test_what_a_service_refuses_later_suppresses_when_it_is_read(self, warehouse, query, simulator):
        send(warehouse, simulator, service_campaign())
        fill_in_senders(query, simulator)
        write(simulator, "STOP", to=simulator.truth()[0]["from"])
        send(warehouse, simulator, service_campaign(campaign_id="second"))
        assert suppressions(query) == []

        async def work():
            async with TwilioGateway(simulator.settings()) as twilio:
                return [seen async for page in twilio.list(to=PERSON) for seen in page.messages]

        observed = asyncio.run(work())
        with warehouse.transaction() as connection:
            assert suppress_failed(connection, observed) == 1
            assert suppress_failed(connection, observed) == 0
        assert suppressions(query) == [
            {"to_number": PERSON, "scope": SERVICE, "reason": "opt_out", "source": "twilio:21610", "stands": True}
        ]

    def test_a_report_that_comes_late_does_not_undo_a_younger_start(self, texted, query):
        (row,) = query("select message_sid from messages where campaign_id = 'through_service'")
        take_in(texted, [seen("START", 10)])
        late = observation(row["message_sid"], "failed", at=AT, error_code=21610)
        with texted.transaction() as connection:
            suppress_failed(connection, [late])
        assert standing(query) == set()

    @pytest.mark.parametrize(
        ("status", "code", "expected"),
        [
            ("undelivered", 30005, {(PERSON, "*", "bad_number")}),
            ("failed", 21610, {(PERSON, SERVICE, "opt_out")}),
            ("undelivered", 30003, set()),
            ("delivered", 30005, set()),
            ("failed", None, set()),
        ],
    )
    def test_a_code_suppresses_whom_it_concerns(self, texted, query, status, code, expected):
        (row,) = query("select message_sid from messages where campaign_id = 'through_service'")
        foreign = observation(None, "failed", error_code=21610, to_number=STRANGER)
        with texted.transaction() as connection:
            suppress_failed(connection, [foreign, observation(row["message_sid"], status, error_code=code)])
        assert standing(query) == expected

    def test_what_a_look_up_adopts_may_have_failed_long_ago(self, warehouse, query):
        freeze(warehouse, people(1, first=1000))
        (row,) = query("select message_key from messages")
        adopted = observation(None, "failed", error_code=21610)
        with warehouse.transaction() as connection:
            accept_locked(connection, {row["message_key"]: adopted}, timedelta(days=4), "lookup")
        assert standing(query) == {(PERSON, SERVICE, "opt_out")}

    def test_a_refused_number_concerns_every_sender_and_may_be_refused_anew(self, warehouse, query):
        freeze(warehouse, people(2, first=1000), of=number_campaign())
        template = BatchSender(warehouse, None, number_campaign(), Settings())._template
        query(
            "insert into suppressions values (%s, 'bad_number', 'me', now() - interval '2 hours', "
            "now() - interval '1 hour')",
            PERSON,
        )
        ledger = Ledger(warehouse)
        claim = ledger.claim(run().run_key, 1, 10, uuid4(), template)
        codes = {row.key: 21614 if row.message.to_number == PERSON else 21612 for row in claim.rows}
        outcomes = Outcomes(accepted={}, refused=codes, released=[], unknown=[])
        ledger.record(claim.claim_id, outcomes, window=timedelta(days=4), list_lag=timedelta(0))
        assert suppressions(query) == [
            {"to_number": PERSON, "scope": "*", "reason": "bad_number", "source": "twilio:21614", "stands": True}
        ]
