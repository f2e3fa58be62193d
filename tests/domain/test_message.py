"""Ids of events: what they are may never change, or those of old rows would no longer be found."""

from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_campaigns.domain.message import NAMESPACE, EventIds
from twilio_campaigns.domain.status import Status


@given(st.uuids(), st.sampled_from(Status))
def test_they_are_uuids_of_version_5(key, status):
    assert UUID(bytes=EventIds(key.bytes).of(status)) == uuid5(NAMESPACE, f"{key}|{status}")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.ENQUEUED, "8a0eef23-a3cd-5280-8304-9200723ea0e1"),
        (Status.DELIVERED, "0b49ef70-64d9-5ae1-8954-41c3b7bfe380"),
    ],
)
def test_they_stay_what_they_were(status, expected):
    key = UUID("00000000-0000-5000-8000-000000000007")
    assert str(UUID(bytes=EventIds(key.bytes).of(status))) == expected
