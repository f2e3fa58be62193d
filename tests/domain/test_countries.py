"""Countries without delivery receipts."""

import phonenumbers

from twilio_campaigns.domain.countries import NO_RECEIPT_COUNTRIES, sends_receipts


def test_every_code_is_a_country_with_a_numbering_plan():
    assert len(NO_RECEIPT_COUNTRIES) == 34
    assert set(phonenumbers.SUPPORTED_REGIONS) >= NO_RECEIPT_COUNTRIES


def test_a_few_of_them():
    assert not any(map(sends_receipts, ["DE", "BR", "VN", "MX", "HK"]))
    assert all(map(sends_receipts, ["US", "GB", "FR", "IN"]))
