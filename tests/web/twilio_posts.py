"""Webhooks as Twilio posts them, signed by the letter of its documentation and without its SDK."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha1, sha256
from hmac import digest
from urllib.parse import urlencode
from uuid import uuid4

from builders import ACCOUNT_SID, TOKEN

PUBLIC_URL = "https://hooks.example.com/twilio"
SERVICE = "MG" + "0" * 32
FORM = "application/x-www-form-urlencoded"


def sign(url, fields=None, *, token=TOKEN, algorithm=sha1):
    text = url + "".join(f"{name}{value}" for name, value in sorted(set(fields or [])))
    return b64encode(digest(token.encode(), text.encode(), algorithm)).decode()


class Post:
    """One webhook; `altered` makes what somebody else would make of it."""

    def __init__(self, path, fields, *, query="", token=TOKEN, algorithm=sha1, base=PUBLIC_URL):
        self.path, self.query = path, query
        self.fields = list(fields.items()) if isinstance(fields, dict) else fields
        self.url = f"{base}{path}{'?' if query else ''}{query}"
        self.body = urlencode(self.fields).encode()
        self.headers = {
            "Content-Type": FORM,
            "X-Twilio-Signature": sign(self.url, self.fields, token=token, algorithm=algorithm),
        }
        if algorithm is sha256:
            self.headers["X-Twilio-Webhooks-Signature-Settings"] = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"

    def altered(self, *, fields=None, path=None, query=None, body=None, **headers):
        made = object.__new__(Post)
        made.fields = self.fields if fields is None else fields
        made.path = self.path if path is None else path
        made.query = self.query if query is None else query
        made.url = self.url
        made.body = body or (self.body if fields is None else urlencode(fields).encode())
        made.headers = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        made.headers = {name: value for name, value in made.headers.items() if value is not None}
        return made

    def to(self, client):
        address = f"{self.path}?{self.query}" if self.query else self.path
        return client.post(address, content=self.body, headers=self.headers)


class JsonPost(Post):
    def __init__(self, path, payload, *, token=TOKEN, query=""):
        self.path, self.fields = path, []
        self.body = json.dumps(payload).encode()
        hashed = f"bodySHA256={sha256(self.body).hexdigest()}"
        self.query = f"{query}&{hashed}" if query else hashed
        self.url = f"{PUBLIC_URL}{path}?{self.query}"
        self.headers = {"Content-Type": "application/json", "X-Twilio-Signature": sign(self.url, token=token)}


def status_fields(sid, status, **changes):
    fields = {
        "MessageSid": sid,
        "SmsSid": sid,
        "MessageStatus": status,
        "SmsStatus": status,
        "AccountSid": ACCOUNT_SID,
        "From": "+12025559001",
        "To": "+12025550000",
        "ApiVersion": "2010-04-01",
        "MessagingServiceSid": SERVICE,
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def status(sid, word, *, key=None, claim=None, query="", token=TOKEN, algorithm=sha1, base=PUBLIC_URL, **changes):
    if key is not None:
        query = f"message_key={key}&claim_id={claim}"
    fields = status_fields(sid, word, **changes)
    return Post("/status", fields, query=query, token=token, algorithm=algorithm, base=base)


def reply(body, *, person="+12025550000", to="+12025559001", sid=None, token=TOKEN, **changes):
    sid = sid or "SM" + uuid4().hex
    fields = {
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsMessageSid": sid,
        "AccountSid": ACCOUNT_SID,
        "MessagingServiceSid": SERVICE,
        "From": person,
        "To": to,
        "Body": body,
        "NumMedia": "0",
        "NumSegments": "1",
        "SmsStatus": "received",
        "ApiVersion": "2010-04-01",
    }
    fields = {name: value for name, value in {**fields, **changes}.items() if value is not None}
    return Post("/inbound", fields, token=token)


def click_payload(
    sid, link="https://shop.example.com/sale", at="2026-11-20T12:30:00.000Z", agent="Mozilla/5.0 (iPhone)", **changes
):
    return {
        "message_sid": sid,
        "account_sid": ACCOUNT_SID,
        "messaging_service_sid": SERVICE,
        "to": "+12025550000",
        "from": "+12025559001",
        "link": link,
        "shortened_link": "https://go.example.com/abcdefghij",
        "link_create_time": "2026-11-20T12:00:00.000Z",
        "click_time": at,
        "user_agent": agent,
        **changes,
    }


def click(sid, *args, token=TOKEN, **changes):
    return JsonPost("/click", click_payload(sid, *args, **changes), token=token)
