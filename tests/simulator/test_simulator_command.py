"""The simulator as a process of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from threading import Timer

import httpx
import pytest

from builders import ACCOUNT_SID, TOKEN
from simulator.api import MESSAGES, OUR_NUMBER, PERSON

PLUGINS = Path(__file__).parents[2] / "plugins"
LISTENING = re.compile(r"Simulator listening on (http://127\.0\.0\.1:[1-9][0-9]*)\n")


def command(*options, token=TOKEN):
    """Give the arguments of `Popen` for a simulator."""
    environment = {**os.environ, "PYTHONPATH": str(PLUGINS), "COLUMNS": "200", "NO_COLOR": "1"}
    for name in ("SIMULATOR_AUTH_TOKEN", "PYTHONUNBUFFERED"):
        environment.pop(name, None)
    if token:
        environment["SIMULATOR_AUTH_TOKEN"] = token
    arguments = [sys.executable, "-m", "twilio_campaigns.simulator", *options]
    return {"args": arguments, "env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def test_the_process_says_where_answers_over_http_and_ends_when_told():
    begun_at = "2026-11-20T12:00:00"
    process = subprocess.Popen(**command("--port", "0", "--started-at", begun_at, "--life-speed", "100000"))
    watchdog = Timer(20, process.kill)
    watchdog.start()
    try:
        first_line = process.stdout.readline()
        where = LISTENING.fullmatch(first_line)
        assert where, first_line
        with httpx.Client(base_url=where[1], auth=(ACCOUNT_SID, TOKEN), timeout=10) as twilio:
            form = {"To": PERSON, "From": OUR_NUMBER, "Body": "hello"}
            created = twilio.post(MESSAGES, data=form)
            assert created.status_code == 201
            assert twilio.post(MESSAGES, data={**form, "To": f"{PERSON}x"}).json()["code"] == 21211
            listed = twilio.get(MESSAGES, params={"To": PERSON}).json()["messages"]
            assert [message["sid"] for message in listed] == [created.json()["sid"]]
            assert twilio.get(MESSAGES, auth=(ACCOUNT_SID, "wrong")).status_code == 401
            now = datetime.fromisoformat(twilio.get("/_simulator/stats").json()["now"])
        assert 0 <= (now - datetime.fromisoformat(f"{begun_at}+00:00")).total_seconds() < 60
        process.send_signal(signal.SIGTERM)
        said, complained = process.communicate(timeout=15)
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
    assert process.returncode in {0, -signal.SIGTERM}
    for number in (PERSON, OUR_NUMBER):
        assert number[1:] not in first_line + said + complained
    assert TOKEN not in first_line + said + complained


@pytest.mark.parametrize(
    ("options", "token", "reason"),
    [
        ([], None, "--auth-token"),
        (["--account-sid", "AC1"], TOKEN, "account_sid"),
        (["--speed", "0"], TOKEN, "speed"),
        (["--started-at", "noon"], TOKEN, "--started-at"),
        (["--faults", "{lost_share: 1}"], TOKEN, "--faults: Invalid JSON"),
        (["--faults", "[]"], TOKEN, "--faults"),
        (["--faults", '{"lost": 1}'], TOKEN, "lost: Extra inputs are not permitted"),
        (["--faults", '{"lost_share": 2}'], TOKEN, "lost_share: Input should be less than or equal to 1"),
        (["--faults", '{"lost_share": 0.6, "error_share": 0.6}'], TOKEN, "the shares of creates add up to 1.2"),
        (["--inbound-url", "nonsense"], TOKEN, "inbound_url"),
        (["--click-url", "ftp://example.com"], TOKEN, "click_url"),
        (["--link-domain", "go.example/path"], TOKEN, "link_domain"),
    ],
)
def test_the_process_does_not_start_on_settings_that_make_no_sense(options, token, reason):
    ended = subprocess.run(**command("--port", "0", *options, token=token), timeout=30, check=False)
    assert ended.returncode == 2
    assert reason in ended.stderr
    assert ended.stdout == ""
    assert TOKEN not in ended.stderr


def test_the_process_deals_the_faults_that_its_command_names():
    process = subprocess.Popen(**command("--port", "0", "--faults", '{"lost_share": 1, "revoked": false}'))
    watchdog = Timer(20, process.kill)
    watchdog.start()
    try:
        url = LISTENING.fullmatch(process.stdout.readline())[1]
        with httpx.Client(base_url=url, auth=(ACCOUNT_SID, TOKEN), timeout=10) as twilio:
            with pytest.raises(httpx.RemoteProtocolError):
                twilio.post(MESSAGES, data={"To": PERSON, "From": OUR_NUMBER, "Body": "hello"})
            assert [message["fault"] for message in twilio.get("/_simulator/messages").json()["messages"]] == ["lost"]
            assert twilio.get("/_simulator/stats").json()["faults"] == {"lost": 1}
            assert twilio.post("/_simulator/refuse", json={"seconds": 0.3}).status_code == 200
            with pytest.raises(httpx.ConnectError):
                twilio.get("/_simulator/stats")
            time.sleep(0.6)
            assert twilio.get("/_simulator/stats").status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=15) == ("", "")
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def test_the_process_knows_the_webhooks_that_its_command_names():
    webhooks = {
        "inbound_url": "https://example.com/inbound#rc=2&rp=5xx",
        "click_url": "https://example.com/click",
        "fallback_url": "https://example.com/gone",
        "link_domain": "go.example.com",
    }
    options = [word for name, value in webhooks.items() for word in (f"--{name.replace('_', '-')}", value)]
    faults = '{"callback_copies": 3, "callback_shuffle_seconds": 2}'
    process = subprocess.Popen(**command("--port", "0", *options, "--advanced-opt-out", "--faults", faults))
    watchdog = Timer(20, process.kill)
    watchdog.start()
    try:
        url = LISTENING.fullmatch(process.stdout.readline())[1]
        told = httpx.get(f"{url}/_simulator/webhooks", timeout=10).json()
        assert told == {**webhooks, "advanced_opt_out": True, "inbound_urls": {}}
        dealt = httpx.get(f"{url}/_simulator/faults", timeout=10).json()
        assert (dealt["callback_copies"], dealt["callback_shuffle_seconds"]) == (3, 2)
        written = command("reply", "--from", PERSON, "--to", OUR_NUMBER, "--body", "hello", "--url", url, token=None)
        httpx.post(f"{url}/_simulator/webhooks", json={"inbound_url": None}, timeout=10).raise_for_status()
        replied = subprocess.run(**written, timeout=30, check=False)
        assert (replied.returncode, replied.stderr) == (0, "")
        assert re.match(r"Message SM[0-9a-f]{32} was received\. No webhook is configured", replied.stdout)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=15) == ("", "")
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def test_a_process_that_ends_while_a_webhook_is_under_way_says_nothing(receiver):
    process = subprocess.Popen(**command("--port", "0", "--life-speed", "100000", "--opted-out-share", "0"))
    watchdog = Timer(30, process.kill)
    watchdog.start()
    try:
        url = LISTENING.fullmatch(process.stdout.readline())[1]
        receiver.gate.clear()
        form = {"To": PERSON, "From": OUR_NUMBER, "Body": "hello", "StatusCallback": f"{receiver.url}/status"}
        with httpx.Client(base_url=url, auth=(ACCOUNT_SID, TOKEN), timeout=10) as twilio:
            assert twilio.post(MESSAGES, data=form).status_code == 201
        while not receiver.requests:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=15) == ("", "")
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()
