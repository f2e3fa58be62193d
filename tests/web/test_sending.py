"""From the create request to the callback: the URL that Twilio gets is the one that is believed."""

import asyncio
from urllib.parse import urlsplit
from uuid import UUID

from builders import campaign, freeze, people, run
from gateway.scripted_server import answer, hang_up, message_json, scripted
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from web.receiving import account
from web.twilio_posts import Post, status_fields


def send(warehouse, settings, of=None):
    async def work():
        async with TwilioGateway(settings) as twilio:
            await BatchSender(warehouse, twilio, of or campaign(), Settings()).send(run().run_key, 1)

    asyncio.run(work())


def posted(server):
    return [{name: values[0] for name, values in request.form.items()} for request in server.seen]


def test_a_lost_answer_and_the_callback_of_its_url(client, query, warehouse):
    """Twilio takes the message, the answer gets lost, and the callback alone says which message it was."""
    freeze(warehouse, people(1))
    with scripted(hang_up) as server:
        send(warehouse, account(base_url=server.url))
        (form,) = posted(server)
    assert query("select send_state from messages") == [{"send_state": "unknown"}]
    address, _, overrides = form["StatusCallback"].partition("#")
    parts = urlsplit(address)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://hooks.example.com/twilio/status"
    assert overrides == "rc=5&rp=5xx,ct,rt"
    assert "ShortenUrls" not in form
    sid = "SM" + "5" * 32
    assert Post("/status", status_fields(sid, "delivered"), query=parts.query).to(client).status_code == 204
    (row,) = query("select message_sid, sid_source, status, message_key from messages")
    assert (row["message_sid"], row["sid_source"], row["status"]) == (sid, "callback", "delivered")
    assert str(row["message_key"]) in parts.query
    assert UUID(parts.query.rpartition("=")[2]) == query("select claim_id from messages")[0]["claim_id"]


def test_without_a_public_url_no_callback_is_asked_for(warehouse):
    freeze(warehouse, people(1))
    with scripted(answer(201, message_json())) as server:
        send(warehouse, account(base_url=server.url, public_url=None))
        (form,) = posted(server)
    assert "StatusCallback" not in form


def test_links_are_shortened_where_the_campaign_wants_it(query, warehouse):
    of = campaign(shorten_urls=True)
    freeze(warehouse, people(1), of=of)
    assert query("select spec -> 'shorten_urls' as wanted from campaign_runs") == [{"wanted": True}]
    with scripted(answer(201, message_json())) as server:
        send(warehouse, account(base_url=server.url), of)
        (form,) = posted(server)
    assert form["ShortenUrls"] == "true"
