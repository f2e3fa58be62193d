"""Numbers as segments hold them: a bad one is one row with its reason, and everybody beside it is planned."""

import logging
import math
from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from builders import campaign, freeze, people
from twilio_campaigns.domain.campaign import AudienceRules
from twilio_campaigns.warehouse.connection import Warehouse

#: Never texted.
NO_NUMBERS = {
    "none": None,
    "empty": "",
    "white space": " \t\u00a0",
    "only invisible marks": "\u200e\u202a\u202c",
    "NaN of pandas": math.nan,
    "infinity": math.inf,
    "NaN as Decimal": Decimal("NaN"),
    "nan as text": "nan",
    "None as text": "None",
    "NaT as text": "NaT",
    "<NA> as text": "<NA>",
    "error of Excel": "#N/A",
    "formula of Excel": '="+12025550142"',
    "apostrophe of Excel": "'+12025550142",
    "scientific notation": "1.20256E+10",
    "scientific notation in small letters": "1.2e10",
    "rounded float": 1.2e10,
    "true": True,
    "zero": 0,
    "zeros": "0000000000",
    "vanity letters": "+1 202 555 CAKE",
    "letter O": "+1 202 555 O142",
    "extension": "+1 202 555 0142 ext. 5",
    "extension with a hash": "+1 202 555 0142 #5",
    "extension after a pause": "+12025550142,,5",
    "extension of a URI": "tel:+12025550142;ext=5",
    "two numbers": "+12025550142, +12025550143",
    "two numbers with a semicolon": "+12025550142;+12025550143",
    "two numbers with a slash": "2025550142 / 2025550143",
    "two numbers in two lines": "2025550142\n2025550143",
    "Arabic digits": "\u0662\u0660\u0662\u0665\u0665\u0665\u0660\u0661\u0664\u0662",
    "superscript": "+120255501\u2074\u00b2",
    "two plus signs": "++12025550142",
    "plus at the end": "12025550142+",
    "too short": "+1 202 555 01",
    "too long": "+1 202 555 0142 0142",
    "a country that does not exist": "+999 2025550142",
    "short code": "12345",
    "emergency number": "911",
    "international service": "+800 1234 5678",
    "mail address": "anna@example.com",
    "list": ["+12025550142"],
    "mapping": {"number": "+12025550142"},
    "bytes that are no text": b"\xff\xfe+\x001\x00",
    "a hundred thousand digits": "2" * 100_000,
    "more digits than Python writes": 10**5000,
}

#: What looks bad and is a number all the same.
NUMBERS = {
    "int": 12025550142,
    "float beside a gap": 12025550142.0,
    "float as text": "12025550142.0",
    "numeric(20, 2) as text": "12025550142.00",
    "Decimal": Decimal("12025550142.00"),
    "Decimal in scientific notation": Decimal("1.2025550142E+10"),
    "bytes": b"+12025550142",
    "full-width digits": "\uff0b\uff11\uff12\uff10\uff12\uff15\uff15\uff15\uff10\uff11\uff14\uff12",
    "marks of an address book": "\u202a+1 202 555 0142\u202c",
    "isolates": "\u2066+12025550142\u2069",
    "right-to-left mark": "\u200f+12025550142",
    "byte order mark": "\ufeff+12025550142",
    "soft hyphens": "+1\u00ad202\u00ad555\u00ad0142",
    "NUL": "+12025550142\0",
    "half of a surrogate pair": "+12025550142\ud83d",
    "no-break spaces": "+1\u00a0202\u00a0555\u00a00142",
    "line end": "+12025550142\r\n",
    "dashes of a word processor": "202\u2013555\u20130142",
    "local": "(202) 555-0142",
    "prefix for calls abroad": "011 1 202 555 0142",
    "URI": "tel:+1-202-555-0142",
}


def bad(phone):
    return {"customer_id": "bad", "phone": phone, "first_name": "Ann"}


@pytest.fixture
def frozen(warehouse, query, caplog):
    """Freeze one row between good ones; give what the ledger has of it, when the good ones are planned."""

    def run(phone, **changes):
        first, second = people(2, first=50)
        caplog.set_level(logging.DEBUG)
        assert freeze(warehouse, [first, bad(phone), second], of=campaign(**changes)).batches == [1]
        rows = {row["customer_id"]: row for row in query("select * from messages")}
        assert [rows[good["customer_id"]]["send_state"] for good in (first, second)] == ["planned", "planned"]
        assert len(rows) == 3
        assert "2025550" not in caplog.text
        return rows["bad"]

    return run


@pytest.fixture(scope="module")
def all_frozen(shared_url):
    """Freeze all that is no number between good rows; give what the ledger has of each, and the log."""
    rows = [{**bad(phone), "customer_id": name} for name, phone in NO_NUMBERS.items()]
    with Warehouse(shared_url) as warehouse, capture_logs() as log:
        freeze(warehouse, [*people(5), *rows, *people(5, first=5)])
        with warehouse.transaction() as connection:
            found = {row["customer_id"]: row for row in connection.execute("select * from messages")}
            for table in ("messages", "campaign_runs"):
                connection.execute(f"delete from {table}")
    return found, str(log)


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_is_no_number_is_left_out_as_invalid(all_frozen, name):
    row = all_frozen[0][name]
    assert (row["send_state"], row["skip_reason"]) == ("skipped", "invalid_number")
    assert (row["to_number"], row["body"], row["batch_no"]) == (None, None, None)


def test_everybody_beside_them_is_planned_and_no_number_is_logged(all_frozen):
    rows, log = all_frozen
    assert len(rows) == len(NO_NUMBERS) + 10
    assert [rows[good["customer_id"]]["send_state"] for good in people(10)] == ["planned"] * 10
    assert "2025550" not in log


@pytest.mark.parametrize("phone", NUMBERS.values(), ids=NUMBERS)
def test_what_is_a_number_all_the_same_is_planned(frozen, phone):
    row = frozen(phone)
    assert (row["send_state"], row["to_number"]) == ("planned", "+12025550142")


@pytest.mark.parametrize("phone", ["202.555.0000", "+1.202.555.0000"])
def test_zeros_after_a_dot_belong_to_the_number(frozen, phone):
    assert frozen(phone)["to_number"] == "+12025550000"


@pytest.mark.parametrize("phone", ["+1 800 555 0142", "+44 20 7946 0958"])
def test_what_rings_on_a_desk_is_left_out_as_no_mobile(frozen, phone):
    row = frozen(phone)
    assert (row["skip_reason"], row["body"]) == ("not_mobile", None)


def test_a_local_number_without_a_region_is_invalid_and_the_others_are_planned(frozen):
    assert frozen("202 555 0142", audience=AudienceRules())["skip_reason"] == "invalid_number"


def test_a_number_twice_is_texted_once_however_it_is_written(warehouse, query):
    freeze(warehouse, [bad("(202) 555-0142"), {**bad("+1.202.555.0142"), "customer_id": "worse"}])
    rows = query("select customer_id, skip_reason, to_number from messages order by 1")
    assert [row["skip_reason"] for row in rows] == [None, "duplicate_number"]
    assert {row["to_number"] for row in rows} == {"+12025550142"}


@pytest.mark.parametrize("customer_id", [None, "", " ", "\0", math.nan, b""])
def test_a_row_without_customer_id_is_left_out(warehouse, query, customer_id):
    freeze(warehouse, [*people(2), {"customer_id": customer_id, "phone": "+12025550142", "first_name": "Ann"}])
    rows = query("select skip_reason, count(*) as n from messages group by 1 order by 1 nulls last")
    assert [(row["skip_reason"], row["n"]) for row in rows] == [("missing_customer_id", 1), (None, 2)]
