"""The benchmark of webhooks: a tiny run of it, and who answers without writing does not win."""

import asyncio
from pathlib import Path

import pytest

from include.local.bench_lab import BenchError, Figures, Lab
from include.local.bench_targets import Verdict
from include.local.bench_webhooks_apps import BARE, NOTHING, OURS
from include.local.bench_webhooks_load import Load, percentile
from include.local.bench_webhooks_scene import TOLD, check_bare, check_ours, posts, prepare
from include.local.bench_webhooks_speed import Results, _check_answers, alone, judge, measure

MESSAGES = 50
ROOT = Path(__file__).parents[2]


def test_a_tiny_run_ends_with_what_was_told_in_the_tables():
    told = []
    with Lab() as lab:
        entries = measure(alone(lab, MESSAGES), 1, told.append)
    assert len(told) == 3
    assert {entry.name for entry in entries if isinstance(entry, Verdict)} == {
        "ours ÷ bare handler, uvicorn",
        "handler that does nothing ÷ fastest of both, uvicorn",
    }


@pytest.fixture
def ledger(database_url):
    prepare(database_url, MESSAGES)
    return database_url


def test_who_writes_nothing_fails(ledger):
    with pytest.raises(BenchError, match=r"50 messages should be delivered; they are \{'enqueued, queued': 50\}"):
        check_ours(ledger, MESSAGES)
    with pytest.raises(BenchError, match=r"50 rows of each status; it has \{\}"):
        check_bare(ledger, MESSAGES)


def deliver(query):
    query("update messages set status = 'delivered', provider_status = 'delivered'")
    for status in ("sent", "delivered"):
        query(
            "insert into campaign_events (event_id, message_key, action_type, status, occurred_at, source) "
            "select gen_random_uuid(), message_key, 'sms', %s, now(), 'webhook' from messages",
            status,
        )


def test_the_right_tables_pass_and_others_do_not(ledger, query):
    deliver(query)
    check_ours(ledger, MESSAGES)
    query(
        "insert into campaign_events (event_id, message_key, action_type, status, occurred_at, source) "
        "select gen_random_uuid(), message_key, 'sms', 'sent', now(), 'webhook' from messages limit 1"
    )
    with pytest.raises(BenchError, match=r"'sent': \[51, 50\]"):
        check_ours(ledger, MESSAGES)
    query("delete from campaign_events where status = 'sent'")
    with pytest.raises(BenchError, match="Each message should have enqueued, sent, delivered once"):
        check_ours(ledger, MESSAGES)


def test_requests_that_were_turned_away_are_noticed(ledger, query):
    deliver(query)
    query("insert into webhook_rejections (day, reason, requests, last_at) values (now(), 'forged', 3, now())")
    with pytest.raises(BenchError, match="0 messages were put aside as strays, and 3 requests turned away"):
        check_ours(ledger, MESSAGES)


def test_every_message_is_told_of_four_times_in_an_order_of_the_round_s_own(ledger):
    first, same, other = (posts(ledger, "0" * 32, "/here/status", seed) for seed in (1, 1, 2))
    assert first == same
    assert first != other
    assert sorted(first) == sorted(other)
    assert len(first) == len(TOLD) * MESSAGES
    assert len(set(first)) == len(set(TOLD)) * MESSAGES
    assert all(one.startswith(b"POST /here/status?message_key=") for one in first)
    assert not any(b"#" in one for one in first)


def answered(answer, requests, *, stays=True):
    """Post requests to a server that gives this answer, in two pieces, and stays or not."""

    async def serve(reader, writer):
        while await reader.readline():
            half = len(answer) // 2
            writer.write(answer[:half])
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(answer[half:])
            if not stays:
                break
        writer.close()

    async def run():
        load = Load([b"hello\n"] * requests)
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            await load.post(f"http://127.0.0.1:{port}", 3)
        return load

    return asyncio.run(run())


def test_each_answer_is_counted_once_with_its_time():
    load = answered(b"HTTP/1.1 503 x\r\nContent-Length: 4\r\n\r\nbusy", 7)
    assert load.statuses == {"503": 7}
    assert len(load.seconds) == 7
    assert all(seconds >= 0.01 for seconds in load.seconds)


def test_a_connection_that_breaks_off_fails_the_load():
    with pytest.raises(ConnectionResetError, match="closed by the server"):
        answered(b"HTTP/1.1 204 x\r\n\r\n", 7, stays=False)


def figures(seconds, statuses=None):
    told = {"p50": 0.01, "p99": 0.1, "statuses": statuses or {}}
    return Figures(200, seconds, 1.0, 2.0, 3.0, 100.0, (told,))


def test_any_other_answer_than_204_fails():
    _check_answers(figures(1.0, {"204": 200}), "ours", MESSAGES)
    with pytest.raises(BenchError, match=r"ours should have answered 204 to 200 requests; .*'503': 1"):
        _check_answers(figures(1.0, {"204": 199, "503": 1}), "ours", MESSAGES)


def test_ratios_are_those_of_a_round():
    results = Results("here")
    for seconds in (1.0, 10.0, 2.0):  # the machine was busy in the second round
        results.figures[OURS].append(figures(seconds))
        results.figures[BARE].append(figures(seconds / 2))
    results.figures[NOTHING].append(figures(0.25))
    ratio, room = (entry for entry in judge(results) if isinstance(entry, Verdict))
    assert (ratio.value, ratio.least, ratio.holds) == (0.5, 0.7, False)
    assert (room.value, room.holds) == (2.0, True)


def test_percentiles():
    assert percentile([], 50) == 0.0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile(range(1, 101), 99) == 99


def test_make_bench_runs_it():
    assert "bench_webhooks" in (ROOT / "Makefile").read_text("utf-8")
