"""A preview says what the freeze then does, and leaves no trace."""

import tracemalloc
from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest

from builders import campaign, freeze, people, run, sender
from twilio_campaigns.domain.campaign import AudienceRules, Message
from twilio_campaigns.domain.preview import Price
from twilio_campaigns.engine.preview import preview_audience
from twilio_campaigns.warehouse.insight.refreshing import Summaries

TABLES = "select relname from pg_class where relnamespace = 'messaging'::regnamespace and relkind = 'r'"
OBJECTS = "select oid, relname, relfilenode from pg_class order by oid"


def everything(query):
    """Every row of every table, with its place and the transaction that wrote it: equal only if nothing was written."""
    tables = [row["relname"] for row in query(TABLES)]
    assert len(tables) > 10
    return query(OBJECTS), {
        name: query(f"select ctid, xmin::text, xmax::text, t::text from messaging.{name} as t") for name in tables
    }


def audience():
    """Rows of every fate: the first three are good, one of them twice and one under two ids."""
    rows = people(12)
    rows += [
        {**rows[0], "customer_id": "zz"},
        {**rows[1], "customer_id": "a", "phone": "(202) 555-0001"},
        {**rows[2]},
        {"customer_id": "", "phone": "+12025550020", "first_name": "Ada"},
        {"customer_id": "n", "phone": "12", "first_name": "Ada"},
        {"customer_id": "l", "phone": "+442079460000", "first_name": "Ada"},
        {"customer_id": "m", "phone": "+12025550021", "first_name": None},
        {"customer_id": "x", "phone": "+12025550022", "first_name": "Ada" * 600},
        {"customer_id": "u", "phone": "+12025550023", "first_name": "Ä" * 100 + "☀"},
    ]
    return rows


@pytest.fixture
def history(warehouse, query):
    """Two earlier runs, the second one stopped; opt-outs of this sender, of another one, and one that was lifted."""
    freeze(warehouse, people(4, first=4), as_run=run("first"))
    freeze(warehouse, people(1, first=10), as_run=run("second"))
    query("update campaign_runs set state = 'stopped' where run_key = %s", run("second").run_key)
    query("update messages set send_state = 'unknown' where to_number = '+12025550006'")
    query(
        "update messages set send_state = 'accepted', message_sid = 'SM' || to_number, "
        "claimed_at = now() - interval '13 hours' where to_number = '+12025550007'"
    )
    for number, scope, lifted in (
        ("+12025550008", "*", None),
        ("+12025550009", sender().scope, None),
        ("+12025550011", "MG" + "f" * 32, None),
        ("+12025550003", "*", "now"),
    ):
        query(
            "insert into suppressions (to_number, scope, reason, source, lifted_at) "
            "values (%s, %s, 'opt_out', 'test', %s)",
            number,
            scope,
            lifted,
        )


def test_it_decides_about_each_row_as_the_freeze_does(warehouse, query, history):
    rows = audience()
    found = preview_audience(campaign(), [rows[:7], rows[7:]], warehouse, show=len(rows))
    freeze(warehouse, rows)
    frozen = query("select * from messages where run_key = %s", run().run_key)

    reasons = Counter(row["skip_reason"] for row in frozen)
    planned = [row for row in frozen if row["send_state"] == "planned"]
    assert set(reasons) >= {None, "duplicate_number", "suppressed", "recently_texted", "missing_variable"}
    assert found.exclusions() == {reason: count for reason, count in reasons.items() if reason is not None}
    assert found.audience == len(rows) == len(frozen)
    assert found.forecast.messages == len(planned)
    assert found.forecast.parts == sum(row["estimated_parts"] for row in planned)
    assert Counter({tally.country: tally.rows for tally in found.countries()}) == Counter(
        row["country"] for row in planned
    )
    shown = Counter((r.recipient.customer_id, r.recipient.input_number, r.reason, r.recipient.body) for r in found.rows)
    assert shown == Counter((r["customer_id"], r["input_number"], r["skip_reason"], r["body"]) for r in frozen)
    assert [row.number for row in found.rows] == list(range(1, len(rows) + 1))


def test_it_leaves_the_database_bit_for_bit_as_it_was(warehouse, query, history):
    before = everything(query)
    assert len(before[1]["messages"]) == 5
    preview_audience(campaign(), [audience()], warehouse)
    assert everything(query) == before


def test_whoever_may_only_read_may_preview(warehouse, query, database_url, history):
    from twilio_campaigns.warehouse.connection import Warehouse

    with Warehouse(f"{database_url}&options=-c%20default_transaction_read_only%3Don") as reader:
        assert preview_audience(campaign(), [audience()], reader).exclusions()["suppressed"] == 2


def test_without_a_ledger_it_still_finds_duplicates(warehouse):
    found = preview_audience(campaign(), [audience()])
    assert found.exclusions()["duplicate_number"] == 3
    assert not {"suppressed", "recently_texted"} & found.exclusions().keys()
    assert (found.prices, found.costs(), found.unpriced()) == ({}, {}, found.forecast.messages)


def test_a_number_has_no_place_in_the_scratch_file():
    from twilio_campaigns.domain.audience import RecipientReader
    from twilio_campaigns.warehouse.preview import Candidate, Scratch

    scratch = Scratch()
    scratch.add([Candidate(1, RecipientReader(campaign()).read(people(1)[0]), None)])
    ((row,), columns) = (list(scratch._database.execute("select * from candidates")), "2025550000")
    assert not any(columns in str(value) for value in row)
    scratch.close()


class TestPrices:
    @pytest.fixture
    def change(self, warehouse, query):
        """Change what the ledger says of a run, and its summaries with it."""

        def work(change, where="true", *, of=None):
            run_key = (of or run()).run_key
            query(f"update messages set {change} where run_key = %s and {where}", run_key)
            Summaries(warehouse).refresh(run_key)

        return work

    @pytest.fixture
    def billed(self, warehouse, change):
        """Give a run, billed at three cents for two parts."""

        def work(rows, of=None, as_run=None):
            freeze(warehouse, rows, of=of, as_run=as_run)
            change(
                "send_state = 'accepted', message_sid = 'SM' || to_number, tracked_on = current_date, "
                "estimated_parts = 2, number_of_message_parts = 2, price = 0.03, price_unit = 'USD', country = 'US'",
                of=as_run,
            )

        return work

    def test_a_part_costs_what_it_has_cost_lately(self, warehouse, billed, change):
        billed(people(6))
        change("country = 'CA', price = 0.01", "to_number = '+12025550005'")
        found = preview_audience(campaign(campaign_id="other"), [people(4, first=100)], warehouse)
        assert {country: price.amount for country, price in found.prices.items()} == {
            "US": Decimal("0.015"),
            "CA": Decimal("0.005"),
        }
        assert found.costs() == {"USD": Decimal("0.060")}
        assert found.unpriced() == 0

    def test_long_texts_and_large_runs_weigh_more(self, warehouse, billed, change):
        billed(people(6))
        change("number_of_message_parts = 5, price = 0.05", "to_number = '+12025550005'")
        billed(people(2, first=50), as_run=run("second"))
        (price,) = preview_audience(campaign(), [], warehouse).prices.values()
        assert float(price.amount) == pytest.approx((7 * 0.03 + 0.05) / (7 * 2 + 5))

    def test_what_is_not_billed_yet_makes_nothing_cheaper(self, warehouse, billed, change):
        billed(people(6))
        change("price = null", "to_number > '+12025550001'")
        assert preview_audience(campaign(), [], warehouse).prices["US"].amount == Decimal("0.015")

    def test_the_senders_own_prices_come_first(self, warehouse, billed, change):
        billed(people(2))
        other = run(campaign_id="other")
        billed(people(9, first=50), of=campaign(campaign_id="other", sender=sender(name="short_code")), as_run=other)
        change("price = 0.3", of=other)
        assert preview_audience(campaign(), [], warehouse).prices["US"].amount == Decimal("0.015")
        (price,) = preview_audience(campaign(sender=sender(name="new")), [], warehouse).prices.values()
        assert float(price.amount) == pytest.approx((2 * 0.03 + 9 * 0.3) / (11 * 2))

    def test_an_own_price_in_another_currency_comes_before_what_others_pay(self, warehouse, billed, change):
        billed(people(2))
        change("price_unit = 'EUR'")
        other = run(campaign_id="other")
        billed(people(9, first=50), of=campaign(campaign_id="other", sender=sender(name="short_code")), as_run=other)
        assert preview_audience(campaign(), [], warehouse).prices["US"] == Price(Decimal("0.015"), "EUR")

    @pytest.mark.parametrize(
        "what",
        ["price = null", "tracked_on = current_date - 31", "channel = 'mms'", "connection = 'twilio_of_others'"],
    )
    def test_what_tells_nothing_of_this_campaign_is_no_price(self, warehouse, billed, change, what):
        billed(people(6))
        change(what)
        found = preview_audience(campaign(), [people(3, first=100)], warehouse)
        assert (found.prices, found.unpriced()) == ({}, 3)

    def test_an_mms_is_billed_as_one(self, warehouse, billed, change):
        billed(people(6))
        change("channel = 'mms', number_of_message_parts = 3")
        pictures = campaign(
            sender=sender(channel="mms"), message=Message(body="x", media_urls=("https://example.com/a.jpg",))
        )
        assert preview_audience(pictures, [], warehouse).prices["US"].amount == Decimal("0.03")


class TestForecast:
    def test_other_runs_of_the_sender_go_first(self, warehouse):
        freeze(warehouse, people(50), of=campaign(campaign_id="other"), as_run=run(campaign_id="other"))
        found = preview_audience(campaign(), [people(10, first=100)], warehouse)
        assert (found.forecast.parts_ahead, found.forecast.takes) == (50, timedelta(seconds=60 / 5000))
        assert found.refusal is None

    def test_what_the_freeze_would_refuse_is_said(self, warehouse):
        slow = campaign(sender=sender(parts_per_second=0.001), send_within=timedelta(hours=1))
        found = preview_audience(slow, [people(10)], warehouse)
        assert "longer than send_within (1:00:00)" in found.refusal
        assert "Nobody was planned" not in found.refusal


def test_memory_does_not_grow_with_the_audience():
    def peak(count):
        tracemalloc.start()
        found = preview_audience(
            campaign(audience=AudienceRules(default_region="US", mobile_only=False)),
            (people(500, first=first) for first in range(0, count, 500)),
            show=3,
        )
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (found.audience, len(found.rows)) == (count, 3)
        return most

    peak(500)
    assert peak(6000) < peak(1500) + 300_000
