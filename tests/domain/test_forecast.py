"""How long a run takes, said beforehand; what cannot be done in time is refused."""

from datetime import timedelta

import pytest

from twilio_campaigns.domain.exceptions import AudienceError
from twilio_campaigns.domain.forecast import Forecast

DAY = timedelta(hours=24)


def forecast(parts, *, rate=10.0, released=None, ahead=0):
    return Forecast(parts, parts, ahead, rate, released or rate)


def test_parts_divided_by_the_senders_rate():
    assert forecast(36_000).takes == timedelta(hours=1)
    assert "1:00:00 until the last one is handed over" in str(forecast(36_000))


def test_what_other_runs_still_have_to_send_counts():
    assert forecast(36_000, ahead=36_000).takes == timedelta(hours=2)
    assert "36,000 parts of other runs" in str(forecast(36_000, ahead=36_000))


def test_a_run_that_fits_passes():
    forecast(10 * 86_400).check(send_within=DAY, validity=None)


def test_a_run_that_outlasts_its_send_window_is_refused_with_the_remedy():
    with pytest.raises(AudienceError, match="longer than send_within") as error:
        forecast(10 * 86_400 + 1).check(send_within=DAY, validity=None)
    assert "Raise send_within" in str(error.value)
    assert "Nobody was planned" in str(error.value)


def test_a_queue_that_outlasts_twilios_ten_hours_is_refused():
    fits = forecast(36_000, rate=100.0, released=1.0)
    assert fits.queues_for < timedelta(hours=10)
    fits.check(send_within=DAY, validity=None)
    with pytest.raises(AudienceError, match="10:00:00"):
        forecast(40_000, rate=100.0, released=1.0).check(send_within=DAY, validity=None)


def test_a_shorter_validity_period_shortens_the_queue():
    with pytest.raises(AudienceError, match="gives up after 1:00:00"):
        forecast(36_000, rate=100.0, released=1.0).check(send_within=DAY, validity=timedelta(hours=1))


def test_a_sender_that_is_paced_at_what_twilio_releases_has_no_queue():
    assert forecast(1_000_000, rate=10.0).queues_for == timedelta(0)
