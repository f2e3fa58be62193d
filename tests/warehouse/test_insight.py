"""What pages are told of a run of which everything can be said, and of its messages."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest

from builders import campaign, freeze, people
from told_run import AT, tell_run
from twilio_campaigns.domain.countries import NO_RECEIPT_COUNTRIES
from twilio_campaigns.domain.scope import Page, Scope
from twilio_campaigns.warehouse.concerns import ConcernKind, concerns
from twilio_campaigns.warehouse.insight.answers import AsOf
from twilio_campaigns.warehouse.insight.campaigns import CampaignIndex, CampaignSort
from twilio_campaigns.warehouse.insight.figures import Figures
from twilio_campaigns.warehouse.insight.health import Health
from twilio_campaigns.warehouse.insight.keeping import STALE, SummaryKeeper
from twilio_campaigns.warehouse.insight.messages import MessageSearch
from twilio_campaigns.warehouse.insight.refreshing import Summaries
from twilio_campaigns.warehouse.insight.run_messages import STATES
from twilio_campaigns.warehouse.insight.runs import RunInsight

EVERYTHING = Scope()


@pytest.fixture
def run_key(warehouse, query):
    key = tell_run(warehouse, query)
    query("update messages set country = 'DE' where right(to_number, 1) in ('0', '9') and send_state = 'accepted'")
    query("update messages set price = 0.0075, price_unit = 'USD' where status = 'delivered'")
    query(
        "insert into inbound_messages (message_sid, from_number, to_number, body, received_at, source, message_key) "
        "select 'SM' || repeat('e', 32), to_number, '+12025550100', 'no thanks', %s, 'list', message_key "
        "from messages where message_sid = %s",
        AT + timedelta(hours=1),
        "SM" + "0" * 32,
    )
    query(
        "insert into campaign_events (event_id, action_type, status, occurred_at, run_key, message_key, message_sid, "
        "country, source, comment) select gen_random_uuid(), 'sms', 'incoming_message', i.received_at, m.run_key, "
        "m.message_key, i.message_sid, m.country, 'list', "
        "'The person opted out: this sender does not text them any more.' "
        "from inbound_messages as i join messages as m using (message_key)"
    )
    Summaries(warehouse).refresh(key)
    return key


@pytest.fixture
def figures(warehouse, run_key):
    return Figures(warehouse)


class TestFigures:
    def test_the_funnel_is_that_of_the_view(self, figures, query):
        (view,) = query("select * from campaign_performance")
        counts = figures.counts(EVERYTHING)
        same = [name for name in asdict(counts) if name in view]
        assert len(same) > 15
        assert {name: getattr(counts, name) for name in same} == {name: view[name] or 0 for name in same}
        assert (counts.replies, counts.opt_outs, counts.refused) == (1, 1, view["refused"])
        for rate in ("delivery_rate", "delivery_rate_with_receipts", "click_rate"):
            assert getattr(counts, rate) == pytest.approx(float(view[rate]), abs=0.0001)

    def test_countries_are_those_of_the_view(self, figures, query):
        wanted = {row["country"]: row for row in query("select * from delivery_by_country")}
        found = {country.country: country for country in figures.countries(EVERYTHING)}
        assert found.keys() == wanted.keys() == {"DE", "US"}
        for name, country in found.items():
            assert (country.enqueued, country.delivered, country.failed, country.price) == tuple(
                wanted[name][column] for column in ("enqueued", "delivered", "failed", "price")
            )
            assert country.median_seconds == pytest.approx(wanted[name]["median_seconds_to_delivery"], rel=0.05)
            assert country.sends_receipts is (name not in NO_RECEIPT_COUNTRIES) is wanted[name]["sends_receipts"]

    def test_errors_say_what_to_do(self, figures):
        found = {error.status_code: error for error in figures.errors(EVERYTHING)}
        assert {code: error.status for code, error in found.items()} == {
            30003: "failed",
            30007: "rejected",
            21211: "enqueue_failed",
        }
        assert all(error.comment and error.error and error.messages == 1 for error in found.values())
        assert found[30007].documentation == "https://www.twilio.com/docs/api/errors/30007"
        assert found[30007].countries == ["US"]

    def test_an_outcome_that_nobody_knows_has_no_code_and_says_so(self, figures, warehouse, query, run_key):
        query("update messages set status_code = null where status_code = 21211")
        query(
            "insert into campaign_events (event_id, action_type, status, error, occurred_at, run_key, message_key, "
            "source) select gen_random_uuid(), 'sms', 'enqueue_failed', 'outcome_unknown', %s, run_key, message_key, "
            "'send' "
            "from messages where status = 'enqueue_failed'",
            AT,
        )
        Summaries(warehouse).refresh(run_key)
        (error,) = [error for error in figures.errors(EVERYTHING) if error.status == "enqueue_failed"]
        assert (error.status_code, error.error, error.documentation) == (None, "outcome_unknown", None)
        assert "never found" in error.comment

    def test_who_was_left_out_and_why(self, figures):
        (exclusion,) = figures.exclusions(EVERYTHING)
        assert (exclusion.reason, exclusion.messages) == ("suppressed", 1)
        assert "opted out" in exclusion.comment

    def test_times_to_delivery(self, figures):
        delays = figures.delays(EVERYTHING)
        assert delays.messages == sum(bucket.messages for bucket in delays.buckets) == 6
        assert delays.median == delays.p95 == pytest.approx(9, rel=0.05)
        (bucket,) = delays.buckets
        assert bucket.from_seconds <= 9 < bucket.to_seconds

    def test_costs_by_currency_and_what_is_not_billed(self, figures):
        priced, unpriced = figures.costs(EVERYTHING)
        assert (priced.currency, priced.price, priced.priced) == ("USD", Decimal("0.045"), 6)
        assert (unpriced.currency, unpriced.priced, unpriced.unpriced) == (None, 0, 4)

    def test_a_second_currency_is_not_added_to_the_first(self, figures, warehouse, query, run_key):
        query("update messages set price_unit = 'EUR' where message_sid like '%%1'")
        Summaries(warehouse).refresh(run_key)
        assert {cost.currency for cost in figures.costs(EVERYTHING)} == {"USD", "EUR", None}
        assert CampaignIndex(warehouse).run(run_key).price is None

    def test_statuses_over_time(self, figures):
        timeline = figures.timeline(EVERYTHING)
        assert timeline.step == timedelta(minutes=5)
        first = {point.status: point.messages for point in timeline.points if point.starts_at == AT}
        assert first == {"enqueued": 10, "sent": 8, "delivered": 6, "failed": 1, "rejected": 1}
        assert timeline.points[-1].status == "incoming_message"

    @pytest.mark.parametrize(
        ("scope", "audience"),
        [
            (Scope(campaign_id="spring"), 12),
            (Scope(campaign_id="other"), 0),
            (Scope(country="DE"), 2),
            (Scope(country=""), 0),
            (Scope(sender="service"), 12),
            (Scope(sender="other"), 0),
            (Scope(since=datetime.now(UTC).date() - timedelta(days=1)), 12),
            (Scope(since=datetime.now(UTC).date() + timedelta(days=1)), 0),
            (Scope(until=datetime.now(UTC).date() - timedelta(days=1)), 0),
            (Scope(until=datetime.now(UTC).date() + timedelta(days=1)), 12),
            (Scope(dag_ids=frozenset({"campaign__spring", "other"})), 12),
            (Scope(dag_ids=frozenset({"other"})), 0),
            (Scope(dag_ids=frozenset()), 0),
        ],
    )
    def test_a_scope_narrows_every_answer(self, figures, scope, audience):
        assert figures.counts(scope).audience == audience
        assert sum(country.planned for country in figures.countries(scope)) <= audience
        for answer in ("errors", "exclusions", "costs", "countries"):
            assert bool(getattr(figures, answer)(scope)) <= bool(audience)
        assert bool(figures.timeline(scope).points) is bool(figures.delays(scope).messages) is bool(audience)

    def test_what_figures_hold_for(self, figures, warehouse, query, run_key):
        """What nothing has changed since holds for now; else the run counts that waits longest."""
        (now,) = query("select now() as at")
        told = figures.as_of(EVERYTHING)
        assert (told.uncounted, told.pending) == (0, False)
        assert told.at >= now["at"]
        for name, hours, is_marked in (("b", 5, True), ("c", 2, True), ("d", 9, False)):
            query(
                "insert into campaign_runs (run_key, campaign_id, dag_id, dag_run_id, state) "
                "values (%s, 'spring', 'x', %s, 'done')",
                f"spring/{name}",
                name,
            )
            Summaries(warehouse).refresh(f"spring/{name}")
            query(
                "update summary_runs set refreshed_at = %s - make_interval(hours => %s) where run_key = %s",
                now["at"],
                hours,
                f"spring/{name}",
            )
            if is_marked:
                query("insert into summary_marks values (%s)", f"spring/{name}")
        told = figures.as_of(Scope(campaign_id="spring"))
        assert (told.at, told.uncounted, told.pending) == (now["at"] - timedelta(hours=5), 0, True)
        assert not figures.as_of(Scope(run_key=run_key)).pending
        query("update summary_runs set closes_at = now() - interval '1 second' where run_key = 'spring/d'")
        assert figures.as_of(EVERYTHING).at == now["at"] - timedelta(hours=9)
        query("delete from summary_runs where run_key in ('spring/b', 'spring/d')")
        told = figures.as_of(EVERYTHING)
        assert (told.at, told.uncounted, told.pending) == (now["at"] - timedelta(hours=2), 2, True)
        assert figures.as_of(Scope(run_key="spring/b")).at is None
        assert figures.as_of(Scope(campaign_id="nothing")) == AsOf(None, 0, pending=False)

    def test_what_there_is_to_choose_from(self, figures):
        choices = figures.choices(EVERYTHING)
        assert (choices.countries, choices.senders) == (["DE", "US"], ["service"])


class TestLists:
    def test_campaigns_are_searched_sorted_and_paged(self, warehouse, run_key, query):
        query(
            "insert into campaign_runs (run_key, campaign_id, dag_id, dag_run_id, state, created_at) "
            "values ('b_%%/1', 'b_%%', 'b', '1', 'too_late', now() - interval '2 days'), "
            "('c/1', 'c', 'c', '1', 'done', now())"
        )
        index = CampaignIndex(warehouse)

        def names(*args, **options):
            return [row.campaign_id for row in index.campaigns(*args, **options).rows]

        assert names(sort=CampaignSort.NAME) == ["b_%", "c", "spring"]
        assert names(sort=CampaignSort.ENQUEUED)[0] == "spring"
        assert names() == ["c", "spring", "b_%"]
        assert names("SPR") == ["spring"]
        assert names("_%") == ["b_%"]
        of_two = Scope(dag_ids=frozenset({"c", "campaign__spring"}))
        assert names(scope=of_two, sort=CampaignSort.NAME) == ["c", "spring"]
        assert names(scope=Scope(dag_ids=frozenset())) == []
        page = index.campaigns(sort=CampaignSort.NAME, page=Page(2, 2))
        assert ([row.campaign_id for row in page.rows], page.total, page.pages) == (["spring"], 3, 2)
        assert page.rows[0].counts.enqueued == page.rows[0].last_run.counts.enqueued == 10
        assert index.dag_ids() == {"b", "c", "campaign__spring"}
        assert (index.dag_ids("spring"), index.dag_ids("nothing")) == ({"campaign__spring"}, set())
        assert (index.campaign_of("b"), index.campaign_of("nothing")) == ("b_%", None)
        assert index.run_of("campaign__spring", "manual__2026-11-20") == run_key
        assert index.run_of("campaign__spring", "other") is None

    def test_runs_say_who_steered_them(self, warehouse, run_key, query):
        query("update campaign_runs set state = 'paused', state_changed_by = 'somebody', state_reason = 'too many'")
        (run,) = CampaignIndex(warehouse).runs(Scope(campaign_id="spring")).rows
        assert (run.state, run.state_changed_by, run.state_reason) == ("paused", "somebody", "too many")
        assert (run.sender, run.channel, run.price, run.price_unit) == ("service", "sms", Decimal("0.045"), "USD")
        assert run.refreshed_at is not None

    def test_a_run_in_detail(self, warehouse, run_key, query):
        query("update messages set send_state = 'unknown', claimed_at = %s where status = 'enqueue_failed'", AT)
        query(
            "insert into reconcile_passes (pass_id, day, full_read, started_at, complete) "
            "values (%s, %s, true, now(), true), (%s, %s, true, now(), true)",
            uuid4(),
            AT.date(),
            uuid4(),
            AT.date() - timedelta(days=1),
        )
        Summaries(warehouse).refresh(run_key)
        detail = RunInsight(warehouse).detail(run_key)
        (batch,) = detail.batches
        assert (batch.accepted, batch.unknown, batch.skipped, batch.delivered, batch.messages) == (10, 1, 1, 6, 12)
        assert [message.send_state for message in detail.unknowns] == ["unknown"]
        assert "…" in detail.unknowns[0].to_number
        assert "…" not in RunInsight(warehouse).detail(run_key, mask=False).unknowns[0].to_number
        assert [(day.day, day.messages) for day in detail.days] == [(AT.date(), 10)]
        assert [reading.day for reading in detail.passes] == [AT.date()]
        assert detail.spec["campaign_id"] == "spring"
        assert RunInsight(warehouse).detail("nobody") is None


class TestMessages:
    def test_a_message_is_found_by_whatever_people_know(self, warehouse, run_key, query):
        search = MessageSearch(warehouse)
        (row,) = query("select * from messages where message_sid = %s", "SM" + "0" * 31 + "3")
        number = row["to_number"]
        spaced = f" {number[:2]} ({number[2:5]}) {number[5:8]}-{number[8:]} "
        for text in (row["message_sid"], str(row["message_key"]), number, spaced, row["customer_id"]):
            assert [found.message_key for found in search.search(text)] == [row["message_key"]], text
            assert len(search.search(text, dag_ids=["campaign__spring"])) == 1
            assert search.search(text, dag_ids=["other"]) == []
        assert search.search("nobody") == search.search("") == []
        assert [found.message_key for found in search.same_number(row["message_key"])] == [row["message_key"]]
        assert search.search(number)[0].to_number == f"+1…{number[-2:]}"
        assert search.search(number, mask=False)[0].to_number == number

    def test_the_story_of_a_message(self, warehouse, run_key, query):
        (row,) = query("select * from messages where message_sid = %s", "SM" + "0" * 32)
        query(
            "insert into link_clicks (click_id, event_id, message_key, message_sid, link, clicked_at, is_bot) "
            "values (gen_random_uuid(), gen_random_uuid(), %s, 'SM', 'https://example.com', %s, false)",
            row["message_key"],
            AT + timedelta(minutes=3),
        )
        query(
            "insert into campaign_events (event_id, action_type, status, occurred_at, run_key, message_key, source) "
            "values (gen_random_uuid(), 'sms', 'enqueued', %s, %s, %s, 'send')",
            AT,
            run_key,
            row["message_key"],
        )
        query("update campaign_runs set created_at = %s", AT - timedelta(minutes=1))
        query("update messages set claimed_at = %s", AT + timedelta(milliseconds=400))
        search = MessageSearch(warehouse)
        story = search.story(row["message_key"])
        kinds = [line.kind for line in story.lines]
        assert kinds == ["planned", "claimed", "enqueued", "sent", "delivered", "click", "reply", "window_closes"]
        assert story.body is None
        assert (story.price, story.seconds_to_delivery, story.error) == (Decimal("0.00750"), 9.0, None)
        masked = " ".join(line.text for line in story.lines)
        assert "no thanks" not in masked
        assert row["to_number"] not in masked
        whole = search.story(row["message_key"], mask=False)
        assert "no thanks" in whole.lines[6].text
        assert whole.body == row["body"]
        assert search.story(uuid4()) is None

    @pytest.mark.parametrize(
        ("attempts", "said"),
        [(2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st"), (112, "112th")],
    )
    def test_how_often_it_was_claimed_is_told_in_words(self, warehouse, run_key, query, attempts, said):
        query("update messages set attempts = %s, claimed_at = %s", attempts, AT)
        (row,) = query("select message_key from messages limit 1")
        (line,) = [line for line in MessageSearch(warehouse).story(row["message_key"]).lines if line.kind == "claimed"]
        assert line.text == f"A batch took it to be posted, the {said} time."

    def test_a_failure_is_explained(self, warehouse, run_key, query):
        (row,) = query("select message_key from messages where status_code = 30007")
        story = MessageSearch(warehouse).story(row["message_key"])
        (line,) = [line for line in story.lines if line.kind == "rejected"]
        assert (line.status_code, line.text) == (30007, story.comment)
        assert story.error
        assert story.documentation.endswith("/30007")

    @pytest.mark.parametrize("state", [None, *STATES])
    def test_messages_of_a_run_in_a_state(self, warehouse, run_key, query, state):
        wanted = {
            row["message_key"]
            for row in query("select * from message_status")
            if state in {None, row["send_state"], row["delivery_state"]}
            or (state == "open" and row["send_state"] == "accepted" and row["delivery_state"] in {"sent", "pending"})
        }
        search = MessageSearch(warehouse)
        found, page = [], 1
        while rows := search.of_run(run_key, state=state, page=Page(page, 4)):
            found += [row.message_key for row in rows.rows]
            page += 1
            assert rows.total == len(wanted)
            if not rows.rows:
                break
        assert len(found) == len(set(found))
        assert set(found) == wanted

    @pytest.mark.parametrize("state", ["planned", "skipped", "not_sent", "too_late"])
    @pytest.mark.parametrize("size", [4, 7, 200])
    def test_however_many_there_are_every_one_is_on_one_page(self, warehouse, query, monkeypatch, state, size):
        """Batches of seven, three rows in no batch: pages begin and end within batches, and go beyond the last one."""
        monkeypatch.setattr("twilio_campaigns.warehouse.insight.run_messages.FEW", 2)
        freeze(
            warehouse, [*people(30), *({**row, "phone": "nothing"} for row in people(3, 50))], of=campaign(batch_size=7)
        )
        for changed, to in (("1", "skipped"), ("2", "too_late")):
            query(
                "update messages set send_state = %s, skip_reason = case when %s = 'skipped' then 'suppressed' end "
                "where right(to_number, 1) = %s",
                to,
                to,
                changed,
            )
        Summaries(warehouse).refresh("spring/2026-11-20")
        wanted = query(
            "select message_key from message_status where %s in (send_state, delivery_state) "
            "order by batch_no, message_key",
            state,
        )
        assert len(wanted) > 2
        search, found = MessageSearch(warehouse), []
        for number in range(1, -(-len(wanted) // size) + 2):
            listing = search.of_run("spring/2026-11-20", state=state, page=Page(number, size))
            assert listing.total == len(wanted)
            assert len(listing.rows) <= size
            found += [row.message_key for row in listing.rows]
        assert found == [row["message_key"] for row in wanted]

    def test_of_one_batch_and_of_a_state_that_there_is_not(self, warehouse, run_key):
        search = MessageSearch(warehouse)
        assert search.of_run(run_key, batch_no=1, state="delivered").total == 6
        assert search.of_run(run_key, batch_no=2, state="delivered").rows == []
        with pytest.raises(ValueError, match="No message is 'happy'; there are"):
            search.of_run(run_key, state="happy")


class TestHealth:
    def test_a_warehouse_to_which_nothing_happened(self, warehouse):
        health = Health(warehouse).report()
        assert (health.last_pass, health.last_error, health.last_webhook_at) == (None, None, None)
        assert health.open_days == health.connections == health.concerns == health.latest_strays == []
        assert health.summaries.marked == 0

    def test_what_reconciling_and_webhooks_left(self, warehouse, run_key, query):
        for complete, error, age in ((True, None, 5), (False, "TwilioUnavailableError: 503", 2), (True, None, 60 * 30)):
            query(
                "insert into reconcile_passes (pass_id, day, full_read, started_at, complete, error, api_calls) "
                "values (gen_random_uuid(), %s, false, now() - make_interval(mins => %s), %s, %s, 7)",
                AT.date(),
                age,
                complete,
                error,
            )
        query("insert into webhook_rejections values (current_date, 'forged', 3, now())")
        query("insert into webhook_receipts values ('status', now())")
        query("insert into stray_messages (message_sid, reason) values ('SM1', 'no row')")
        health = Health(warehouse).report()
        assert (health.calls.passes, health.calls.incomplete, health.calls.api_calls) == (2, 1, 14)
        assert health.calls.failed == 1
        assert health.last_pass.complete
        assert health.last_error.error == "TwilioUnavailableError: 503"
        assert [(day.day, day.open, day.error) for day in health.open_days] == [
            (AT.date(), 10, "TwilioUnavailableError: 503")
        ]
        assert [(rejection.reason, rejection.requests) for rejection in health.rejections] == [("forged", 3)]
        assert health.last_webhook_at is not None
        assert (health.concern(ConcernKind.STRAYS).count, health.latest_strays[0].message_sid) == (1, "SM1")
        assert health.last_sent_on == AT.date()
        assert health.connections == ["twilio_default"]

    def test_errors_are_counted_however_many_there_are(self, warehouse, query):
        query(
            "insert into reconcile_passes (pass_id, day, full_read, started_at, complete, error) select "
            "gen_random_uuid(), current_date, false, now() - make_interval(mins => n), false, 'TwilioUnavailableError' "
            "from generate_series(1, 30) as n"
        )
        assert Health(warehouse).report().calls.failed == 30

    @pytest.mark.parametrize(
        ("claimed", "day", "read", "is_overdue"),
        [
            (9, 0, None, True),
            (7, 0, None, False),
            (9, 0, 9, True),
            (9, 0, 7, False),
            (7, 0, 9, False),
            (30, 1, None, False),
        ],
    )
    def test_a_day_is_overdue_after_eight_hours_without_a_pass(
        self, warehouse, run_key, query, claimed, day, read, is_overdue
    ):
        """Hours since the first claim, the day, hours since its last pass; before it begins a day waits for nothing."""
        query("update summary_batches set first_claimed_at = now() - make_interval(hours => %s)", claimed)
        query("update summary_days set tracked_on = (now() - interval '9 hours')::date + %s", 2 * day)
        if read:
            query(
                "insert into reconcile_days (day, last_pass_at) "
                "select tracked_on, now() - make_interval(hours => %s) from summary_days",
                read,
            )
        report = Health(warehouse).report()
        assert [found.is_overdue for found in report.open_days] == [is_overdue]
        assert bool(report.concern(ConcernKind.OVERDUE)) is is_overdue

    def test_figures_that_nobody_counts_and_audits_that_do_not_end_are_concerns(self, warehouse, run_key, query):
        query("insert into reconcile_days (day, last_pass_at) values (%s, now())", AT.date())

        def kinds(minutes, hours):
            query("truncate summary_marks, reconcile_audits")
            query("insert into summary_marks values (%s, now() - make_interval(mins => %s))", run_key, minutes)
            query(
                "insert into reconcile_audits (audit_id, day, connection, started_at, complete) values "
                "(gen_random_uuid(), current_date - 6, 'twilio_default', now() - make_interval(hours => %s), false)",
                hours,
            )
            return [concern.kind for concern in concerns(warehouse)]

        assert kinds(59, 7) == []
        assert kinds(61, 7) == [ConcernKind.FIGURES]
        assert kinds(59, 9) == [ConcernKind.AUDITS]


class TestKeeper:
    def test_what_is_old_is_made_anew_on_a_thread_of_its_own(self, warehouse, run_key, query):
        now = [0.0]
        keeper = SummaryKeeper(warehouse, clock=lambda: now[0])

        def nudge(age):
            query("truncate summary_marks")
            query("update summary_runs set refreshed_at = now() - interval '1 hour'")
            query("insert into summary_marks values (%s, now() - make_interval(secs => %s))", run_key, age)
            now[0] += 11
            keeper.nudge(STALE)
            keeper._thread.join()
            return query("select count(*) as n from summary_marks")[0]["n"]

        assert [nudge(30), nudge(90)] == [1, 0]
        before = keeper._thread
        now[0] += 5
        keeper.nudge(STALE)
        assert keeper._thread is before

    def test_nobody_fails_because_figures_cannot_be_made(self, warehouse, run_key, query, caplog):
        query("insert into summary_marks values (%s)", run_key)
        query("alter table summary_counts rename to away")
        SummaryKeeper(warehouse).catch_up()
        assert "Summaries were not made anew: UndefinedTable" in caplog.text
        with pytest.raises(psycopg.errors.UndefinedTable):
            Summaries(warehouse).refresh_marked()
