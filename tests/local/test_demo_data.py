"""The demo's customers are what the README says of them."""

from collections import Counter

import phonenumbers
import psycopg
import pytest

from include.local.demo_data import PEOPLE, customers, fill_customers
from twilio_campaigns.domain.phone import InvalidNumberError, parse_phone


@pytest.fixture(scope="module")
def people():
    return list(customers())


def readable(people):
    for person in people:
        try:
            yield person, parse_phone(person.phone, None)
        except InvalidNumberError:
            continue


def test_the_same_seed_makes_the_same_people(people):
    assert list(customers()) == people
    assert list(customers(seed=2)) != people


def test_they_live_in_many_countries_with_valid_numbers(people):
    valid = list(readable(people))
    assert len(people) == PEOPLE
    assert len(valid) > 0.97 * PEOPLE
    assert len({phone.country for _, phone in valid}) >= 60


def test_no_two_ids_are_alike(people):
    assert len({person.customer_id for person in people}) == PEOPLE


def test_the_table_is_as_untidy_as_real_ones(people):
    numbers = Counter(person.phone for person in people)
    landlines = [
        phone
        for _, phone in readable(people)
        if phonenumbers.number_type(phonenumbers.parse(phone.e164)) == phonenumbers.PhoneNumberType.FIXED_LINE
    ]
    assert len(people) - len(list(readable(people))) > 10
    assert sum(count > 1 for count in numbers.values()) > 10
    assert len(landlines) > 10
    assert sum(person.first_name is None for person in people) > 10


def test_they_are_written_once(empty_database_url):
    assert fill_customers(empty_database_url, 50) == 50
    assert fill_customers(empty_database_url, 80) == 50
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select count(*), count(distinct customer_id) from demo.customers").fetchone() == (
            50,
            50,
        )
