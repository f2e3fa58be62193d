"""Status callbacks: events within the request, SIDs for lost answers, nothing for strangers."""

from datetime import timedelta
from uuid import uuid4

import pytest

from builders import campaign, observation, run
from twilio_campaigns.domain.status import Source
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.warehouse.outcomes import Outcomes
from web.receiving import OTHER_ACCOUNT, account, everything
from web.twilio_posts import status

DAY, LAG = timedelta(days=4), timedelta(hours=4)


def states(query):
    return query("select send_state, message_sid, sid_source, status from messages order by message_key")


def test_a_callback_is_an_event_when_it_is_answered(client, query, claimed, accept):
    claim, (sent,) = claimed()
    (sid,) = accept(claim)
    answer = status(sid, "delivered", key=sent.key, claim=sent.claim).to(client)
    assert (answer.status_code, answer.content) == (204, b"")
    events = {row["status"]: row for row in query("select * from campaign_events")}
    assert set(events) == {"enqueued", "sent", "delivered"}
    assert events["delivered"]["source"] == "webhook"
    (row,) = query("select accepted_at, status, from_number, now() as now from messages")
    assert (row["status"], row["from_number"]) == ("delivered", "+12025559001")
    assert events["enqueued"]["occurred_at"] == row["accepted_at"]
    assert row["now"] - timedelta(seconds=5) < events["delivered"]["occurred_at"] <= row["now"]


def test_an_error_code_is_kept(client, query, claimed, accept):
    claim, _ = claimed()
    (sid,) = accept(claim)
    status(sid, "undelivered", ErrorCode="30007", ErrorMessage="filtered").to(client)
    assert query("select status, status_code from messages") == [{"status": "rejected", "status_code": 30007}]


def test_a_lost_answer_is_resolved_by_its_callback_alone(client, query, warehouse, claimed):
    claim, (sent,) = claimed()
    Ledger(warehouse).record(claim.claim_id, Outcomes({}, {}, [], [sent.key]), window=DAY, list_lag=LAG)
    assert states(query)[0]["send_state"] == "unknown"
    sid = "SM" + uuid4().hex
    assert status(sid, "sent", key=sent.key, claim=sent.claim).to(client).status_code == 204
    assert states(query) == [{"send_state": "accepted", "message_sid": sid, "sid_source": "callback", "status": "sent"}]
    (row,) = query("select *, now() as now from messages")
    assert row["claimed_at"] <= row["accepted_at"] <= row["now"]
    assert row["tracked_on"] == row["accepted_at"].date()
    assert row["tracking_closes_at"] - row["accepted_at"] == DAY
    assert row["resolve_after"] is None
    assert {event["status"] for event in query("select status from campaign_events")} == {"enqueued", "sent"}
    assert query("select * from stray_messages") == []


def test_a_late_callback_dates_the_message_within_its_lease(client, query, claimed):
    _, (sent,) = claimed()
    query("update messages set claimed_at = now() - interval '5 hours', send_state = 'unknown'")
    status("SM" + uuid4().hex, "delivered", key=sent.key, claim=sent.claim).to(client)
    (row,) = query("select accepted_at - claimed_at as after from messages")
    assert row["after"] == timedelta(minutes=10)


def test_the_answer_may_come_after_the_callback(client, query, warehouse, claimed, accept):
    """The sender writes a chunk of answers at its end; Twilio is faster."""
    claim, (sent, other) = claimed(2)
    sid = "SM" + uuid4().hex
    status(sid, "sent", key=sent.key, claim=sent.claim).to(client)
    at = query("select date_trunc('second', claimed_at) - interval '2 seconds' as at from messages limit 1")[0]["at"]
    answers = {
        sent.key: observation(sid, "accepted", at=at, updated_at=at, source=Source.SEND, parts=2),
        other.key: observation(status="queued", at=at, updated_at=at, source=Source.SEND),
    }
    outcomes = Outcomes(answers, {}, [], [])
    for _ in range(2):
        assert Ledger(warehouse).record(claim.claim_id, outcomes, window=DAY, list_lag=LAG) == 0
    row = query("select * from messages where message_key = %s", sent.key)[0]
    assert (row["send_state"], row["sid_source"], row["status"]) == ("accepted", "answer", "sent")
    assert (row["accepted_at"], row["tracking_closes_at"], row["tracked_on"]) == (at, at + DAY, at.date())
    events = query("select * from campaign_events where message_key = %s order by status", sent.key)
    assert [(event["status"], event["number_of_message_parts"]) for event in events] == [("enqueued", 2), ("sent", 2)]
    assert (events[0]["occurred_at"], events[0]["provider_status"]) == (at, "accepted")
    assert query("select * from stray_messages") == []


def test_an_unknown_outcome_after_the_callback_changes_nothing(client, query, warehouse, claimed):
    claim, (sent,) = claimed()
    sid = "SM" + uuid4().hex
    status(sid, "sent", key=sent.key, claim=sent.claim).to(client)
    before = everything(query)
    for outcomes in (
        Outcomes({}, {}, [], [sent.key]),
        Outcomes({}, {}, [sent.key], []),
        Outcomes({}, {sent.key: 21610}, [], []),
    ):
        assert Ledger(warehouse).record(claim.claim_id, outcomes, window=DAY, list_lag=LAG) == 0
    assert everything(query) == before


def test_an_answer_with_another_sid_than_the_callback_goes_astray(client, query, warehouse, claimed):
    """Somebody on the way repeated the request: two messages exist, and one belongs to no row."""
    claim, (sent,) = claimed()
    first, second = "SM" + uuid4().hex, "SM" + uuid4().hex
    status(first, "sent", key=sent.key, claim=sent.claim).to(client)
    outcomes = Outcomes({sent.key: observation(second, "queued")}, {}, [], [])
    assert Ledger(warehouse).record(claim.claim_id, outcomes, window=DAY, list_lag=LAG) == 1
    assert [row["message_sid"] for row in query("select message_sid from stray_messages")] == [second]
    assert states(query)[0]["message_sid"] == first


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("send_state = 'planned', claim_id = null, claimed_at = null", "not waiting"),
        ("send_state = 'claimed', claim_id = gen_random_uuid()", "not waiting"),
        ("send_state = 'unknown', claim_id = gen_random_uuid()", "not waiting"),
        ("send_state = 'enqueue_failed'", "not waiting"),
        ("send_state = 'accepted', message_sid = 'SM00', sid_source = 'answer', accepted_at = now()", "another SID"),
    ],
)
def test_a_callback_that_fits_no_row_is_put_aside(client, query, claimed, change, reason):
    _, (sent,) = claimed()
    query(f"update messages set {change}")
    before = query("select * from messages")
    sid = "SM" + uuid4().hex
    for word in ("sent", "delivered"):
        assert status(sid, word, key=sent.key, claim=sent.claim).to(client).status_code == 204
    (stray,) = query("select * from stray_messages")
    assert (stray["message_sid"], stray["message_key"]) == (sid, sent.key)
    assert reason in stray["reason"]
    assert query("select * from messages") == before
    assert query("select * from campaign_events") == []


def test_a_row_that_the_ledger_lost_is_put_aside_too(client, query):
    sid = "SM" + uuid4().hex
    assert status(sid, "sent", key=uuid4(), claim=uuid4()).to(client).status_code == 204
    assert [row["message_sid"] for row in query("select * from stray_messages")] == [sid]


def test_a_callback_shows_that_a_look_up_gave_the_sid_to_the_wrong_row(client, query, claimed, accept):
    claim, sents = claimed(2)
    (sid,) = accept(claim, 1)
    status(sid, "delivered", key=sents[1].key, claim=claim.claim_id).to(client)
    (stray,) = query("select * from stray_messages")
    assert (stray["message_sid"], stray["message_key"]) == (sid, sents[1].key)
    row = query("select status from messages where message_sid = %s", sid)
    assert row == [{"status": "delivered"}]


def test_messages_that_are_not_ours_leave_nothing(client, query, claimed, accept):
    claim, _ = claimed()
    accept(claim)
    before = everything(query)
    assert status("SM" + uuid4().hex, "delivered").to(client).status_code == 204
    assert everything(query) == before


def test_another_accounts_signature_writes_nothing_of_ours(serve, connections, query, claimed, accept):
    """Both accounts are configured; each may only speak of its own messages, and name its own rows."""
    connections["other"] = account(account_sid=OTHER_ACCOUNT, auth_token="other-token")
    client = serve(webhook_connections=("twilio_default", "other"))
    claim, sents = claimed(2)
    (sid,) = accept(claim, 1)
    before = everything(query)
    by_other = {"AccountSid": OTHER_ACCOUNT, "token": "other-token"}
    assert status(sid, "failed", ErrorCode="30003", **by_other).to(client).status_code == 204
    sent = {"key": sents[1].key, "claim": claim.claim_id}
    assert status("SM" + uuid4().hex, "delivered", **sent, **by_other).to(client).status_code == 204
    assert everything(query) == before
    assert status(sid, "failed", token="other-token").to(client).status_code == 403
    assert status(sid, "failed", AccountSid=OTHER_ACCOUNT).to(client).status_code == 403
    assert everything(query) == before


def test_a_connection_that_a_campaign_uses_needs_no_setting(serve, connections, query, claimed, accept):
    connections.clear()
    connections["marketing"] = account()
    client = serve()
    assert status("SM" + uuid4().hex, "sent").to(client).status_code == 403
    claim, _ = claimed(of=campaign(connection="marketing"), as_run=run("2026-11-21"))
    (sid,) = accept(claim)
    fresh = serve()
    assert status(sid, "sent").to(fresh).status_code == 204
    assert query("select status from messages") == [{"status": "sent"}]


def test_an_opt_out_that_fails_later_suppresses_from_acceptance_on(client, query, claimed, accept):
    claim, _ = claimed()
    (sid,) = accept(claim)
    status(sid, "failed", ErrorCode="21610").to(client)
    (row,) = query("select s.*, m.accepted_at from suppressions as s, messages as m")
    assert (row["reason"], row["source"], row["suppressed_at"]) == ("opt_out", "twilio:21610", row["accepted_at"])


def test_a_replay_a_thousand_times_over_changes_nothing(client, query, claimed, accept):
    claim, sents = claimed(2)
    (sid,) = accept(claim, 1)
    posts = [status(sid, word, key=sents[0].key, claim=claim.claim_id) for word in ("sent", "delivered")]
    posts.append(status("SM" + "9" * 32, "sent", key=sents[1].key, claim=claim.claim_id))
    assert {post.to(client).status_code for post in posts} == {204}
    before = everything(query)
    assert {posts[n % 3].to(client).status_code for n in range(1000)} == {204}
    assert everything(query) == before
