"""Who may tell us anything: forged, altered and unsigned requests write no row, whatever they look like."""

import json
import time
from base64 import b64encode
from hashlib import sha1, sha256
from hmac import digest
from random import Random
from urllib.parse import quote, urlencode

import pytest

from builders import TOKEN
from web.receiving import account, everything
from web.twilio_posts import PUBLIC_URL, Post, click, reply, sign, status


@pytest.fixture
def sent(claimed, accept):
    """A message that is accepted, and one whose answer is awaited."""
    claim, sents = claimed(2)
    (sid,) = accept(claim, 1)
    return sid, sents


def replace(fields, **changes):
    return list({**dict(fields), **changes}.items())


def merged(fields, name):
    """Run a field into the one before it in the order of the signature: the signed text stays the same."""
    ordered = sorted(fields)
    at = [key for key, _ in ordered].index(name)
    (before, value), (_, moved) = ordered[at - 1], ordered[at]
    return [*ordered[: at - 1], (before, f"{value}{name}{moved}"), *ordered[at + 1 :]]


def sha1_without_key(post):
    text = post.url + "".join(f"{name}{value}" for name, value in sorted(post.fields))
    return b64encode(sha1(text.encode(), usedforsecurity=False).digest()).decode()


#: What a stranger might try, given a request as Twilio signed it.
KINDS = {
    "unsigned": lambda post, _: post.altered(X_Twilio_Signature=None),
    "empty signature": lambda post, _: post.altered(X_Twilio_Signature=""),
    "random signature": lambda post, random: post.altered(X_Twilio_Signature=b64encode(random.randbytes(20)).decode()),
    "cut signature": lambda post, _: post.altered(X_Twilio_Signature=post.headers["X-Twilio-Signature"][:-2]),
    "signature of another case": lambda post, _: post.altered(
        X_Twilio_Signature=post.headers["X-Twilio-Signature"].swapcase()
    ),
    "not even ASCII": lambda post, _: post.altered(X_Twilio_Signature="sïgnature".encode("latin-1")),
    "signed with another token": lambda post, random: post.altered(
        X_Twilio_Signature=sign(post.url, post.fields, token=f"guess-{random.random()}")
    ),
    "signed with an empty token": lambda post, _: post.altered(
        X_Twilio_Signature=sign(post.url, post.fields, token="")
    ),
    "a hash without a key": lambda post, _: post.altered(X_Twilio_Signature=sha1_without_key(post)),
    "another algorithm named": lambda post, _: post.altered(
        X_Twilio_Webhooks_Signature_Settings="key=k,algorithm=HMAC_SHA256"
    ),
    "an unknown algorithm": lambda post, _: post.altered(X_Twilio_Webhooks_Signature_Settings="key=k,algorithm=NONE"),
    "another status": lambda post, random: post.altered(
        fields=replace(post.fields, MessageStatus=random.choice(["failed", "undelivered", "read", "canceled"]))
    ),
    "another message": lambda post, random: post.altered(
        fields=replace(post.fields, MessageSid=f"SM{random.getrandbits(128):032x}")
    ),
    "another person": lambda post, _: post.altered(fields=replace(post.fields, From="+12025550001", To="+12025550001")),
    "another text": lambda post, _: post.altered(fields=[*post.fields[:-1], ("Body", "STOP")]),
    "a field added": lambda post, _: post.altered(fields=[*post.fields, ("ErrorCode", "30003")]),
    "a field left out": lambda post, random: post.altered(fields=random.sample(post.fields, len(post.fields) - 1)),
    "a field twice": lambda post, _: post.altered(
        fields=[*post.fields, ("MessageStatus", "delivered"), ("MessageStatus", "failed"), ("Body", "STOP")]
    ),
    "a border moved": lambda post, _: post.altered(fields=merged(post.fields, "MessageSid")),
    "a border moved into the version": lambda post, _: post.altered(
        fields=merged(post.fields, next(name for name, _ in sorted(post.fields) if name > "ApiVersion"))
    ),
    "another account": lambda post, _: post.altered(fields=replace(post.fields, AccountSid="AC" + "d" * 32)),
    "no account": lambda post, _: post.altered(fields=[field for field in post.fields if field[0] != "AccountSid"]),
    "another row": lambda post, random: post.altered(
        query=f"message_key={random.getrandbits(128):032x}&claim_id={random.getrandbits(128):032x}"
    ),
    "a query added": lambda post, _: post.altered(query=f"{post.query}&x=1".lstrip("&")),
    "the query left out": lambda post, _: post.altered(query="", X_Twilio_Signature=f"{sign(post.url + 'x')}"),
    "another endpoint": lambda post, _: post.altered(path="/inbound" if post.path == "/status" else "/status"),
    "another host": lambda post, _: post.altered(
        X_Twilio_Signature=sign(post.url.replace("hooks.example.com", "evil.example.com"), post.fields),
        X_Forwarded_Host="evil.example.com",
        X_Forwarded_Proto="https",
        Host="evil.example.com",
    ),
    "another scheme": lambda post, _: post.altered(
        X_Twilio_Signature=sign(post.url.replace("https:", "http:"), post.fields), X_Forwarded_Proto="http"
    ),
    "a JSON body without a hash": lambda post, _: post.altered(
        body=json.dumps(dict(post.fields)).encode(), Content_Type="application/json", X_Twilio_Signature=sign(post.url)
    ),
    "a hash in a form's URL": lambda post, _: post.altered(
        query=f"bodySHA256={sha256(post.body).hexdigest()}",
        X_Twilio_Signature=sign(f"{PUBLIC_URL}{post.path}?bodySHA256={sha256(post.body).hexdigest()}"),
    ),
}


def test_a_thousand_forged_or_altered_requests_write_no_row(client, query, sent):
    sid, sents = sent
    random = Random(5)
    posts = [
        status(sid, "sent", key=sents[0].key, claim=sents[0].claim),
        status("SM" + "7" * 32, "sent", key=sents[1].key, claim=sents[1].claim),
        reply("hello"),
        reply("STOP"),
    ]
    before = everything(query)
    kinds = list(KINDS.items())
    assert len(kinds) >= 12
    answers = {}
    for n in range(1020):
        name, alter = kinds[n % len(kinds)]
        answer = alter(posts[n // len(kinds) % 4], random).to(client)
        answers.setdefault(name, set()).add(answer.status_code)
        assert answer.content == b"", name
    assert {name for name, codes in answers.items() if not codes <= {400, 403, 415}} == set()
    assert answers["random signature"] == answers["another status"] == {403}
    assert everything(query) == before
    assert {post.to(client).status_code for post in posts} == {200, 204}  # what they were made of is good
    assert everything(query) != before


@pytest.mark.parametrize("n", range(4))
def test_a_click_with_another_body_than_its_hash_is_forged(client, query, sent, n):
    sid, _ = sent
    post = click(sid)
    altered = [
        post.altered(body=post.body.replace(b"sale", b"SALE")),
        post.altered(query=""),
        post.altered(query=post.query + "&" + post.query),
        click(sid, token="wrong"),
    ][n]
    altered.headers["Content-Type"] = "application/json"
    assert altered.to(client).status_code == 403
    assert query("select * from link_clicks") == []
    assert post.to(client).status_code == 204


def test_both_secrets_of_a_change_and_both_algorithms_count(serve, connections, query, sent):
    connections["twilio_default"] = account(auth_token="new", previous_auth_token=TOKEN, webhook_shared_key="shared")
    client = serve()
    sid, _ = sent
    good = [{"token": "new"}, {"token": TOKEN}, {"token": "shared", "algorithm": sha256}]
    assert [status(sid, "sent", **by).to(client).status_code for by in good] == [204] * 3
    bad = [{"token": "shared"}, {"token": "other"}, {"token": "other", "algorithm": sha256}]
    assert [status(sid, "delivered", **by).to(client).status_code for by in bad] == [403] * 3
    assert query("select status from messages where message_sid = %s", sid) == [{"status": "sent"}]


def test_a_changed_token_counts_without_a_restart(serve, connections, sent, monkeypatch):
    monkeypatch.setattr("twilio_campaigns.web.accounts.FRESH", 0.0)
    client = serve()
    sid, _ = sent
    assert status(sid, "sent").to(client).status_code == 204
    connections["twilio_default"] = account(auth_token="new")
    deadline = time.monotonic() + 5
    while status(sid, "sent", token="new").to(client).status_code != 204:
        assert time.monotonic() < deadline
    assert status(sid, "delivered").to(client).status_code == 403


def test_two_connections_of_one_account_are_both_heard(serve, connections, sent):
    connections["second"] = account(auth_token="second-token", public_url="https://second.example.com/hooks")
    client = serve(webhook_connections=("twilio_default", "second"))
    sid, _ = sent
    other = {"token": "second-token", "base": "https://second.example.com/hooks"}
    assert status(sid, "sent").to(client).status_code == 204
    assert status(sid, "sent", **other).to(client).status_code == 204


@pytest.mark.parametrize(
    ("public_url", "base", "code"),
    [
        ("https://a.example.com/twilio", "https://a.example.com:443/twilio", 204),
        ("https://a.example.com:443/twilio", "https://a.example.com/twilio", 204),
        ("http://a.example.com/twilio", "http://a.example.com:80/twilio", 204),
        ("https://a.example.com:8443/twilio", "https://a.example.com:8443/twilio", 204),
        ("https://a.example.com:8443/twilio", "https://a.example.com/twilio", 204),
        ("https://[2001:db8::1]:8443/twilio", "https://[2001:db8::1]:8443/twilio", 204),
        ("https://[2001:db8::1]:8443/twilio", "https://[2001:db8::1]/twilio", 204),
        ("https://[2001:db8::1]/twilio", "https://[2001:db8::1]:443/twilio", 204),
        ("https://a.example.com/twilio", "https://a.example.com:8443/twilio", 403),
        ("https://a.example.com/twilio", "https://b.example.com/twilio", 403),
        ("https://a.example.com/twilio", "http://a.example.com/twilio", 403),
        ("https://a.example.com/twilio", "https://a.example.com", 403),
        ("https://a.example.com", "https://a.example.com", 204),
    ],
)
def test_the_url_is_the_public_one_with_or_without_its_port(serve, connections, sent, public_url, base, code):
    connections["twilio_default"] = account(public_url=public_url)
    assert status(sent[0], "sent", base=base).to(serve()).status_code == code


@pytest.mark.parametrize(
    "query",
    ["a=1&a=2", "a=%C3%A9&b=+x%20y", "a=%2f%2F", "a", "a=&b", "a=1;b=2", "a=b%26c", "%61=1", "x=%zz"],
)
def test_a_query_counts_as_it_is_written(client, sent, query):
    assert status(sent[0], "sent", query=query).to(client).status_code == 204
    assert status(sent[0], "sent", query=query).altered(query=query + "&").to(client).status_code == 403


def test_texts_in_every_script_and_doubled_fields_are_signed_as_twilio_does(client, query, sent):
    text = "Grüße 👋 & = + % \r\n 日本"
    post = reply(text)
    post = Post("/inbound", [*post.fields, ("Extra", "b"), ("Extra", "a"), ("Extra", "b"), ("Empty", "")])
    assert post.to(client).status_code == 200
    assert query("select body from inbound_messages") == [{"body": text}]
    other = post.altered(body=urlencode(post.fields, quote_via=quote).encode())
    assert other.to(client).status_code == 200  # another encoding of the same fields


class TestProxies:
    """Whom we believe what Twilio has called."""

    def post(self, sid, **headers):
        forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "alias.example.com"}
        return status(sid, "sent", base="https://alias.example.com").altered(**{**forwarded, **headers})

    def test_a_trusted_proxy_says_under_which_name_we_were_called(self, serve, sent):
        client = serve(trusted_proxies="10.0.0.0/24,2001:db8::/32")
        assert self.post(sent[0]).to(client).status_code == 204
        assert status(sent[0], "sent").to(client).status_code == 204  # and public_url still counts

    @pytest.mark.parametrize("proxies", ["", "10.0.1.0/24", "127.0.0.1"])
    def test_nobody_else_does(self, serve, sent, proxies):
        client = serve(trusted_proxies=proxies)
        assert self.post(sent[0]).to(client).status_code == 403

    @pytest.mark.parametrize(
        "headers",
        [
            {"X_Forwarded_Host": "other.example.com"},
            {"X_Forwarded_Proto": "http"},
            {"X_Forwarded_Proto": None},
            {"X_Forwarded_Host": "alias.example.com, evil.example.com"},
            {"X_Forwarded_Proto": "https, https"},
            {"X_Forwarded_Host": "alias.example.com/x"},
            {"X_Forwarded_Host": "alias.example.com:port"},
            {"X_Forwarded_Host": "[::1"},
        ],
    )
    def test_what_it_says_has_to_be_one_clear_thing(self, serve, sent, headers):
        client = serve(trusted_proxies="10.0.0.9")
        assert self.post(sent[0], **headers).to(client).status_code == 403

    def test_without_a_public_url_only_a_trusted_proxy_helps(self, serve, connections, sent):
        connections["twilio_default"] = account(public_url=None)
        assert self.post(sent[0]).to(serve()).status_code == 403
        assert self.post(sent[0]).to(serve(trusted_proxies="10.0.0.9")).status_code == 204


def test_without_an_auth_token_nothing_is_believed_and_the_log_says_so(serve, connections, sent, caplog):
    connections["twilio_default"] = account(auth_token=None, api_key_sid="SK" + "1" * 32, api_key_secret="secret")
    assert status(sent[0], "sent").to(serve()).status_code == 403
    assert "Put it into password" in caplog.text


def test_what_was_turned_away_is_counted_once_a_second_at_most(client, query, sent, monkeypatch):
    writes = []
    from twilio_campaigns.warehouse.rejections import RejectionStore

    add = RejectionStore.add
    monkeypatch.setattr(RejectionStore, "add", lambda self, counts: writes.append(dict(counts)) or add(self, counts))
    for _ in range(300):
        status(sent[0], "sent", token="wrong").to(client)
    for _ in range(20):
        status(sent[0], "sent").altered(X_Twilio_Signature=None).to(client)
        status(sent[0], "sent", AccountSid="AC" + "d" * 32).to(client)
    counted = {}
    deadline = time.monotonic() + 5
    while sum(counted.values()) < 340 and time.monotonic() < deadline:
        time.sleep(0.05)
        counted = {row["reason"]: row["requests"] for row in query("select * from webhook_rejections")}
    assert counted == {"forged": 300, "unsigned": 20, "unknown_account": 20}
    assert len(writes) <= 5
    today = query("select count(*) as n from webhook_rejections where day = (now() at time zone 'UTC')::date")
    assert today == [{"n": 3}]


def test_the_signature_of_twilios_own_documentation(client):
    """docs: "Security", the worked example of how a signature is made (Auth Token 12345)."""
    from twilio_campaigns.gateway.signature import SignatureCheck
    from twilio_campaigns.gateway.webhooks import Form

    fields = {
        "CallSid": "CA1234567890ABCDE",
        "Caller": "+14158675309",
        "Digits": "1234",
        "From": "+14158675309",
        "To": "+18005551212",
    }
    url = "https://mycompany.com/myapp.php?foo=1&bar=2"
    expected = "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    assert sign(url, fields.items(), token="12345") == expected
    assert SignatureCheck(["12345"]).holds([url], Form(urlencode(fields).encode()), expected, None)
    assert digest(b"12345", b"", "sha1")  # the helper and the code above share nothing but the standard library
