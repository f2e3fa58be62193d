"""Numbers as people write them."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from twilio_campaigns.domain.phone import InvalidNumberError, parse_phone, typed_number

MOBILES = {
    region: phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    for region in sorted(phonenumbers.SUPPORTED_REGIONS)
    if phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
}


@pytest.mark.parametrize("region", MOBILES)
def test_every_regions_mobile_number_is_mobile(region):
    number = MOBILES[region]
    e164 = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    phone = parse_phone(e164, None)
    assert phone.e164 == e164
    # A few territories share their neighbour's whole numbering plan.
    assert phone.country in phonenumbers.region_codes_for_country_code(number.country_code)
    assert phone.mobile


@given(st.sampled_from(sorted(MOBILES)), st.sampled_from(list(range(4))))
def test_every_way_of_writing_it_is_the_same_number(region, form):
    number = MOBILES[region]
    written = phonenumbers.format_number(number, form)
    assert parse_phone(written, region).e164 == phonenumbers.format_number(number, PhoneNumberFormat.E164)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.binary()))
def test_anything_else_is_refused_in_one_way(raw):
    try:
        assert parse_phone(raw, "US").e164.startswith("+")
    except InvalidNumberError as error:
        assert "+" not in str(error)  # noqa: PT017 - the message is what is tested


@pytest.mark.parametrize(
    ("raw", "region", "e164"),
    [
        ("(202) 555-0123", "US", "+12025550123"),
        ("tel:+1-202-555-0123", None, "+12025550123"),
        ("12025550123.0", "US", "+12025550123"),
        (12025550123, "US", "+12025550123"),
        (12025550123.0, "US", "+12025550123"),
        ("0049 1512 3456789", "DE", "+4915123456789"),
        ("011 49 1512 3456789", "US", "+4915123456789"),
        ("\uff0b\uff11 202 555 0123", None, "+12025550123"),
        ("+1\u00a0202\u2011555\u20110123", None, "+12025550123"),
    ],
)
def test_what_spreadsheets_and_people_make_of_a_number(raw, region, e164):
    assert parse_phone(raw, region).e164 == e164


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (None, "empty"),
        ("  ", "empty"),
        ("1-800-FLOWERS", "letters or signs"),
        ("+1 202 555 0123 ext. 5", "letters or signs"),
        ("1.2025550123E10", "letters or signs"),
        ("+1 202 555 01", "no numbering plan"),
        ("12345", "no numbering plan"),
        ("+999 1234567", "it is no number"),
        ("+800 1234 5678", "no numbering plan"),
    ],
)
def test_what_cannot_be_texted_says_why(raw, says):
    with pytest.raises(InvalidNumberError, match=says):
        parse_phone(raw, "US")


def test_without_a_region_a_local_number_is_refused():
    with pytest.raises(InvalidNumberError, match="no country code"):
        parse_phone("202 555 0123", None)


def test_a_message_shows_no_number():
    with pytest.raises(InvalidNumberError) as caught:
        parse_phone("+1 202 555 01", "US")
    assert "2025550" not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "mobile"),
    [("+441212345678", False), ("+447400123456", True), ("+12025550123", True), ("+18002345678", False)],
)
def test_only_certain_landlines_are_no_mobiles(raw, mobile):
    assert parse_phone(raw, None).mobile is mobile


@pytest.mark.parametrize(
    ("raw", "zone"),
    [("+4915123456789", "Europe/Berlin"), ("+12125550123", "America/New_York"), ("+61412345678", None)],
)
def test_the_time_zone_is_told_where_the_number_tells_it(raw, zone):
    assert parse_phone(raw, None).time_zone == zone


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+1 (202) 555-0000", "+12025550000"),
        ("12025550000", "+12025550000"),
        ("00 49 170 / 1234567", "+491701234567"),
        ("011 49 170 1234567", "+491701234567"),
        ("tel:+1\u2011202\u20115550000", "+12025550000"),
        ("\uff0b\uff14\uff19 170 1234567", "+491701234567"),
        ("(202) 555-0000", "+2025550000"),
        ("c000003", None),
        ("12345", None),
        ("SM" + "0" * 32, None),
        ("00000000-0000-0000-0000-000000000000", None),
        ("", None),
    ],
)
def test_what_somebody_types_to_look_for_a_number(text, number):
    assert typed_number(text) == number
