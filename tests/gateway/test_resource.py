import json
from decimal import Decimal

import pytest

from gateway.scripted_server import MESSAGE_SID, message_json
from twilio_campaigns.domain.status import Source
from twilio_campaigns.gateway.resource import (
    MalformedAnswerError,
    error_code,
    parse_account,
    parse_message,
    parse_page,
)


def read(**changes):
    return parse_message(message_json(**changes), Source.FETCH)


def test_a_delivered_message_in_full():
    seen = read(
        status="delivered",
        date_sent="Mon, 23 Nov 2026 21:00:02 +0100",
        price="-0.00750",
        num_segments="3",
        messaging_service_sid="MG" + "1" * 32,
    )
    assert seen.sid == MESSAGE_SID
    assert seen.sent_at.isoformat() == "2026-11-23T20:00:02+00:00"
    assert seen.updated_at.isoformat() == "2026-11-23T20:00:01+00:00"
    assert (seen.price, seen.price_unit, seen.parts) == (Decimal("0.00750"), "USD", 3)
    assert (seen.from_number, seen.to_number) == ("+15005550006", "+15005550010")
    assert seen.messaging_service_sid == "MG" + "1" * 32
    assert not seen.is_inbound


@pytest.mark.parametrize(
    ("written", "price"),
    [
        ("-0.00750", "0.00750"),
        ("0", "0"),
        (-0.01, "0.01"),
        (None, None),
        ("", None),
        ("free", None),
        ("NaN", None),
    ],
)
def test_price_is_what_it_costs(written, price):
    assert read(price=written).price == (None if price is None else Decimal(price))


@pytest.mark.parametrize(("written", "parts"), [("0", None), ("2", 2), (2, 2), (None, None), ("", None), ("x", None)])
def test_parts_are_unknown_until_twilio_counts_them(written, parts):
    assert read(num_segments=written).parts == parts


@pytest.mark.parametrize(("written", "code"), [(30007, 30007), ("30007", 30007), (None, None), (0, None)])
def test_error_codes_as_number_and_as_text(written, code):
    assert read(error_code=written).error_code == code


def test_dates_become_utc_and_nothing_else():
    assert read(date_created="Mon, 23 Nov 2026 20:00:00 -0000").created_at.utcoffset().total_seconds() == 0
    assert read(date_updated="not a date").updated_at == read().created_at


@pytest.mark.parametrize(
    "changes",
    [{"sid": "SM1"}, {"sid": None}, {"status": ""}, {"status": None}, {"date_created": "yesterday"}],
)
def test_what_a_message_cannot_do_without(changes):
    with pytest.raises(MalformedAnswerError):
        read(**changes)


def test_a_page_and_where_it_goes_on():
    body = {
        "messages": [message_json(), message_json(sid="SM" + "b" * 32)],
        "next_page_uri": "/2010-04-01/x?Page=1",
    }
    page = parse_page(json.dumps(body), Source.LIST)
    assert [seen.sid[2:4] for seen in page.messages] == ["01", "bb"]
    assert page.next_path == "/2010-04-01/x?Page=1"
    assert parse_page(json.dumps(body | {"next_page_uri": None}), Source.LIST).next_path is None


@pytest.mark.parametrize(
    "odd",
    [r'"body": "cut in the middle of \ud83d"', '"price": NaN', '"error_code": 1e999', r'"body": "\u0000"', '"to": {}'],
)
def test_an_odd_field_loses_neither_its_message_nor_its_page(odd):
    first = json.dumps(message_json(sid="SM" + "a" * 32))
    page = parse_page(f'{{"messages": [{first[:-1]}, {odd}}}, {json.dumps(message_json())}]}}', Source.LIST)
    assert [seen.sid for seen in page.messages] == ["SM" + "a" * 32, MESSAGE_SID]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"messages": {}}',
        '{"messages": [7]}',
        '{"messages": [{}]}',
        '{"messages": [], "next_page_uri": "https://evil.example/x"}',
        '{"messages": [], "next_page_uri": "//evil.example/x"}',
        '{"messages": [], "next_page_uri": 7}',
        "[" * 100_000,
    ],
)
def test_what_is_not_a_page(body):
    with pytest.raises(MalformedAnswerError):
        parse_page(body, Source.LIST)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"code": 21211}', 21211),
        ('{"code": "21211"}', 21211),
        ('{"code": 500}', None),
        ("<html>", None),
        ("", None),
    ],
)
def test_error_codes_are_twilios_own(body, code):
    assert error_code(body) == code


def test_an_account():
    body = json.dumps({"sid": "AC1", "friendly_name": "Shop", "status": "active", "type": "Trial"})
    account = parse_account(body)
    assert (account.friendly_name, account.status, account.kind) == ("Shop", "active", "Trial")
    with pytest.raises(MalformedAnswerError):
        parse_account("<html>")
