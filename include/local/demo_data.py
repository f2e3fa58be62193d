"""Customers for the demo: valid numbers of many countries, and the rows that real tables have too."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

import phonenumbers
import psycopg
from phonenumbers import PhoneNumberFormat, PhoneNumberType

if TYPE_CHECKING:
    from collections.abc import Iterator

PEOPLE = 5000
SEED = 20261123
#: Where most of the customers live; the others are spread over every country with a mobile numbering plan.
SHARES = {"US": 0.24, "CA": 0.06, "GB": 0.09, "DE": 0.08, "FR": 0.07, "BR": 0.05, "IN": 0.05, "MX": 0.04}
FIRST_NAMES = [
    "Ada",
    "Grace",
    "Alan",
    "Edsger",
    "Barbara",
    "Donald",
    "Margaret",
    "Ken",
    "Dennis",
    "Radia",
    "Frances",
    "Tim",
    "Karen",
    "Linus",
    "Hedy",
    "Katherine",
    "Zoë",
    "José",
    "Łucja",
    "Søren",
    "Björn",
    "Chloé",
    "Đorđe",
    "Ngọc",
    "Müge",
    "Олена",
    "さくら",
]
LAST_NAMES = [
    "Moreau",
    "Schmidt",
    "Silva",
    "Kowalski",
    "Nguyen",
    "Okafor",
    "Rossi",
    "Haddad",
    "Lindberg",
    "Novak",
    "Tanaka",
    "Garcia",
    "Murphy",
]
CITIES = ["Springfield", "Riverton", "Lakeside", "Hillview", "Oakdale", "Fairview", "Milltown", "Brookfield"]

CREATE = """
create schema if not exists demo;
create table if not exists demo.customers (
    customer_id text, first_name text, last_name text, phone text, country text, city text,
    loyalty_points integer, marketing_opt_in boolean, language text
)
"""


class Customer(NamedTuple):
    """One row of `demo.customers`."""

    customer_id: str
    first_name: str | None
    last_name: str
    phone: str
    country: str
    city: str
    loyalty_points: int
    marketing_opt_in: bool
    language: str


def fill_customers(url: str, people: int = PEOPLE) -> int:
    """Create and fill `demo.customers`, unless it has rows already; give how many it has."""
    with psycopg.connect(url) as connection:
        connection.execute(CREATE)
        found = connection.execute("select count(*) from demo.customers").fetchone()
        if found and found[0]:
            return int(found[0])
        rows = list(customers(people))
        with connection.cursor() as cursor, cursor.copy("copy demo.customers from stdin") as copy:
            for row in rows:
                copy.write_row(row)
    return len(rows)


def customers(people: int = PEOPLE, seed: int = SEED) -> Iterator[Customer]:
    """Make customers; the same seed makes the same ones."""
    random = Random(seed)  # noqa: S311 - example data
    regions = _mobile_regions()
    spread = [region for region in regions if region not in SHARES]
    taken: list[str] = []
    for number in range(people):
        region = _region(random, number, spread)
        phone = _mobile(random, region)
        taken.append(phone)
        yield _spoil(random, _person(random, number, region, phone), taken)


def _mobile_regions() -> list[str]:
    """Give regions whose example number is a mobile one and is known as their own."""
    return [
        region
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        if (number := phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE))
        and phonenumbers.region_code_for_number(number) == region
    ]


def _region(random: Random, number: int, spread: list[str]) -> str:
    draw = random.random()
    for region, share in SHARES.items():
        if draw < share:
            return region
        draw -= share
    return spread[number % len(spread)]


def _mobile(random: Random, region: str) -> str:
    """Vary the last digits of the region's example number until the numbering plan takes it as mobile."""
    example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    digits = phonenumbers.national_significant_number(example)
    for width in (5, 5, 4, 4, 3, 3, 2, 2):
        varied = digits[:-width] + "".join(random.choices("0123456789", k=width))
        number = phonenumbers.parse(f"+{example.country_code}{varied}")
        if phonenumbers.number_type(number) in {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}:
            return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return phonenumbers.format_number(example, PhoneNumberFormat.E164)


def _person(random: Random, number: int, region: str, phone: str) -> Customer:
    return Customer(
        customer_id=f"c{number:05}",
        first_name=random.choice(FIRST_NAMES),
        last_name=random.choice(LAST_NAMES),
        phone=phone,
        country=region,
        city=random.choice(CITIES),
        loyalty_points=random.randrange(0, 1200),
        marketing_opt_in=random.random() < 0.9,  # noqa: PLR2004 - example data
        language=random.choice(["en", "de", "fr", "es", "pt"]),
    )


def _spoil(random: Random, person: Customer, taken: list[str]) -> Customer:
    """Make some rows as real tables have them: unreadable, twice, a landline, without a name."""
    draw = random.random()
    if draw < 0.010:  # noqa: PLR2004 - example data
        return person._replace(phone=random.choice(["n/a", "12", "+1 202 555", "call me", "0000000000"]))
    if draw < 0.020:  # noqa: PLR2004 - the same
        return person._replace(phone=random.choice(taken))
    if draw < 0.028:  # noqa: PLR2004 - the same
        landline = phonenumbers.example_number_for_type("GB", PhoneNumberType.FIXED_LINE)
        return person._replace(phone=phonenumbers.format_number(landline, PhoneNumberFormat.INTERNATIONAL))
    if draw < 0.034:  # noqa: PLR2004 - the same
        return person._replace(first_name=None)
    return person
