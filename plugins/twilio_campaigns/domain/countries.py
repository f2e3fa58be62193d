"""Countries whose carriers report nothing back about a message's delivery."""

from __future__ import annotations

from typing import Final

#: Where a message stays ``sent`` because no delivery receipt comes. ISO 3166-1 alpha-2; the list of the
#: integration whose vocabulary the events follow.
NO_RECEIPT_COUNTRIES: Final = frozenset(
    {
        "BD",  # Bangladesh
        "BJ",  # Benin
        "BR",  # Brazil
        "BI",  # Burundi
        "KH",  # Cambodia
        "DE",  # Germany
        "GP",  # Guadeloupe
        "GU",  # Guam
        "HK",  # Hong Kong
        "ID",  # Indonesia
        "KW",  # Kuwait
        "MY",  # Malaysia
        "MH",  # Marshall Islands
        "MR",  # Mauritania
        "MX",  # Mexico
        "NR",  # Nauru
        "MP",  # Northern Mariana Islands
        "PA",  # Panama
        "PK",  # Pakistan
        "PG",  # Papua New Guinea
        "PE",  # Peru
        "WS",  # Samoa
        "SB",  # Solomon Islands
        "SS",  # South Sudan
        "LK",  # Sri Lanka
        "SD",  # Sudan
        "TJ",  # Tajikistan
        "TL",  # Timor-Leste
        "TO",  # Tonga
        "TV",  # Tuvalu
        "UZ",  # Uzbekistan
        "VE",  # Venezuela
        "VN",  # Vietnam
        "WF",  # Wallis and Futuna
    }
)


def sends_receipts(country: str) -> bool:
    """Whether a delivery receipt can be expected from this country."""
    return country not in NO_RECEIPT_COUNTRIES
