"""The benchmark of reconciling: its scene is what it says, who reads nothing does not win, peers read where told."""

import asyncio
import sys
from datetime import UTC, datetime

import pytest

from include.local import bench_reconcile_peers, bench_reconcile_scene
from include.local.bench_lab import BenchError, Figures, Simulator
from include.local.bench_reconcile_contestant import gateway_to
from include.local.bench_reconcile_peers import PEERS, Peer
from include.local.bench_reconcile_scene import Sent, check, let_time_pass, load, populate, yesterday
from include.local.bench_reconcile_shim import _replace_urls
from include.local.bench_reconcile_speed import FIRST, SDK, SECOND, Results, _judge
from include.local.bench_targets import Note, Report, Verdict
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.reconcile import Reconciler
from twilio_campaigns.warehouse.connection import Warehouse

WHEN = yesterday()


@pytest.fixture(scope="module")
def simulator():
    with Simulator(0.0, stands_at=WHEN.now) as simulator:
        yield simulator


def test_everything_happens_within_one_day_that_is_over():
    assert WHEN.begins_at.date() == WHEN.now.date() == WHEN.day < datetime.now(UTC).date()
    assert WHEN.begins_at < WHEN.ends_at < WHEN.now


def test_two_passes_write_what_the_simulator_says_and_only_what_changed(simulator, database_url):
    simulator.reset()
    sent = populate(simulator, WHEN, 2000)
    assert len({one.sid for one in sent}) == 2000
    assert all(WHEN.begins_at <= one.at < WHEN.ends_at for one in sent)
    load(database_url, sent)
    with pytest.raises(BenchError, match=r"of 2,000 rows do not say"):
        check(simulator, database_url)

    def read():
        with Warehouse(database_url) as warehouse:
            reconciler = Reconciler(warehouse, gateway_to(simulator.url, simulator.token), Settings())
            return asyncio.run(reconciler.read(WHEN.day, full_read=False))

    first = read()
    assert check(simulator, database_url) == 0
    assert (first.changed, first.settled) == (2000, 0)
    let_time_pass(database_url)
    assert simulator.control("release", now=True).json() == {"released": 100}
    with pytest.raises(BenchError, match=r"100 of 2,000 rows"):
        check(simulator, database_url)
    second = read()
    check(simulator, database_url)
    assert (second.changed, second.events_written) == (100, 100)


def test_missing_events_are_noticed(simulator, database_url, query):
    simulator.reset()
    load(database_url, populate(simulator, WHEN, 50), tidy=False)
    query("update messages set provider_status = 'delivered', status = 'delivered'")
    delivered = [line for line in simulator.control("statuses").text.splitlines() if line.endswith(",delivered")]
    query("delete from messages where message_sid <> all(%s)", [line.partition(",")[0] for line in delivered])
    with pytest.raises(BenchError, match="There should be events"):
        check(simulator, database_url)


def test_who_left_unsent_messages_to_the_next_pass_has_read_the_others(simulator, database_url, query):
    simulator.reset()
    load(database_url, populate(simulator, WHEN, 500), tidy=False)
    failed = [line for line in simulator.control("statuses").text.splitlines() if line.endswith(",failed")]
    query("delete from campaign_events")
    query("delete from messages where message_sid <> all(%s)", [line.partition(",")[0] for line in failed])
    query(
        "insert into campaign_events (event_id, message_key, action_type, status, occurred_at, source) "
        "select message_key, message_key, 'sms', 'enqueued', now(), 'send' from messages"
    )
    assert check(simulator, database_url) == len(failed) > 0


def test_a_ledger_in_pieces_is_the_same_ledger(simulator, database_url, query):
    simulator.reset()
    sent = populate(simulator, WHEN, 100)
    load(database_url, sent[:60], tidy=False)
    load(database_url, sent[60:], first=60, tidy=False)
    rows = query("select customer_id, message_sid from messages order by customer_id")
    assert [row["message_sid"] for row in rows] == [one.sid for one in sent]
    assert query("select count(*) from campaign_events")[0]["count"] == 100


def test_a_person_has_one_message_of_a_run(monkeypatch, database_url, query):
    monkeypatch.setattr(bench_reconcile_scene, "PEOPLE", 3)
    at = WHEN.begins_at
    load(database_url, [Sent(f"SM{n:032x}", f"+1202555010{n % 3}", at) for n in range(7)], tidy=False)
    assert [row["run_key"] for row in query("select run_key from campaign_runs order by 1")] == [
        "bench/0",
        "bench/1",
        "bench/2",
    ]


def test_a_clock_that_stands_does_not_move(simulator):
    first, second = (simulator.control("stats").json()["now"] for _ in range(2))
    assert first[:19] == second[:19] == WHEN.now.isoformat()[:19]


def test_the_shim_replaces_every_address_of_the_streams():
    twilio, other = "https://api.twilio.com", "https://conversations.twilio.com"
    streams = {"a": {"api_url": twilio, "children": {"b": {"api_url": twilio}}}, "c": {"api_url": other}}
    _replace_urls(streams, "http://here")
    assert streams == {
        "a": {"api_url": "http://here", "children": {"b": {"api_url": "http://here"}}},
        "c": {"api_url": other},
    }


def test_a_peer_that_is_installed_is_not_installed_again(monkeypatch, tmp_path):
    monkeypatch.setattr(bench_reconcile_peers, "_FOLDER", tmp_path)
    name, version = next(iter(PEERS.items()))
    (tmp_path / name).mkdir()
    (tmp_path / name / f".installed-{version}").touch()
    monkeypatch.setattr(bench_reconcile_peers.venv, "create", lambda *_, **__: pytest.fail("made anew"))
    assert bench_reconcile_peers.python_of(name) == tmp_path / name / "bin" / "python"


def test_a_peer_that_fails_says_why(monkeypatch, tmp_path, simulator):
    shim = tmp_path / "shim.py"
    shim.write_text("raise SystemExit('no such stream')", "utf-8")
    monkeypatch.setattr(bench_reconcile_peers, "_SHIM", shim)
    monkeypatch.setattr(bench_reconcile_peers, "python_of", lambda _: sys.executable)
    with pytest.raises(BenchError, match="no such stream"):
        bench_reconcile_peers.read("tap-twilio", simulator, WHEN.begins_at)


def test_a_peer_is_measured_as_the_simulator_sees_it(monkeypatch, tmp_path, simulator):
    simulator.reset()
    populate(simulator, WHEN, 30, held_share=0.0)
    shim = tmp_path / "shim.py"
    shim.write_text(READER, "utf-8")
    monkeypatch.setattr(bench_reconcile_peers, "_SHIM", shim)
    monkeypatch.setattr(bench_reconcile_peers, "python_of", lambda _: sys.executable)
    for _ in range(2):  # the second one is not mixed up with the first
        peer = bench_reconcile_peers.read("tap-twilio", simulator, WHEN.begins_at)
    assert (peer.messages, peer.pages) == (30, 1)
    assert 0 < peer.seconds < peer.starting + peer.ending
    assert peer.starting > 0


READER = """
import json, sys
from base64 import b64encode
from pathlib import Path
from urllib.request import Request, urlopen

config = json.loads((Path(sys.argv[3]) / "config.json").read_text())
basic = b64encode(f"{config['account_sid']}:{config['auth_token']}".encode()).decode()
url = f"{sys.argv[2]}/2010-04-01/Accounts/{config['account_sid']}/Messages.json"
urlopen(Request(url, headers={"Authorization": f"Basic {basic}"})).read()
"""


def figures(seconds, **told):
    return Figures(1000, seconds, 1.0, 1.0, 1.0, 100.0, ({"api_calls": 2, "changed": 50, **told},))


def test_ratios_are_those_of_a_round_and_a_peer_that_is_missing_is_named():
    results = Results()
    for seconds in (1.0, 10.0, 2.0):  # the machine was busy in the second round
        results.figures[FIRST].append(figures(seconds))
        results.figures[SECOND].append(figures(seconds / 2))
        results.figures[SDK].append(figures(seconds * 4))
    results.peers["tap-twilio"] = Peer(1000, 20, 12.0, 1.0, 1.0)
    results.missing["airbyte-source-twilio"] = "no wheel"
    found = {entry.name: entry for entry in _judge(results, "100 ms", 1000)}
    sdk, peer = (found[f"ours, first pass ÷ {name} to nowhere, 100 ms"] for name in ("SDK", "tap-twilio"))
    assert isinstance(sdk, Verdict)
    assert (sdk.value, sdk.least, peer.value, peer.least) == (4.0, 3.0, pytest.approx(6.0), 10.0)
    assert found["airbyte-source-twilio was not measured"] == Note("airbyte-source-twilio was not measured", "no wheel")
    assert found["rows written by second pass ÷ changed, 100 ms"].meets
    assert found["calls per 1,000 messages, 100 ms: tap-twilio"].text == "20.0"


def test_each_benchmark_has_a_file_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr("include.local.bench_targets.LOCAL", tmp_path)
    assert Report("Reconciling", "reconcile").write() == tmp_path / "bench" / "reconcile.json"
    assert Report("Sending").write() == tmp_path / "bench" / "send.json"
