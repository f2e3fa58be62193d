"""The audit against the simulator: what is put wrong on either side is found, and nothing else."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from builders import ACCOUNT_SID, TOKEN, campaign, freeze, people, run, sender
from twilio_campaigns.domain.audit_result import Kind, Search
from twilio_campaigns.domain.exceptions import ConfigurationError, TwilioUnavailableError
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine import audit as engine
from twilio_campaigns.engine.audit import Auditor
from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.reading import Patience

AGE = timedelta(days=6)
SENT_AT = datetime.now(UTC).replace(hour=10, minute=0, second=0, microsecond=0) - AGE
DAY = SENT_AT.date()
SERVICE = "MG" + "0" * 32
NUMBER = "+15005550006"
BY_NUMBER = sender(messaging_service_sid=None, from_number=NUMBER)


@pytest.fixture
def long_ago(start_simulator):
    """A simulator whose clock stands at the day that will be audited, until it is told to go on."""
    return start_simulator(life_speed=100_000, started_at=SENT_AT)


def arrive_today(simulator):
    simulator.control("POST", "clock", advance_seconds=(datetime.now(UTC) - SENT_AT).total_seconds())


def send(warehouse, simulator, of=None, run_key=None):
    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            await BatchSender(warehouse, twilio, of or campaign(), Settings()).send(run_key or run().run_key, 1)

    asyncio.run(work())


def create(simulator, count=1, first=500, **changes):
    """Create messages directly, as something that keeps no ledger does; give their SIDs."""
    values = {"body": "By hand.", "messaging_service_sid": SERVICE, **changes}

    async def work():
        async with TwilioGateway(simulator.settings()) as twilio:
            return [
                await twilio.create(OutgoingMessage(to_number=f"+1202555{first + n:04}", **values))
                for n in range(count)
            ]

    return [outcome.observation.sid for outcome in asyncio.run(work())]


def gateway_of(simulator):
    async def make(_connection_id):
        return TwilioGateway(simulator.settings(), patience=Patience(tries=1))

    return make


def reconcile(warehouse, simulator):
    assert asyncio.run(Reconciler(warehouse, gateway_of(simulator), Settings()).look(DAY, full_read=True)).was_read


def audit(warehouse, simulator, day=DAY, **changes):
    return asyncio.run(Auditor(warehouse, gateway_of(simulator), Settings(), **changes).audit(day))


def the_account(result):
    (account,) = result.accounts
    return account


def found(account, kind):
    return {finding.message_sid for finding in account.findings if finding.kind is kind}


def figures(account):
    names = ("accepted", "matched", "missing", "different", "orphans")
    return tuple(getattr(account, name) for name in names)


@pytest.fixture
def settled(warehouse, long_ago):
    """Two hundred messages of a past day, reconciled today."""
    freeze(warehouse, people(200))
    send(warehouse, long_ago)
    arrive_today(long_ago)
    reconcile(warehouse, long_ago)
    return long_ago


class TestClean:
    def test_a_reconciled_day_is_clean_and_costs_a_page_and_what_was_never_sent(self, warehouse, query, settled):
        result = audit(warehouse, settled)
        account = the_account(result)
        never_sent = query("select count(*) as n from messages where sent_at is null")[0]["n"]
        assert never_sent > 0
        assert result.is_clean
        assert figures(account) == (200, 200, 0, 0, 0)
        assert (account.listed, account.fetched, account.api_calls) == (200 - never_sent, never_sent, 1 + never_sent)
        assert account.search is Search.ACCOUNT

    def test_it_is_written_down_and_changes_nothing_else(self, warehouse, query, settled):
        def others():
            names = ("messages", "campaign_events", "reconcile_days", "reconcile_passes", "stray_messages")
            return [query(f"select * from {name} order by 1") for name in names]

        before = others()
        account = the_account(audit(warehouse, settled))
        assert others() == before
        (kept,) = query("select * from reconcile_audits")
        assert kept == {
            "audit_id": account.audit_id,
            "day": DAY,
            "connection": "twilio_default",
            "started_at": account.started_at,
            "finished_at": kept["finished_at"],
            "complete": True,
            "api_calls": account.api_calls,
            "listed": account.listed,
            "accepted": 200,
            "matched": 200,
            "missing": 0,
            "orphans": 0,
            "different": 0,
            "error": None,
        }
        assert kept["finished_at"] >= kept["started_at"]
        assert query("select * from reconcile_audit_findings") == []

    def test_a_day_without_campaigns_costs_no_call(self, warehouse, settled, query):
        settled.stop()
        result = audit(warehouse, settled, DAY - timedelta(days=20))
        assert (result.is_clean, result.accounts) == (True, ())
        assert query("select * from reconcile_audits") == []

    def test_what_a_webhook_told_beyond_the_list_is_no_gap(self, warehouse, settled, query):
        query("update messages set provider_status = 'delivered', status = 'delivered', status_code = null")
        assert audit(warehouse, settled).is_clean

    def test_neighbouring_days_are_left_alone(self, warehouse, settled, query):
        query(
            "update messages set tracked_on = tracked_on + 1 "
            "where message_key in (select message_key from messages limit 50)"
        )
        account = the_account(audit(warehouse, settled))
        assert figures(account) == (150, 150, 0, 0, 0)

    def test_a_page_that_comes_twice_is_counted_once(self, warehouse, query, settled, monkeypatch):
        real = TwilioGateway.list
        (row,) = query("select message_key from messages order by sent_at nulls last limit 1")
        query("update messages set message_sid = %s where message_key = %s", "SM" + "ab" * 16, row["message_key"])

        async def stutter(gateway, **words):
            async for page in real(gateway, **words):
                yield page
                yield page

        monkeypatch.setattr(TwilioGateway, "list", stutter)
        account = the_account(audit(warehouse, settled))
        assert figures(account) == (200, 199, 1, 0, 1)

    def test_an_hour_by_hour_read_finds_the_same(self, warehouse, settled, monkeypatch):
        monkeypatch.setattr(engine, "LONG_LIST", 10)
        account = the_account(audit(warehouse, settled))
        assert figures(account) == (200, 200, 0, 0, 0)
        assert account.api_calls == 37 + account.fetched


class TestMissing:
    def test_messages_that_were_deleted_at_twilio_are_found(self, warehouse, query, settled):
        rows = query("select message_sid, message_key, provider_status from messages order by message_sid limit 3")
        for row in rows:
            path = f"{settled.url}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{row['message_sid']}.json"
            assert httpx.delete(path, auth=(ACCOUNT_SID, TOKEN)).status_code == 204
        account = the_account(audit(warehouse, settled))
        assert figures(account) == (200, 197, 3, 0, 0)
        kept = query(
            "select kind, message_sid, message_key, ledger_status, provider_status from reconcile_audit_findings"
        )
        assert sorted(kept, key=lambda row: row["message_sid"]) == [
            {"kind": "missing", "provider_status": None, "ledger_status": row["provider_status"]}
            | {name: row[name] for name in ("message_sid", "message_key")}
            for row in rows
        ]

    def test_a_row_with_another_ones_sid_is_missing_and_its_message_an_orphan(self, warehouse, query, settled):
        (row,) = query("select message_key, message_sid from messages order by sent_at nulls last limit 1")
        query("update messages set message_sid = %s where message_key = %s", "SM" + "ab" * 16, row["message_key"])
        account = the_account(audit(warehouse, settled))
        assert figures(account) == (200, 199, 1, 0, 1)
        assert found(account, Kind.MISSING) == {"SM" + "ab" * 16}
        assert found(account, Kind.ORPHAN) == {row["message_sid"]}


class TestDifferent:
    def test_a_status_that_the_ledger_never_learnt_is_found(self, warehouse, query, settled):
        changed = query(
            "update messages set provider_status = 'sent', status = 'sent', final_at = null where message_key in "
            "(select message_key from messages where status = 'delivered' order by message_key limit 4) "
            "returning message_sid"
        )
        account = the_account(audit(warehouse, settled))
        assert figures(account) == (200, 196, 0, 4, 0)
        assert found(account, Kind.DIFFERENT) == {row["message_sid"] for row in changed}
        finding = account.findings[0]
        assert (finding.ledger_status, finding.provider_status) == ("sent", "delivered")
        reconcile(warehouse, settled)
        assert audit(warehouse, settled).is_clean

    def test_a_day_that_nobody_reconciled_is_all_gap(self, warehouse, long_ago):
        freeze(warehouse, people(30))
        send(warehouse, long_ago)
        arrive_today(long_ago)
        assert figures(the_account(audit(warehouse, long_ago))) == (30, 0, 0, 30, 0)

    def test_a_message_that_is_still_followed_is_no_gap_yet(self, warehouse, query, settled):
        query("update messages set provider_status = 'queued', status = 'enqueued'")
        query("update messages set settled_at = null, tracking_closes_at = now() + interval '1 day'")
        result = audit(warehouse, settled)
        account = the_account(result)
        assert (result.is_clean, account.matched, account.still_open) == (True, 0, 200)


class TestOrphans:
    @pytest.fixture
    def sent(self, warehouse, long_ago):
        freeze(warehouse, people(50))
        send(warehouse, long_ago)
        return long_ago

    def test_what_a_campaigns_sender_sent_without_a_row_is_found(self, warehouse, sent):
        orphans = create(sent, 3)
        create(sent, 2, first=600, messaging_service_sid="MG" + "1" * 32)
        create(sent, 2, first=700, messaging_service_sid=None, from_number=NUMBER)
        arrive_today(sent)
        create(sent, 2, first=800)
        reconcile(warehouse, sent)
        account = the_account(audit(warehouse, sent))
        # One that was never sent has no date to be listed by.
        listed = {m["sid"] for m in sent.truth() if m["sent_at"] is not None}
        assert found(account, Kind.ORPHAN) == set(orphans) & listed
        assert figures(account) == (50, 50, 0, 0, len(set(orphans) & listed))

    def test_a_second_text_to_somebody_is_one(self, warehouse, sent, query):
        (row,) = query("select body from messages where to_number = '+12025550000'")
        orphans = create(sent, first=0, body=row["body"])
        arrive_today(sent)
        reconcile(warehouse, sent)
        account = the_account(audit(warehouse, sent))
        assert (found(account, Kind.ORPHAN), account.orphans) == (set(orphans), 1)

    def test_what_a_person_has_put_aside_is_none(self, warehouse, sent, query):
        (sid,) = create(sent)
        query("insert into stray_messages (message_sid, reason) values (%s, 'looked at')", sid)
        arrive_today(sent)
        reconcile(warehouse, sent)
        result = audit(warehouse, sent)
        assert (result.is_clean, the_account(result).set_aside) == (True, 1)

    @pytest.mark.parametrize("state", ["claimed", "unknown", "enqueue_failed"])
    def test_what_may_belong_to_a_row_in_doubt_is_none(self, warehouse, sent, query, state):
        create(sent, first=900)
        freeze(warehouse, people(1, first=900), as_run=run("later"))
        query(
            "update messages set send_state = %s, claimed_at = %s, batch_no = 1 where to_number = '+12025550900'",
            state,
            SENT_AT,
        )
        arrive_today(sent)
        reconcile_nothing_in_doubt(query)
        account = the_account(audit(warehouse, sent))
        assert (account.orphans, account.doubtful) == (0, 1)

    def test_a_sender_that_is_not_campaigns_alone_is_left_out(self, warehouse, sent):
        create(sent, 3)
        arrive_today(sent)
        reconcile(warehouse, sent)
        assert audit(warehouse, sent, other_senders=[SERVICE]).is_clean

    def test_a_run_whose_ledger_was_lost_leaves_orphans_behind(self, warehouse, long_ago, query):
        """Its sender is known from the run that is under way, though none of its rows is accepted."""
        freeze(warehouse, people(40))
        send(warehouse, long_ago)
        query("update messages set send_state = 'planned', message_sid = null, tracked_on = null, claimed_at = null")
        query("update campaign_runs set created_at = %s", SENT_AT)
        arrive_today(long_ago)
        account = the_account(audit(warehouse, long_ago))
        sent = [m for m in long_ago.truth() if m["sent_at"] is not None]
        assert figures(account) == (0, 0, 0, 0, len(sent))


def reconcile_nothing_in_doubt(query):
    """Leave the rows in doubt alone: reconciling would resolve or give them up, which others test."""
    query("update messages set provider_status = 'read', status = 'delivered' where send_state = 'accepted'")


class TestSharedAccount:
    """Others send so much that the account's list is not worth reading."""

    @pytest.fixture
    def shared(self, warehouse, long_ago, monkeypatch):
        monkeypatch.setattr(engine, "WORTH", 1)
        pages_of_ten(monkeypatch)
        of = campaign(sender=BY_NUMBER)
        freeze(warehouse, people(20), of=of)
        send(warehouse, long_ago, of)
        create(long_ago, 150, first=1000, messaging_service_sid="MG" + "1" * 32)
        return long_ago

    def test_the_lists_of_our_numbers_are_read_instead(self, warehouse, shared, caplog):
        caplog.set_level("INFO")
        create(shared, 150, first=2000, messaging_service_sid="MG" + "1" * 32)
        arrive_today(shared)
        reconcile(warehouse, shared)
        account = the_account(audit(warehouse, shared, free_pages=4))
        assert figures(account) == (20, 20, 0, 0, 0)
        assert account.search is Search.NUMBERS
        assert account.api_calls - account.fetched <= 4 + 1 + 3
        assert "too many for 20 messages of ours" in caplog.text
        assert NUMBER not in caplog.text

    def test_orphans_of_our_numbers_are_found(self, warehouse, shared):
        orphans = create(shared, 2, messaging_service_sid=None, from_number=NUMBER)
        create(shared, 150, first=2000, messaging_service_sid="MG" + "1" * 32)
        arrive_today(shared)
        reconcile(warehouse, shared)
        assert found(the_account(audit(warehouse, shared, free_pages=4)), Kind.ORPHAN) == set(orphans)

    def test_what_reconciling_learnt_saves_the_first_pages(self, warehouse, shared, query):
        arrive_today(shared)
        reconcile(warehouse, shared)
        query("delete from list_volumes")
        query(
            "insert into list_volumes (connection, starts_at, messages, read_at) "
            "values ('twilio_default', %s, 100000, now())",
            SENT_AT,
        )
        account = the_account(audit(warehouse, shared, free_pages=4))
        assert figures(account) == (20, 20, 0, 0, 0)
        assert account.api_calls - account.fetched <= 3

    def test_every_row_is_compared_where_no_list_is_worth_it(self, warehouse, shared):
        create(shared, 150, first=2000, messaging_service_sid=None, from_number=NUMBER)
        arrive_today(shared)
        reconcile(warehouse, shared)
        account = the_account(audit(warehouse, shared, free_pages=2))
        assert (account.accepted, account.matched, account.missing) == (20, 20, 0)
        assert account.fetched > 0
        assert account.search is Search.PART


def pages_of_ten(monkeypatch):
    real = TwilioGateway.list
    monkeypatch.setattr(TwilioGateway, "list", lambda self, **words: real(self, **words, page_size=10))


class TestTrouble:
    @pytest.fixture
    def two_accounts(self, warehouse, start_simulator):
        accounts = {
            name: start_simulator(seed=seed, life_speed=100_000, started_at=SENT_AT)
            for name, seed in (("account_a", 8), ("account_b", 9))
        }
        for number, (name, simulator) in enumerate(accounts.items()):
            of = campaign(campaign_id=name, connection=name)
            freeze(warehouse, people(10, first=100 * number), of=of, as_run=run(campaign_id=name))
            send(warehouse, simulator, of, run(campaign_id=name).run_key)
            arrive_today(simulator)
        return accounts

    def audit(self, warehouse, accounts):
        async def make(connection_id):
            if connection_id not in accounts:
                raise ConfigurationError(f"Connection {connection_id}: login is missing.")
            return TwilioGateway(accounts[connection_id].settings(connect_timeout=0.3), patience=Patience(tries=1))

        return asyncio.run(Auditor(warehouse, make, Settings()).audit(DAY))

    def test_each_account_has_an_audit_of_its_own(self, warehouse, two_accounts):
        result = self.audit(warehouse, two_accounts)
        assert [(a.connection, a.accepted, a.missing, a.orphans) for a in result.accounts] == [
            ("account_a", 10, 0, 0),
            ("account_b", 10, 0, 0),
        ]

    def test_one_that_is_out_of_reach_hides_no_other(self, warehouse, query, two_accounts):
        two_accounts["account_a"].stop()
        result = self.audit(warehouse, two_accounts)
        away, other = result.accounts
        assert isinstance(away.failure, TwilioUnavailableError)
        assert (away.complete, other.complete, result.is_complete, result.needs_a_person) == (False, True, False, False)
        assert (away.accepted, other.different) == (10, 10)
        kept = query("select connection, complete, error is null as fine, accepted from reconcile_audits order by 1")
        assert [tuple(row.values()) for row in kept] == [
            ("account_a", False, False, 10),
            ("account_b", True, True, 10),
        ]

    def test_one_that_a_person_has_to_mend_hides_no_other(self, warehouse, two_accounts):
        del two_accounts["account_a"]
        result = self.audit(warehouse, two_accounts)
        assert [a.complete for a in result.accounts] == [False, True]
        assert result.needs_a_person
        assert "Connection account_a: login is missing." in result.problem()

    def test_another_account_is_recognised_before_every_row_was_asked_for(
        self, warehouse, settled, start_simulator, monkeypatch
    ):
        monkeypatch.setattr(engine, "FETCH_CHUNK", 20)
        monkeypatch.setattr(engine, "HOPELESS", 40)
        account = the_account(audit(warehouse, start_simulator()))
        assert isinstance(account.failure, ConfigurationError)
        assert "another account" in str(account.failure)
        assert (account.complete, account.fetched, account.missing) == (False, 40, 40)

    def test_trouble_in_the_middle_is_not_taken_for_missing_messages(self, warehouse, settled, monkeypatch):
        async def fail(_gateway, _sid):
            raise TwilioUnavailableError("away")

        monkeypatch.setattr(TwilioGateway, "fetch", fail)
        account = the_account(audit(warehouse, settled))
        assert (account.complete, account.missing, account.orphans) == (False, 0, 0)
        assert account.matched > 150
