"""Ids of events: what they are may never change, or those of old rows would no longer be found."""

from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twilio_campaigns.domain.message import NAMESPACE, event_ids
from twilio_campaigns.domain.status import Status


@given(st.lists(st.tuples(st.uuids(), st.sampled_from(Status))))
def test_they_are_uuids_of_version_5(events):
    found = event_ids([key.bytes for key, _ in events], [status for _, status in events])
    assert [UUID(bytes=id_) for id_ in found] == [uuid5(NAMESPACE, f"{key}|{status}") for key, status in events]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.ENQUEUED, "8a0eef23-a3cd-5280-8304-9200723ea0e1"),
        (Status.DELIVERED, "0b49ef70-64d9-5ae1-8954-41c3b7bfe380"),
    ],
)
def test_they_stay_what_they_were(status, expected):
    key = UUID("00000000-0000-5000-8000-000000000007")
    assert [str(UUID(bytes=id_)) for id_ in event_ids([key.bytes], [status])] == [expected]
