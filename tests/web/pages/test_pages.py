"""What the pages say: the figures of the warehouse, filters, escaping, and errors in plain words."""

import json
import re
import time
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from builders import campaign, freeze, people, run
from told_run import AT
from twilio_campaigns.cli import app
from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.warehouse.connection import Warehouse
from twilio_campaigns.warehouse.insight.refreshing import Summaries
from twilio_campaigns.warehouse.schema import require_current
from twilio_campaigns.web.pages.formats import NOTHING
from web.pages.visiting import RUN, Seen, SomeVisitor

#: One number as people write it, or copy it from elsewhere.
WRITTEN = (
    "+1 (202) 555-0004",
    "12025550004",
    "0012025550004",
    "011 1 202 555 0004",
    "tel:+1-202-555-0004",
    "+1\u2011202\u2011555\u20130004",
    "\u202a+1 202 555 0004\u202c",
    "\uff0b\uff11 202 555 0004",
)
EVIL = '<script>alert("x")</script>'


@pytest.fixture
def more_campaigns(warehouse, run_key):
    """Thirty further campaigns with a run each."""
    for number in range(30):
        name = f"news_{number:02}"
        freeze(warehouse, people(2), of=campaign(campaign_id=name), as_run=run(campaign_id=name))
        Summaries(warehouse).refresh(f"{name}/2026-11-20")


class TestCampaigns:
    def test_a_campaign_stands_there_with_its_figures(self, visit):
        page = visit().get("/campaigns")
        assert page.status == 200
        last, state, runs, enqueued, delivered, rate, failed, left_open, not_handed = page.row("spring")
        assert (state, runs, enqueued, delivered, rate) == ("sending", "1", "10", "6", "60.0 %")
        assert (failed, left_open, not_handed) == ("3", "2", "0")
        assert last == "just now" or last.endswith(" ago")

    def test_search_order_and_pages_are_in_the_address(self, visit, more_campaigns):
        browser = visit()
        first = browser.get("/campaigns", sort="name")
        assert "31 campaigns, page 1 of 2" in first.text
        names = re.findall(r'<th scope="row" class="key"><a href="/twilio/campaigns/(\w+)">', first.html)
        assert names == [f"news_{number:02}" for number in range(25)]
        (following,) = [link for link in first.links if "page=2" in link]
        assert "sort=name" in following
        second = browser.get(f"/campaigns{following}")
        assert "news_25" in second.text
        assert "spring" in second.text
        found = browser.get("/campaigns", q="news_07")
        assert "1 campaign" in found.text
        assert "spring" not in found.text

    def test_pages_are_counted_over_what_one_may_read(self, visit, more_campaigns):
        page = visit(SomeVisitor(reads={"campaign__news_03", "campaign__spring"})).get("/campaigns")
        assert "2 campaigns" in page.text
        assert "page 1 of" not in page.text

    def test_without_a_run_it_says_what_to_do(self, visit, database_url):
        page = visit().get("/campaigns")
        assert "include/campaigns" in page.text
        assert "trigger it" in page.text

    def test_a_filter_that_fits_nothing_offers_all(self, visit):
        page = visit().get("/campaigns", q="nothing")
        assert "No campaign that you may read fits this filter." in page.text

    @pytest.mark.parametrize(
        ("asked", "says"),
        [
            ({"page": "none"}, "must be a number from 1"),
            ({"page": "0"}, "must be a number from 1"),
            ({"page": "9"}, "There is no page 9"),
            ({"page": "9" * 5000}, "must be a number from 1"),
            ({"q": "a\0b"}, "a character that no text has"),
            ({"since": "yesterday"}, "write a day as 2026-11-25"),
            ({"sort": "colour"}, "it may be last_run"),
        ],
    )
    def test_an_address_that_cannot_be_read_says_how_it_is_written(self, visit, asked, says):
        page = visit().get("/campaigns", **asked)
        assert page.status == 400
        assert says in page.text


class TestCampaign:
    def test_the_funnel_counts_who_came_how_far(self, visit):
        page = visit().get("/campaigns/spring")
        for stage, count in (("Audience", 12), ("Planned", 11), ("Enqueued", 10), ("Sent", 8), ("Delivered", 6)):
            assert re.search(rf"{stage} +{count} ", page.text), stage

    def test_each_error_comes_with_its_remedy(self, visit):
        page = visit().get("/campaigns/spring")
        messages, became, remedy, countries = page.row("30003 handset unreachable")
        assert (messages, became, countries) == ("1", "failed", "US")
        assert "may work another day" in remedy
        assert "https://www.twilio.com/docs/api/errors/30003" in page.links
        assert "21211" in page.text

    def test_countries_exclusions_and_delays(self, visit):
        page = visit().get("/campaigns/spring")
        assert page.row("US")[:2] == ["10", "6"]
        assert page.row("suppressed")[0] == "1"
        assert "Median 9.0 s" in page.text or re.search(r"Median 8\.\d s|Median 9\.\d s", page.text)

    def test_charts_have_their_figures_as_a_table(self, visit):
        page = visit().get("/campaigns/spring")
        charts = [attributes for tag, attributes in page.tags if tag == "figure"]
        assert [chart["data-chart"] for chart in charts] == ["bar", "bar"]
        series = {attributes["data-series"] for _, attributes in page.tags if "data-series" in attributes}
        assert series >= {"enqueued", "sent", "delivered", "failed", "rejected"}
        assert f'datetime="{AT.isoformat()}"' in page.html

    def test_a_country_narrows_every_figure(self, visit):
        page = visit().get("/campaigns/spring", country="DE")
        assert re.search(r"Audience +0 ", page.text)
        page = visit().get("/campaigns/spring", country="US")
        assert re.search(r"Enqueued +10 ", page.text)

    def test_days_without_a_run_say_so(self, visit):
        page = visit().get("/campaigns/spring", until="2020-01-01")
        assert "No run fits this filter." in page.text

    def test_the_tab_of_a_dag_leads_to_its_campaign(self, visit):
        browser = visit()
        assert browser.get("/dags/campaign__spring").url.path == "/twilio/campaigns/spring"
        assert browser.get("/dags/reconcile_messages").url.path == "/twilio/health-page"
        assert browser.get("/dags/somebody_elses").status == 404
        found = browser.get("/dags/campaign__spring/runs/manual__2026-11-20")
        assert found.url.path == f"/twilio/runs/{RUN}"
        assert browser.get("/dags/campaign__spring/runs/manual__none").status == 404


class TestRun:
    def test_it_answers_what_people_ask_before_they_act(self, visit):
        page = visit().get(f"/runs/{RUN}")
        assert "May I re-run this? Yes, nobody is texted twice" in page.text
        assert "What will happen if I press backfill? Cannot be backfilled: it has no schedule" in page.text
        assert "How do I stop it now? With the button above" in page.text

    def test_batches_days_and_unknown_messages(self, visit, warehouse, run_key, query):
        query(
            "update messages set send_state = 'unknown', status = null, message_sid = null, sid_source = null, "
            "accepted_at = null, claimed_at = now() where message_sid = %s",
            f"SM{9:032x}",
        )
        Summaries(warehouse).refresh(run_key)
        page = visit().get(f"/runs/{run_key}")
        assert page.row("1")[:4] == ["12", "0", "1", "9"]
        assert page.row("2026-11-20")[0] == "9"
        assert "c000009" in page.text
        masked = visit(SomeVisitor(edits=False)).get(f"/runs/{run_key}")
        assert "+12025550009" not in masked.html

    @pytest.mark.parametrize(
        ("state", "offered"),
        [
            ("freezing", ["stop"]),
            ("sending", ["pause", "stop"]),
            ("paused", ["resume", "stop"]),
            ("stopped", []),
            ("too_late", []),
            ("done", []),
        ],
    )
    def test_it_offers_what_its_state_allows(self, visit, run_key, query, state, offered):
        query("update campaign_runs set state = %s", state)
        page = visit().get(f"/runs/{run_key}")
        actions = [attributes["value"] for tag, attributes in page.tags if attributes.get("name") == "action"]
        assert actions == offered

    @pytest.mark.parametrize(
        ("state", "after"), [("freezing", "15"), ("sending", "15"), ("paused", None), ("stopped", None), ("done", None)]
    )
    def test_it_loads_itself_anew_while_it_moves(self, visit, run_key, query, state, after):
        query("update campaign_runs set state = %s", state)
        page = visit().get(f"/runs/{run_key}")
        told = [attributes["data-reload"] for _, attributes in page.tags if "data-reload" in attributes]
        assert told == ([after] if after else [])

    def test_what_a_stopped_run_did_not_send_is_never_sent(self, visit, warehouse, run_key, query):
        query(
            "update messages set send_state = 'planned', status = null, status_code = null, claimed_at = null "
            "where send_state = 'enqueue_failed'"
        )
        Summaries(warehouse).refresh(run_key)
        browser = visit()
        page = browser.post(f"/runs/{run_key}", action="pause")
        assert "1 waiting" in page.text
        assert "after a resumption resolve_unknown begins to send within 2 min" in page.text
        page = browser.post(f"/runs/{run_key}", action="resume")
        assert "task resolve_unknown begins to send within 2 min. If it has ended, clear it." in page.text
        assert "the run was resumed, so resolve_unknown begins" in page.text
        assert "1 message not handed over yet will never be sent by this run" in page.text
        page = browser.post(f"/runs/{run_key}", action="stop")
        assert "1 never sent" in page.text
        assert "1 waiting" not in page.text

    def test_its_messages_by_state_and_batch(self, visit):
        browser = visit()
        page = browser.get("/messages", run=RUN, state="delivered")
        assert "6 messages" in page.text
        assert "No message of this run fits" in browser.get("/messages", run=RUN, batch=7).text


class TestCost:
    def test_what_is_not_billed_is_counted_whatever_its_currency(self, visit, warehouse, run_key, query):
        page = visit().get(f"/runs/{run_key}")
        assert f"Cost so far {NOTHING} 10 messages not billed yet" in page.text
        assert "0.00" not in page.text
        query(
            "update messages set price = 0.0075, price_unit = 'USD' where message_sid = any(%s)",
            [f"SM{number:032x}" for number in range(9)],
        )
        Summaries(warehouse).refresh(run_key)
        assert "Cost so far 0.07 USD 1 message not billed yet" in visit().get(f"/runs/{run_key}").text


class TestFreshness:
    @pytest.mark.parametrize("path", ["/runs/spring/2026-11-20", "/campaigns/spring"])
    def test_without_figures_nothing_is_claimed(self, visit, warehouse, query, path):
        freeze(warehouse, people(2))
        query("delete from summary_runs")
        page = visit().get(path)
        assert page.status == 200
        assert f"Cost so far {NOTHING} figures are being made" in page.text
        for claim in ("nothing was sent", "Nothing has happened yet", "accepted no message", "No batch", "Nobody: "):
            assert claim not in page.text

    def test_figures_older_than_the_last_change_claim_nothing_either(self, visit, warehouse, query):
        freeze(warehouse, people(2))
        Summaries(warehouse).refresh(RUN)
        browser = visit()
        assert "nothing was sent" in browser.get(f"/runs/{RUN}").text
        query("insert into summary_marks (run_key) values (%s)", RUN)
        page = browser.get(f"/runs/{RUN}")
        assert "nothing was sent" not in page.text
        assert f"Cost so far {NOTHING} figures are being made" in page.text

    def test_figures_are_as_of_the_run_that_waits_longest(self, visit, warehouse, run_key, query):
        """It is not the newest run, which stands first."""
        freeze(warehouse, people(2, 50), as_run=run("newer"))
        browser = visit()
        for path in ("/campaigns", "/campaigns/spring"):
            assert re.search(r"As of [\d: -]+UTC \((just now|\d)", browser.get(path).text)
        query("insert into summary_marks (run_key) values (%s)", run_key)
        query("update summary_runs set refreshed_at = '2026-11-21 08:09:10+00' where run_key = %s", run_key)
        for path in ("/campaigns", "/campaigns/spring", f"/runs/{run_key}"):
            assert "As of 2026-11-21 08:09:10 UTC" in browser.get(path).text
        query("delete from summary_runs where run_key = 'spring/newer'")
        assert ", without 1 run not counted yet" in browser.get("/campaigns/spring").text

    def test_what_was_just_done_stands_in_no_link(self, visit):
        page = visit().get(f"/runs/{RUN}", did="pause", country="US")
        assert any("country=" in link for link in page.links)
        assert not [link for link in page.links if "did=" in link]

    @pytest.mark.parametrize("action", ["pause", "stop"])
    def test_steering_waits_for_no_figures_and_has_them_made(self, visit, warehouse, run_key, query, action):
        """However lately they were made; here by somebody who is at it, and would have it waited for."""
        query("update messages set send_state = 'too_late' where send_state = 'enqueue_failed'")
        browser = visit()
        with warehouse.transaction() as other:
            other.execute("select pg_advisory_xact_lock(hashtextextended('summary ' || %s, 0))", (run_key,))
            began = time.monotonic()
            page = browser.post(f"/runs/{run_key}", action=action)
            assert time.monotonic() - began < 3
            assert query("select state from campaign_runs") == [{"state": "paused" if action == "pause" else "stopped"}]
            assert "1 too late" not in page.text
            assert "15" in [attributes.get("data-reload") for _, attributes in page.tags]
        until = time.monotonic() + 10
        while not query("select 1 from summary_counts where too_late = 1"):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert "1 too late" in browser.get(f"/runs/{run_key}").text

    @pytest.mark.parametrize(("state", "is_counted"), [("sending", True), ("paused", True), ("done", False)])
    def test_ten_seconds_are_old_for_a_run_that_people_watch(self, visit, run_key, query, state, is_counted):
        query("update campaign_runs set state = %s", state)
        query("insert into summary_marks (run_key, marked_at) values (%s, now() - interval '12 seconds')", run_key)
        query("update summary_runs set refreshed_at = now() - interval '12 seconds'")
        visit().get(f"/runs/{run_key}")
        until = time.monotonic() + (10 if is_counted else 1)
        while query("select 1 from summary_marks") and time.monotonic() < until:
            time.sleep(0.05)
        assert (not query("select 1 from summary_marks")) == is_counted


def test_a_look_has_stale_figures_made_anew(visit, warehouse, run_key, query):
    query("update messages set send_state = 'too_late' where send_state = 'enqueue_failed'")
    query("insert into summary_marks (run_key, marked_at) values (%s, now() - interval '2 minutes')", run_key)
    query("update summary_runs set refreshed_at = now() - interval '2 minutes'")
    browser = visit()
    assert "1 too late" not in browser.get(f"/runs/{run_key}").text
    until = time.monotonic() + 10
    while Summaries(warehouse).oldest_mark_at() is not None:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert "1 too late" in browser.get(f"/runs/{run_key}").text


class TestMessages:
    def test_a_sid_leads_to_the_story(self, visit):
        page = visit().post("/messages", q=f"SM{6:032x}")
        assert page.url.path == f"/twilio/messages/SM{6:032x}"
        assert "undelivered" in page.text
        assert "may work another day" in page.text
        kinds = re.findall(r'<span class="badge (\w+)">', page.html.partition('id="story"')[2])
        assert [kind for kind in kinds if kind in {"claimed", "sent", "failed"}][-3:] == ["claimed", "sent", "failed"]

    def test_a_customer_leads_to_what_the_person_had(self, visit):
        page = visit().post("/messages", q="c000003")
        assert b"same_customer_as=" in page.url.query
        assert f"SM{3:032x}" in page.text
        assert "Messages to the same customer as" in page.text

    @pytest.mark.parametrize("number", WRITTEN)
    def test_a_number_never_stands_in_an_address(self, visit, number):
        browser = visit()
        page = browser.post("/messages", q=number)
        assert b"same_number_as=" in page.url.query
        assert "5550004" not in unquote(str(page.url))
        assert f"SM{4:032x}" in page.text
        assert browser.get("/messages", q=number).status == 400

    @pytest.mark.parametrize("typed", ["+12025559999", "(202) 555-0004", "0049 170 1234567", "Ada +1 202 555 0004"])
    def test_what_nobody_had_is_repeated_nowhere(self, visit, typed):
        page = visit().post("/messages", q=typed)
        assert page.url.query == b"none=1"
        assert "No message that you may see fits" in page.text
        assert typed not in page.html

    def test_a_customer_whose_id_is_a_number_is_found_without_an_address_that_has_it(self, visit, run_key, query):
        query("update messages set customer_id = '4915112345678' where message_sid = %s", f"SM{3:032x}")
        for visitor in (SomeVisitor(), SomeVisitor(edits=False)):
            page = visit(visitor).post("/messages", q="4915112345678")
            assert b"same_customer_as=" in page.url.query
            assert f"SM{3:032x}" in page.text

    def test_a_key_leads_to_the_story_however_it_is_written(self, visit, run_key, query):
        query("update messages set customer_id = null where message_sid = %s", f"SM{3:032x}")
        (row,) = query("select message_key from messages where message_sid = %s", f"SM{3:032x}")
        for written in (str(row["message_key"]), row["message_key"].hex, row["message_key"].urn):
            page = visit().post("/messages", q=written)
            assert page.url.path == f"/twilio/messages/{row['message_key']}"
            assert f"SM{3:032x}" in page.text

    def test_a_message_that_is_not_there(self, visit):
        page = visit().get("/messages/SM00000000000000000000000000000fff")
        assert page.status == 404
        assert "There is no message" in page.text


@pytest.mark.parametrize(
    "path",
    [
        "/campaigns/%00",
        "/runs/a%00/b",
        "/dags/%00",
        "/dags/campaign__spring/runs/%00",
        "/messages?q=%00",
        "/messages?run=%00",
    ],
)
def test_a_character_that_postgresql_cannot_hold_is_bad_input(visit, path):
    page = visit().get(path)
    assert page.status == 400
    assert "a character that no text has" in page.text


def test_so_it_is_in_a_form(visit):
    for path, form in (
        ("/messages", {"q": "c\0"}),
        (f"/runs/{RUN}", {"action": "\0"}),
        ("/health-page", {"connection": "\0"}),
    ):
        assert visit().post(path, **form).status == 400


class TestEscaping:
    @pytest.mark.parametrize(
        "path",
        [
            f"/campaigns/{EVIL.partition('/')[0]}",
            f"/runs/{EVIL}",
            f"/dags/{EVIL.partition('/')[0]}",
            f"/messages?q={EVIL}",
            f"/campaigns?q={EVIL}",
            f"/campaigns?sort={EVIL}",
        ],
    )
    def test_an_address_becomes_text(self, visit, path):
        page = visit().get(path)
        assert "<script>alert" not in page.html
        assert "&lt;script&gt;alert" in page.html

    def test_what_the_ledger_holds_becomes_text(self, visit, warehouse, run_key, query):
        query("update messages set body = %s, customer_id = %s", EVIL, EVIL)
        query("update campaign_runs set state_reason = %s, state_changed_by = %s", EVIL, EVIL)
        Summaries(warehouse).refresh(run_key)
        for path in (f"/messages/SM{0:032x}", f"/messages?run={run_key}", f"/runs/{run_key}"):
            page = visit().get(path)
            assert "<script>alert" not in page.html, path
            assert "&lt;script&gt;" in page.html, path

    def test_nothing_is_inline_and_nothing_comes_from_elsewhere(self, visit):
        for path in ("/campaigns", "/campaigns/spring", f"/runs/{RUN}", "/messages", "/health-page"):
            page = visit().get(path)
            policy = page.headers["content-security-policy"]
            assert "script-src 'self'" in policy
            assert "frame-ancestors 'self'" in policy
            assert "unsafe" not in policy
            assert page.headers["cache-control"] == "no-store"
            for tag, attributes in page.tags:
                assert "style" not in attributes
                assert not [name for name in attributes if name.startswith("on")]
                if tag in {"script", "link"}:
                    assert (attributes.get("src") or attributes["href"]).startswith("/twilio/static/")


class TestHealth:
    def test_signs_of_life(self, visit):
        page = visit().get("/health-page")
        assert page.status == 200
        assert "Last pass None yet Messages are not settled and nobody reads them" in page.text
        assert page.row("2026-11-20")[0] == "10"

    def test_without_an_audit_nothing_is_vouched_for(self, visit, run_key, query):
        page = visit().get("/health-page")
        assert "Audits None yet No closed day has been audited yet." in page.text
        assert "Strays None found so far" in page.text
        vouched = ("belongs to a row", "messages are as Twilio says")
        assert [words for words in vouched if words in page.text] == []
        assert "twilio-campaigns status --check" in page.text
        assert re.search(r"twilio-campaigns audit --day \d{4}-\d\d-\d\d --last", page.text)
        query(
            "insert into reconcile_audits (audit_id, day, connection, started_at, complete, matched) "
            "values (gen_random_uuid(), current_date - 6, 'twilio_default', now(), true, 3)"
        )
        page = visit().get("/health-page")
        assert [words for words in vouched if words in page.text] == list(vouched)

    def test_webhooks_that_were_turned_away(self, visit, run_key, query):
        query("insert into webhook_rejections values (current_date, 'forged', 7, now())")
        page = visit().get("/health-page")
        assert "Webhooks 7 turned away" in page.text
        query("update webhook_rejections set day = current_date - 3")
        assert "Webhooks None taken 7 were turned away within 7 days" in visit().get("/health-page").text

    def test_what_was_found_long_ago_is_not_vouched_for(self, visit, run_key, query):
        query(
            "insert into reconcile_audits "
            "(audit_id, day, connection, started_at, finished_at, complete, matched, missing) "
            "values (gen_random_uuid(), current_date - 45, 'twilio_default', now() - interval '40 days', "
            "now() - interval '40 days', true, 3, 5)"
        )
        query(
            "insert into stray_messages (message_sid, found_at, reason) values (%s, now() - interval '40 days', 'x')",
            "SM" + "e" * 32,
        )
        page = visit().get("/health-page")
        assert "Audits Long ago" in page.text
        assert "Strays None of late" in page.text

    @pytest.mark.parametrize(
        ("last", "sent", "tone", "says"),
        [
            (None, 0, "wait", "None has ever come"),
            (0, 0, "good", "None was turned away"),
            (40, 0, "care", "though messages were sent"),
            (40, 50, "wait", "no message was sent since"),
        ],
    )
    def test_a_webhook_of_long_ago_is_no_good_sign(self, visit, run_key, query, last, sent, tone, says):
        """Days since the last webhook, and since the last message."""
        query("update summary_days set tracked_on = current_date - %s", sent)
        if last is not None:
            query("insert into webhook_receipts values ('status', now() - make_interval(days => %s))", last)
        page = visit().get("/health-page")
        assert says in page.text
        assert re.search(rf'<h2>Webhooks</h2><p><span class="badge {tone}">', page.html)

    def test_what_needs_a_person_is_what_the_command_tells(self, visit, warehouse, run_key, query, database_url):
        query("update campaign_runs set state = 'paused', state_changed_at = now()")
        for reason, requests in (("forged", 7), ("large", 9)):
            query("insert into webhook_rejections values (current_date, %s, %s, now())", reason, requests)
        words = ("status", "--format", "json", "--database-url", database_url)
        told = json.loads(CliRunner().invoke(app, words).stdout)["concerns"]
        page = visit().get("/health-page")
        assert [row["kind"] for row in told] == ["paused", "overdue", "webhooks"]
        for row in told:
            assert page.row(row["concern"].capitalize())[0] == str(row["count"])
        query("update campaign_runs set state = 'done'")
        query("truncate webhook_rejections")
        query("insert into reconcile_days (day, last_pass_at) values (%s, now())", AT.date())
        assert "What needs a person? Nothing." in visit().get("/health-page").text

    def test_credentials_are_checked_at_twilio(self, visit, simulator, connect_twilio):
        connect_twilio(simulator.url)
        page = visit().post("/health-page", connection="twilio_default")
        assert "Connected to" in page.text

    def test_wrong_credentials_are_told(self, visit, simulator, connect_twilio):
        connect_twilio(simulator.url, password="wrong")
        assert "does not accept" in visit().post("/health-page", connection="twilio_default").text

    def test_only_who_may_edit_connections_asks_twilio(self, visit):
        browser = visit(SomeVisitor(edits=False))
        assert "Ask Twilio" not in browser.get("/health-page").text
        assert browser.post("/health-page", connection="twilio_default").status == 403

    def test_only_connections_in_use_are_asked(self, visit):
        assert visit().post("/health-page", connection="aws_default").status == 400


class TestWarehouseTrouble:
    def test_away_is_said_in_words_and_mends_itself(self, visit, database_url):
        tries = []

        def open_warehouse():
            tries.append(1)
            url = "postgresql://127.0.0.1:1/warehouse" if len(tries) == 1 else database_url
            require_current(url)
            return Warehouse(url)

        browser = visit(open_warehouse=open_warehouse)
        page = browser.get("/campaigns")
        assert page.status == 503
        assert "The warehouse is away" in page.text
        assert "cannot be reached" in page.text
        assert "Traceback" not in page.html
        assert browser.get("/campaigns").status == 200

    def test_a_schema_of_another_version_names_the_dag_that_mends_it(self, visit, empty_database_url):
        def open_warehouse():
            require_current(empty_database_url)

        page = visit(open_warehouse=open_warehouse).get("/campaigns")
        assert page.status == 503
        assert "warehouse_upgrade" in page.text

    def test_a_missing_connection_is_named(self, visit):
        def open_warehouse():
            raise ConfigurationError("There is no connection warehouse_default. Add one of type Postgres.")

        page = visit(open_warehouse=open_warehouse).get("/health-page")
        assert "There is no connection warehouse_default" in page.text

    def test_a_defect_of_ours_shows_no_stack_trace(self, visit, caplog):
        def open_warehouse():
            raise ZeroDivisionError("secret")

        page = visit(open_warehouse=open_warehouse).get("/campaigns")
        assert page.status == 500
        assert "secret" not in page.html
        assert "ZeroDivisionError" in caplog.text


def test_every_address_has_the_base_path_of_airflow(visit):
    page = Seen(visit(root_path="/air").client.get("/air/twilio/campaigns"))
    assert page.status == 200
    own = [link for link in page.links if not link.startswith(("#", "?"))]
    assert "/air/plugin/campaigns/air/twilio/campaigns" in own
    assert all(link.startswith("/air/") for link in own)
    scripts = [attributes["src"] for tag, attributes in page.tags if tag == "script"]
    assert all(script.startswith("/air/twilio/static/") for script in scripts)


class TestStatic:
    def test_files_may_be_kept_for_ever_under_the_address_of_their_content(self, visit):
        browser = visit(anonymous=True)
        page = visit().get("/campaigns/spring")
        scripts = [attributes["src"] for tag, attributes in page.tags if tag == "script"]
        assert [script.rpartition("/")[2] for script in scripts] == ["theme.js", "chart.js", "pages.js"]
        for address in scripts:
            answer = browser.client.get(address)
            assert answer.status_code == 200
            assert "immutable" in answer.headers["cache-control"]
            assert answer.headers["content-type"].startswith("text/javascript")

    @pytest.mark.parametrize("path", ["/static/0000/pages.css", "/static/../site.py", "/static/pages.py", "/static/"])
    def test_nothing_else_is_served(self, visit, path):
        assert visit().client.get(f"/twilio{path}").status_code in {404, 405}


def test_webhooks_alone_serve_no_page(database_url):
    from starlette.testclient import TestClient

    from twilio_campaigns.web.app import create_app

    with TestClient(create_app(database_url)) as client:
        assert client.get("/twilio/campaigns").status_code == 404
        assert client.get("/campaigns").status_code == 404
        assert client.get("/twilio/health").status_code == 200
