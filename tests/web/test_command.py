"""`twilio-campaigns webhooks`: the app by itself, with connections of the environment and no Airflow that runs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import httpx

from builders import ACCOUNT_SID, TOKEN
from web.twilio_posts import PUBLIC_URL, status


def test_it_serves_until_it_is_told_to_stop(database_url, query, claimed, accept):
    claim, _ = claimed()
    (sid,) = accept(claim)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    connection = {"conn_type": "twilio", "login": ACCOUNT_SID, "password": TOKEN, "extra": {"public_url": PUBLIC_URL}}
    command = [sys.executable, "-m", "twilio_campaigns.cli", "webhooks", "--port", str(port)]
    environment = {**os.environ, "AIRFLOW_CONN_TWILIO_DEFAULT": json.dumps(connection)}
    process = subprocess.Popen(
        [*command, "--database-url", database_url], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_for(client)
            post = status(sid, "delivered")
            assert post.altered(path="/twilio/status").to(client).status_code == 204
            assert post.altered(X_Twilio_Signature="x").to(client).status_code == 403
        assert query("select status from messages") == [{"status": "delivered"}]
        process.send_signal(signal.SIGTERM)
        output = process.communicate(timeout=20)[0].decode()
    finally:
        process.kill()
    assert process.returncode in {0, -signal.SIGTERM}
    assert "+1202" not in output
    assert TOKEN not in output
    assert query("select reason, requests from webhook_rejections") == [{"reason": "forged", "requests": 1}]


def wait_for(client):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if client.get("/twilio/health").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError("it does not answer")
