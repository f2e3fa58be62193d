"""Errors keep what Twilio said, also on the way between processes."""

import pickle

from twilio_campaigns.domain.exceptions import CampaignFileError, TransientError, TwilioUnavailableError


def test_the_request_id_comes_first():
    error = TwilioUnavailableError("Twilio is down.", 20503, 503, "RQ123", 2.0)
    assert str(error) == "[request RQ123, HTTP 503, Twilio error 20503] Twilio is down."
    assert isinstance(error, TransientError)


def test_errors_survive_pickling():
    error = pickle.loads(pickle.dumps(TwilioUnavailableError("Down.", 20503, 503, "RQ1", 2.0)))  # noqa: S301
    assert (error.code, error.http_status, error.request_id, error.retry_after) == (20503, 503, "RQ1", 2.0)
    files = pickle.loads(pickle.dumps(CampaignFileError("a:1: x", "b:2: y")))  # noqa: S301
    assert files.problems == ("a:1: x", "b:2: y")
    assert str(files) == "a:1: x\nb:2: y"
