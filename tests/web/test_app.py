"""The app: its surface, its limits, and what it does while the warehouse is away."""

import asyncio
import socket
import threading
import time
from uuid import uuid4

import httpx
import psycopg
import pytest
from starlette.testclient import TestClient

from builders import campaign, run
from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.warehouse.applying import EventStore
from twilio_campaigns.web import gathering, receiver, records
from twilio_campaigns.web.app import create_app
from twilio_campaigns.web.requests import LARGEST
from web.receiving import account, everything
from web.twilio_posts import FORM, Post, click, reply, status


@pytest.fixture
def sid(claimed, accept):
    claim, _ = claimed()
    (sid,) = accept(claim)
    return sid


class TestSurface:
    def test_there_is_nothing_but_four_endpoints(self, client):
        app = client.app
        assert sorted((route.path, *sorted(route.methods)) for route in app.routes) == [
            ("/click", "POST"),
            ("/health", "GET", "HEAD"),
            ("/inbound", "POST"),
            ("/status", "POST"),
        ]
        for path in ("/", "/docs", "/redoc", "/openapi.json", "/status/", "/twilio", "/health/x"):
            assert client.get(path).status_code == client.post(path).status_code == 404, path
        for path in ("/status", "/inbound", "/click"):
            assert client.get(path).status_code == 405
        assert client.post("/health").status_code == 405

    def test_health_needs_no_login_and_says_nothing_else(self, client):
        answer = client.get("/health")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})

    def test_alone_it_answers_with_and_without_the_prefix(self, database_url):
        with TestClient(create_app(database_url, settings=Settings(), settings_of=lambda _: account())) as client:
            for prefix in ("", "/twilio"):
                assert client.get(f"{prefix}/health").status_code == 200
                assert client.post(f"{prefix}/status").status_code == 415

    def test_airflow_mounts_it_and_runs_its_lifespan(
        self, database_url, monkeypatch, connect_twilio, connect_warehouse
    ):
        """The way in which Airflow's API server serves apps of plugins (airflow.api_fastapi.app)."""
        from airflow.api_fastapi.app import RESERVED_URL_PREFIXES, init_plugins, lifespan
        from airflow.plugins_manager import get_fastapi_plugins
        from fastapi import FastAPI

        apps = [app for app in get_fastapi_plugins()[0] if app["name"] == "Twilio webhooks and pages"]
        assert [app["url_prefix"] for app in apps] == ["/twilio"]
        assert not any("/twilio".startswith(prefix) for prefix in RESERVED_URL_PREFIXES)
        connect_twilio("https://api.twilio.com", extra={"public_url": "https://hooks.example.com/twilio"})
        connect_warehouse(database_url)
        airflow = FastAPI(lifespan=lifespan)
        init_plugins(airflow)
        opened = []
        monkeypatch.setattr(records.Records, "close", lambda self: opened.append(self._warehouse))
        with TestClient(airflow) as client:
            assert client.get("/twilio/health").json() == {"status": "ok"}
            post = status("SM" + "1" * 32, "sent")
            post.path = "/twilio/status"
            assert post.to(client).status_code == 204
            assert client.get("/twilio/docs").status_code == 404
        assert [warehouse is not None for warehouse in opened] == [True]
        opened[0].close()

    def test_a_worker_that_loads_the_plugin_loads_no_web_server(self):
        import subprocess
        import sys

        code = "import twilio_campaigns.plugin, sys; print('twilio_campaigns.web' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split()[-1] == "False"


class TestLimits:
    @pytest.mark.parametrize("size", [LARGEST + 1, 2_000_000])
    @pytest.mark.parametrize("path", ["/status", "/inbound", "/click"])
    def test_a_large_body_is_refused(self, client, path, size):
        post = Post(path, {"AccountSid": "x" * size})
        assert post.to(client).status_code == 413

    def test_a_body_is_not_read_beyond_the_limit(self, serve):
        client = serve()
        given = []

        def endless():
            for _ in range(1000):
                given.append(4096)
                yield b"a" * 4096

        headers = {"Content-Type": FORM, "X-Twilio-Signature": "x"}
        read = asyncio.run(_stream_to(client.app, headers))
        assert read <= LARGEST + 2 * 4096
        answer = client.post("/status", content=endless(), headers=headers)
        assert answer.status_code == 413

    @pytest.mark.parametrize("length", ["-1", "1e3", "99999999999999999999", "x"])
    def test_a_length_that_is_none_is_refused(self, client, length):
        headers = {"Content-Type": FORM, "X-Twilio-Signature": "x", "Content-Length": length}
        assert client.post("/status", content=b"a=b", headers=headers).status_code == 413

    @pytest.mark.parametrize(
        ("path", "kind", "code"),
        [
            ("/status", "application/json", 415),
            ("/status", "multipart/form-data; boundary=x", 415),
            ("/status", "text/plain", 415),
            ("/status", None, 415),
            ("/status", f"{FORM}; charset=latin-1", 415),
            ("/status", f"{FORM}; charset=UTF-8", 204),
            ("/status", f"{FORM.upper()};charset=utf-8", 204),
            ("/inbound", "application/json", 415),
            ("/click", "text/xml", 415),
        ],
    )
    def test_another_kind_of_body_is_refused(self, client, path, kind, code):
        assert status("SM" + "1" * 32, "sent").altered(path=path, Content_Type=kind).to(client).status_code == code

    @pytest.mark.parametrize("body", [b"", b"&", b"a", b"AccountSid", b"a=%ff", b"a=\xff", b"=&=", b"a=b&" * 501])
    def test_what_is_no_form_is_malformed(self, client, body):
        headers = {"Content-Type": FORM, "X-Twilio-Signature": "x"}
        assert client.post("/status", content=body, headers=headers).status_code == 400

    @pytest.mark.parametrize(
        "change",
        [
            {"MessageSid": None, "SmsSid": None},
            {"MessageSid": "SM12"},
            {"MessageSid": "SM" + "1" * 32 + "\n"},
            {"MessageStatus": None},
            {"MessageStatus": "DROP TABLE"},
            {"ErrorCode": "many"},
            {"ErrorCode": "9" * 30},
            {"ApiVersion": "2010-04-01ErrorCode30003"},
            {"From": "\x00"},
            {"To": "x" * 500},
        ],
    )
    def test_fields_look_as_twilio_writes_them(self, client, query, sid, change):
        before = everything(query)
        assert status(sid, "sent", **change).to(client).status_code in {400, 403}
        assert status(sid, "sent", **change).altered().to(client).status_code == 400
        assert everything(query) == before

    @pytest.mark.parametrize(
        "change", [{"sid": "x"}, {"person": ""}, {"to": ""}, {"AccountSid": "x"}, {"NumMedia": "x"}]
    )
    def test_and_those_of_replies(self, client, query, sid, change):
        before = everything(query)
        assert reply("hello", **change).to(client).status_code in {400, 403}
        assert everything(query) == before

    def test_unknown_fields_and_statuses_are_left_alone(self, client, query, sid):
        assert status(sid, "sent", NewField="new", EventType="x", Foo_Bar="").to(client).status_code == 204
        assert status(sid, "teleported").to(client).status_code == 204
        assert query("select status, provider_status from messages") == [{"status": "sent", "provider_status": "sent"}]

    def test_texts_that_no_database_keeps(self, client, query, sid):
        assert reply("a\x00b").to(client).status_code == 200
        assert query("select body from inbound_messages") != []


async def _stream_to(app, headers):
    """Give how many bytes the app takes of an endless body."""
    taken = 0

    async def receive():
        nonlocal taken
        taken += 4096
        return {"type": "http.request", "body": b"a" * 4096, "more_body": True}

    async def send(message):
        pass

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/status",
        "raw_path": b"/status",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("internal", 80),
    }
    await app(scope, receive, send)
    return taken


class TestAway:
    def test_503_while_it_is_away_and_all_is_well_when_it_is_back(self, serve, database_url, query, sid, monkeypatch):
        """The server ends every connection and takes none; afterwards it does."""
        monkeypatch.setattr(records, "PATIENCE", 0.3)
        monkeypatch.setattr("twilio_campaigns.web.app.PATIENCE", 0.3)
        monkeypatch.setattr(receiver, "_HEALTH_EVERY", 0.0)
        client = serve()
        assert status(sid, "sent").to(client).status_code == 204
        name = psycopg.conninfo.conninfo_to_dict(database_url)["dbname"]
        admin = database_url.replace(f"/{name}?", "/postgres?", 1)
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f"alter database {name} with allow_connections false")
            connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", (name,))
            for _ in range(2):
                answers = [post.to(client) for post in (status(sid, "delivered"), reply("STOP"), click(sid))]
                assert [answer.status_code for answer in answers] == [503] * 3
            assert client.get("/health").json() == {"status": "warehouse away"}
            assert client.get("/health").status_code == 503
            connection.execute(f"alter database {name} with allow_connections true")
        deadline = time.monotonic() + 15
        while (code := status(sid, "delivered").to(client).status_code) != 204:
            assert code == 503
            assert time.monotonic() < deadline
        assert client.get("/health").status_code == 200
        assert query("select status from messages") == [{"status": "delivered"}]

    def test_nothing_is_there_at_the_start(self, connections):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            url = f"postgresql://127.0.0.1:{unused.getsockname()[1]}/nothing"
            app = create_app(url, settings=Settings(), settings_of=connections.__getitem__)
            with TestClient(app) as client:
                assert status("SM" + "1" * 32, "sent").to(client).status_code == 503
                assert client.get("/health").status_code == 503

    def test_tables_of_another_version_are_as_good_as_away(self, serve, empty_database_url, caplog):
        client = serve(empty_database_url)
        for _ in range(3):
            assert status("SM" + "1" * 32, "sent").to(client).status_code == 503
        assert caplog.text.count("twilio-campaigns upgrade") == 1

    def test_the_budget_ends_a_wait(self, serve, database_url, query, sid):
        client = serve(webhook_budget="1s")
        with psycopg.connect(database_url) as other:
            other.execute("select 1 from messaging.messages for update")
            started = time.monotonic()
            assert status(sid, "sent").to(client).status_code == 503
            assert 0.5 < time.monotonic() - started < 4
        assert status(sid, "sent").to(client).status_code == 204
        assert query("select status from messages") == [{"status": "sent"}]

    def test_too_many_that_wait_are_sent_away(self, serve, sid, monkeypatch):
        monkeypatch.setattr(gathering, "WAITING", 0)
        assert status(sid, "sent").to(serve()).status_code == 503

    def test_a_row_that_cannot_be_written_fails_alone(self, serve, query, claimed, accept, monkeypatch, caplog):
        claim, _ = claimed(30)
        sids = accept(claim)
        apply = EventStore.apply

        def spoiled(self, observations, **options):
            observations = list(observations)
            if any(seen.sid == sids[7] for seen in observations):
                raise psycopg.errors.DataException("a bad row with +12025550007 in it")
            return apply(self, observations, **options)

        monkeypatch.setattr(EventStore, "apply", spoiled)
        codes = asyncio.run(_all_at_once(serve().app, [status(sid, "delivered") for sid in sids]))
        assert [n for n, code in enumerate(codes) if code == 500] == [7]
        assert codes.count(204) == 29
        assert query("select count(*) as n from messages where status = 'delivered'") == [{"n": 29}]
        assert "DataException" in caplog.text
        assert "+1202" not in caplog.text


async def _all_at_once(app, posts):
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://internal") as client:
        answers = await asyncio.gather(
            *(client.post(post.path, content=post.body, headers=post.headers) for post in posts)
        )
    return [answer.status_code for answer in answers]


class TestLoad:
    def test_many_at_once_share_few_transactions_and_connections(self, serve, query, claimed, accept, monkeypatch):
        claim, _ = claimed(400)
        sids = accept(claim)
        applied = []
        apply = EventStore.apply

        def counted(self, observations, **options):
            observations = list(observations)
            applied.append(len(observations))
            return apply(self, observations, **options)

        monkeypatch.setattr(EventStore, "apply", counted)
        posts = [status(sid, word) for word in ("sent", "delivered", "sent") for sid in sids]
        codes = asyncio.run(_all_at_once(serve().app, posts))
        assert set(codes) == {204}
        assert query("select status, count(*) as n from messages group by 1") == [{"status": "delivered", "n": 400}]
        assert query("select count(*) as n from campaign_events") == [{"n": 1200}]
        assert len(applied) < 60
        assert sum(applied) == 1200

    def test_the_loop_is_free_while_the_database_is_slow(self, serve, database_url, sid):
        """What holds up the loop holds up the heartbeats of Airflow's tasks."""
        client = serve(webhook_budget="2s")
        status(sid, "sent").to(client)
        with psycopg.connect(database_url) as other:
            other.execute("select 1 from messaging.messages for update")
            waiting = threading.Thread(target=lambda: status(sid, "delivered").to(client))
            waiting.start()
            time.sleep(0.1)
            started = time.monotonic()
            assert client.get("/health").status_code == 200
            assert status("SM" + "2" * 32, "sent").altered(X_Twilio_Signature="x").to(client).status_code == 403
            assert time.monotonic() - started < 0.5
            waiting.join()

    def test_no_more_connections_than_are_its_own(self, serve, query, claimed, accept):
        def connections():
            # Autovacuum and parallel workers are in the view as well.
            (found,) = query(
                "select count(*) as n from pg_stat_activity "
                "where datname = current_database() and backend_type = 'client backend'"
            )
            return found["n"]

        claim, _ = claimed(200)
        sids = accept(claim)
        of_this_test = connections()
        client = serve()
        posts = [status(sid, "sent") for sid in sids] + [reply("hi") for _ in range(50)] + [click(sids[0])] * 5
        seen = []

        def look():
            while not seen or seen[-1] is not None:
                seen.append(connections())
                time.sleep(0.01)
                if done.is_set():
                    seen.append(None)

        done = threading.Event()
        watching = threading.Thread(target=look)
        watching.start()
        threads = [
            threading.Thread(target=lambda part=part: [post.to(client) for post in posts[part::8]]) for part in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        watching.join()
        assert of_this_test < max(n for n in seen if n) <= of_this_test + records.CONNECTIONS


def test_accounts_are_read_once_a_minute_and_sooner_for_a_new_one(database_url, monkeypatch):
    reads = []

    def settings_of(name):
        reads.append(name)
        if name == "missing":
            raise ConfigurationError("There is no connection missing.")
        return account()

    settings = Settings(webhook_connections="twilio_default,missing")
    with TestClient(create_app(database_url, settings=settings, settings_of=settings_of)) as client:
        for _ in range(20):
            assert status("SM" + "1" * 32, "sent").to(client).status_code == 204
        assert sorted(reads) == ["missing", "twilio_default"]
        for _ in range(20):
            assert status("SM" + "1" * 32, "sent", AccountSid="AC" + "b" * 32).to(client).status_code == 403
        assert len(reads) == 2
        monkeypatch.setattr("twilio_campaigns.web.accounts.SOONEST", 0.0)
        assert status("SM" + "1" * 32, "sent", AccountSid="AC" + "b" * 32).to(client).status_code == 403
        assert len(reads) == 4


def test_a_run_that_begins_later_brings_its_connection(serve, connections, query, claimed, accept, monkeypatch):
    monkeypatch.setattr("twilio_campaigns.web.accounts.SOONEST", 0.0)
    connections.clear()
    connections["marketing"] = account()
    client = serve()
    assert status("SM" + uuid4().hex, "sent").to(client).status_code == 403
    claim, _ = claimed(of=campaign(connection="marketing"), as_run=run("2026-11-22"))
    (sid,) = accept(claim)
    assert status(sid, "delivered").to(client).status_code == 204
