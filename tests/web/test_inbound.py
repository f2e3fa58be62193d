"""Replies by webhook: at once, and the same rows that the sweep would write."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from time import monotonic
from uuid import uuid4

import pytest

from builders import campaign, observation, people, sender
from twilio_campaigns.domain.message import OutgoingMessage
from twilio_campaigns.domain.opt_out import OptOutWords
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.webhooks import InboundMessage
from twilio_campaigns.warehouse.inbound import InboundStore
from twilio_campaigns.warehouse.ledger import Ledger
from twilio_campaigns.web.records import Records
from web.receiving import everything
from web.twilio_posts import SERVICE, reply

PERSON = people(1)[0]["phone"]
NUMBER = "+12025559001"
CONNECTION = "twilio_default"


def standing(query):
    return query("select to_number, scope, reason, lifted_at is null as stands from suppressions order by 1, 2")


def test_a_reply_is_answered_with_empty_twiml_and_written_down(client, query, claimed, accept):
    claim, _ = claimed()
    accept(claim)
    post = reply("Is this still on?")
    answer = post.to(client)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert answer.text == '<?xml version="1.0" encoding="UTF-8"?><Response/>'
    (row,) = query("select * from inbound_messages")
    (message,) = query("select * from messages")
    assert (row["body"], row["from_number"], row["to_number"]) == ("Is this still on?", PERSON, NUMBER)
    assert (row["source"], row["message_key"], row["media_urls"]) == ("webhook", message["message_key"], None)
    (event,) = query("select * from campaign_events where status = 'incoming_message'")
    assert (event["message_key"], event["source"]) == (message["message_key"], "webhook")


def test_stop_suppresses_before_the_next_claim_and_start_lifts(client, query, warehouse, claimed):
    """The rest of the run is claimed later: who has written STOP meanwhile is left out, from the very next chunk on."""
    claimed(1)
    query("update messages set send_state = 'planned', claim_id = null, claimed_at = null")
    stop = reply("Stop")
    stop.to(client)
    assert standing(query) == [{"to_number": PERSON, "scope": SERVICE, "reason": "opt_out", "stands": True}]
    assert query("select source from suppressions")[0]["source"] == f"inbound:{dict(stop.fields)['MessageSid']}"
    template = OutgoingMessage("", messaging_service_sid=SERVICE)
    run_key = query("select run_key from messages")[0]["run_key"]
    assert Ledger(warehouse).claim(run_key, 1, 10, uuid4(), template).rows == ()
    assert query("select send_state, skip_reason from messages") == [
        {"send_state": "skipped", "skip_reason": "suppressed"}
    ]
    reply("START").to(client)
    assert [row["stands"] for row in standing(query)] == [False]
    stop.to(client)
    assert [row["stands"] for row in standing(query)] == [False]  # a repeated STOP is no younger than it was


def test_what_twilio_takes_it_for_goes_before_our_reading(client, query, claimed, accept):
    claim, _ = claimed()
    accept(claim)
    reply("arretez", OptOutType="STOP").to(client)
    assert standing(query)[0]["reason"] == "opt_out"
    (event,) = query("select comment from campaign_events where status = 'incoming_message'")
    assert "opted out" in event["comment"]
    reply("stop", person="+12025550001", OptOutType="HELP").to(client)
    assert len(standing(query)) == 1


def test_a_sweep_that_was_first_is_told_what_twilio_took_it_for(client, query, warehouse, claimed, accept):
    claim, _ = claimed()
    accept(claim)
    sid = "SM" + uuid4().hex
    seen = observation(
        sid,
        "received",
        at=datetime.now(UTC),
        direction="inbound",
        from_number=PERSON,
        to_number=NUMBER,
        messaging_service_sid=SERVICE,
        body="arretez",
    )
    store = InboundStore(warehouse, OptOutWords())
    store.take_in(CONNECTION, [seen])
    assert standing(query) == []
    reply("arretez", sid=sid, OptOutType="STOP").to(client)
    assert [row["stands"] for row in standing(query)] == [True]
    (event,) = query("select comment from campaign_events where status = 'incoming_message'")
    assert "opted out" in event["comment"]
    store.take_in(CONNECTION, [seen])
    assert [row["stands"] for row in standing(query)] == [True]


def test_media_are_kept(client, query, claimed, accept):
    claim, _ = claimed()
    accept(claim)
    media = {"NumMedia": "2", "MediaUrl0": "https://api.twilio.com/a", "MediaUrl1": "https://api.twilio.com/b"}
    reply("", sid="MM" + uuid4().hex, MediaContentType0="image/png", **media).to(client)
    (row,) = query("select * from inbound_messages")
    assert (row["body"], row["media_urls"]) == (None, ["https://api.twilio.com/a", "https://api.twilio.com/b"])
    assert query("select action_type from campaign_events where status = 'incoming_message'") == [
        {"action_type": "mms"}
    ]


def test_a_number_of_a_run_that_nobody_has_read_yet_is_ours_at_once(client, query, claimed):
    of = campaign(sender=sender(messaging_service_sid=None, from_number=NUMBER))
    claimed(of=of)
    assert query("select * from reply_addresses") == []
    reply("STOP", MessagingServiceSid=None).to(client)
    assert standing(query) == [{"to_number": PERSON, "scope": NUMBER, "reason": "opt_out", "stands": True}]


def test_a_reply_to_somebody_elses_number_leaves_nothing(client, query, claimed, accept):
    claim, _ = claimed()
    accept(claim)
    before = everything(query)
    other = {"to": "+12025558888", "MessagingServiceSid": "MG" + "1" * 32}
    assert reply("STOP", **other).to(client).status_code == 200
    assert everything(query) == before


def test_a_thousand_replays_change_nothing(client, query, claimed, accept):
    claim, _ = claimed()
    accept(claim)
    posts = [reply("STOP"), reply("START"), reply("hello", OptOutType="HELP")]
    for post in posts:
        post.to(client)
    before = everything(query)
    assert {posts[n % 3].to(client).status_code for n in range(1000)} == {200}
    assert everything(query) == before


WORDS = ("STOP", "START", "hello")


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("repeated", [1, 3])
def test_webhook_and_sweep_end_in_the_same_rows(warehouse, query, claimed, accept, order, repeated):
    """Webhooks in any order, thrice, dated by their receipt; then the list, with Twilio's own dates."""
    claim, _ = claimed()
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5)
    accept(claim, at=at)
    query("update messages set claimed_at = %s", at)
    # Nobody writes twice in a second. What is dated alike to the microsecond would be told apart by nothing.
    came_at = monotonic() - 60.0
    replies = [
        InboundMessage(f"SM{n:032x}", "received", PERSON, NUMBER, (CONNECTION,), came_at + 10 * n, word, SERVICE, 1)
        for n, word in enumerate(WORDS)
    ]
    listed = [
        observation(
            one.sid,
            "received",
            at=at + timedelta(seconds=20 * (n + 1)),
            direction="inbound",
            from_number=PERSON,
            to_number=NUMBER,
            messaging_service_sid=SERVICE,
            body=one.body,
            parts=1,
        )
        for n, one in enumerate(replies)
    ]
    store = InboundStore(warehouse, OptOutWords())

    def tables():
        found = everything(query)
        for row in (*found["inbound_messages"], *found["campaign_events"]):
            del row["recorded_at"], row["source"]
        return found

    store.take_in(CONNECTION, listed)
    swept = tables()
    assert swept["suppressions"][0]["lifted_at"] == listed[1].created_at
    query("truncate inbound_messages, suppressions")
    query("delete from campaign_events where status = 'incoming_message'")
    records = Records(lambda: warehouse, Settings())
    for n in order:
        for _ in range(repeated):
            records.receive([replies[n]])
    store.take_in(CONNECTION, listed)
    assert tables() == swept
