"""Webhooks note that they come, and see to the summaries on a thread of their own."""

import time

from twilio_campaigns.domain.exceptions import TransientError
from twilio_campaigns.warehouse.receipts import ReceiptStore
from web.twilio_posts import status


def test_a_callback_is_counted_and_noted_soon_after(client, query, claimed, accept):
    claim, (sent,) = claimed()
    (sid,) = accept(claim)
    query("update summary_runs set refreshed_at = now() - interval '1 hour'")
    assert query("select delivered from summary_counts") == [{"delivered": 0}]
    assert status(sid, "delivered", key=sent.key, claim=sent.claim).to(client).status_code == 204
    until = time.monotonic() + 10
    while query("select delivered from summary_counts") == [{"delivered": 0}] and time.monotonic() < until:
        time.sleep(0.02)
    assert query("select delivered from summary_counts") == [{"delivered": 1}]
    assert query("select kind, last_at <= now() as is_past from webhook_receipts") == [
        {"kind": "status", "is_past": True}
    ]


def test_what_was_written_stays_although_it_could_not_be_noted(client, query, claimed, accept, monkeypatch):
    def away(_self, _kind):
        raise TransientError("The warehouse broke off.")

    monkeypatch.setattr(ReceiptStore, "note", away)
    claim, (sent,) = claimed()
    (sid,) = accept(claim)
    answer = status(sid, "delivered", key=sent.key, claim=sent.claim).to(client)
    assert answer.status_code == 204
    assert query("select status from messages") == [{"status": "delivered"}]
