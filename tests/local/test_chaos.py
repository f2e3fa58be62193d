"""The harness itself: what follows from its seed, who dies, and that its verdict and its scanner can say no."""

import subprocess
import sys
from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from uuid import uuid4

import pytest

from include.local.chaos_data import NUMBER, SENDERS, people, write_dags, write_include
from include.local.chaos_death import DONE
from include.local.chaos_plan import Kind, plan
from include.local.chaos_scan import Scanner
from include.local.chaos_verdict import OPTED_OUT, Books, judge
from include.local.environment import ROOT
from twilio_campaigns.domain.campaign_files import load_campaigns
from twilio_campaigns.domain.steps import Step

TOKEN = "0123456789abcdef0123456789abcdef"
CLEAN = "Batch 1: 20 accepted, 1 refused. Message SM0123456789abcdef1202555020012345, from +15005550006.\n"


def drawn(seed, kills=100, count=150):
    return list(islice(plan(seed, kills, 3.0), count))


def test_a_seed_gives_the_same_plan_and_another_one_another():
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.parametrize("seed", range(20))
def test_a_long_plan_has_every_kind_and_step(seed):
    kills = drawn(seed, count=100)
    assert {kill.kind for kill in kills} == set(Kind)
    assert {kill.step for kill in kills} >= set(Step)
    assert [kill.number for kill in kills] == list(range(1, 101))


@pytest.mark.parametrize("seed", range(20))
def test_a_short_plan_has_every_kind_once(seed):
    assert {kill.kind for kill in drawn(seed, kills=13, count=14)} == set(Kind)


def dies(folder, steps):
    """Take these steps in a process of its own; give its exit code."""
    code = (
        "import sys\nfrom include.local.chaos_death import arm\n"
        "from twilio_campaigns.domain.steps import reached, Step\n"
        "arm(sys.argv[1])\narm(sys.argv[1])\nfor step in sys.argv[2:]:\n    reached(Step(step))\n"
    )
    return subprocess.run([sys.executable, "-c", code, str(folder), *steps], cwd=ROOT, check=False).returncode


def test_a_process_dies_at_the_step_that_was_asked_for_and_only_one_does(tmp_path):
    (tmp_path / DONE).mkdir()
    (tmp_path / "posting.7").write_text("2")
    assert dies(tmp_path, ["posting", "answered"]) == 0
    assert dies(tmp_path, ["posting", "posting"]) == -9
    assert [file.stem for file in (tmp_path / DONE).iterdir()] == ["7"]
    assert dies(tmp_path, ["posting", "posting"]) == 0


def test_the_campaigns_can_be_read_and_the_listener_stands_in_every_dag_file(tmp_path):
    campaigns, errors = load_campaigns(write_include(tmp_path, batch_size=50, rate=5))
    assert errors == []
    assert {campaign.campaign_id for campaign in campaigns} == set(SENDERS)
    assert all("arm(" in file.read_text() for file in write_dags(tmp_path, tmp_path / "kill-at").glob("*.py"))


def test_the_people_make_as_many_messages_as_wanted_and_share_some():
    made = list(people(10_000, 1))
    assert sum(person.through_service + person.through_number for person in made) == 10_000
    assert len({person.phone for person in made}) == len(made)
    assert sum(person.through_service and person.through_number for person in made) == 1500


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("sent to +12025550200\n", "recipient number"),
        ("GET /Messages.json?To=%2B12025550200&PageSize=1000\n", "recipient number"),
        ("body=Hi Ada, the marigold week is here\n", "body"),
        ("your code is mgd-000017\n", "body"),
        (f"password={TOKEN}\n", "auth token"),
        ("Authorization: Basic QUMwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw\n", "Authorization value"),
    ],
)
def test_the_scanner_finds_what_is_planted_and_nothing_else(tmp_path, line, kind):
    scanner = Scanner({"+12025550200"}, TOKEN)
    log = tmp_path / "task-logs" / "attempt=1.log"
    log.parent.mkdir()
    log.write_text(CLEAN)
    scan = scanner.scan([tmp_path])
    assert (scan.files, scan.size, scan.found) == (1, len(CLEAN), [])
    log.write_text(CLEAN + line)
    assert scanner.scan([tmp_path]).found == [f"{kind} in {log}:2"]


def made_books():
    """Books of six messages that add up."""
    rows, events, truth = [], [], []
    for n, person in enumerate(people(6, 1)):
        for campaign in SENDERS:
            if not getattr(person, campaign):
                continue
            key, sid = uuid4(), f"SM{len(rows):032}"
            undelivered = n == 1
            rows.append(
                {
                    "campaign_id": campaign,
                    "customer_id": person.customer_id,
                    "message_key": key,
                    "to_number": person.phone,
                    "body": person.code,
                    "attempts": 1,
                    "send_state": "accepted",
                    "skip_reason": None,
                    "message_sid": sid,
                    "provider_status": "undelivered" if undelivered else "delivered",
                    "status_code": 30007 if undelivered else None,
                    "price": Decimal("0.00790"),
                    "settled_at": datetime.now(UTC),
                }
            )
            truth.append(
                {
                    "sid": sid,
                    "to": person.phone,
                    "body": person.code,
                    "from": NUMBER,
                    "messaging_service_sid": None if campaign == "through_number" else SENDERS[campaign],
                    "final_status": rows[-1]["provider_status"],
                    "error_code": rows[-1]["status_code"],
                    "price": "0.00790",
                    "sent_at": "2026-11-25T00:00:00",
                }
            )
            final = ("rejected", 30007) if undelivered else ("delivered", None)
            events.extend(
                {"message_key": key, "status": status, "status_code": code}
                for status, code in (("enqueued", None), ("sent", None), final)
            )
    return rows, events, truth


def broken(rows, events, truth, strays=(), opted_out_share=0.0):
    books = Books(
        wanted=6,
        messages=rows,
        events=events,
        strays=list(strays),
        truth=truth,
        simulator_seed=1,
        opted_out_share=opted_out_share,
    )
    return [check.says[:3] for check in judge(books) if not check.holds]


def test_books_that_add_up_hold():
    assert broken(*made_books()) == []


def second_message(rows, events, truth):
    truth.append({**truth[0], "sid": "SM" + "f" * 32})


def lost_row(rows, events, truth):
    del rows[0]


def still_unknown(rows, events, truth):
    rows[0].update(send_state="unknown", message_sid=None)


def given_up(rows, events, truth):
    rows[0].update(send_state="enqueue_failed", message_sid=None, status_code=OPTED_OUT)


def wrong_price(rows, events, truth):
    rows[0]["price"] = None


def open_row(rows, events, truth):
    rows[0]["settled_at"] = None


def swapped_sids(rows, events, truth):
    rows[0]["message_sid"], rows[1]["message_sid"] = rows[1]["message_sid"], rows[0]["message_sid"]


def missing_event(rows, events, truth):
    del events[1]


def event_twice(rows, events, truth):
    events.append(deepcopy(events[0]))


@pytest.mark.parametrize(
    ("fault", "checks"),
    [
        (second_message, ["(a)", "(c)"]),
        (lost_row, ["(b)", "(c)", "(e)"]),
        (still_unknown, ["(b)", "(b)", "(c)", "(e)"]),
        (given_up, ["(b)", "(b)", "(c)", "(e)"]),
        (wrong_price, ["(d)"]),
        (open_row, ["(d)"]),
        (swapped_sids, ["(b)"]),
        (missing_event, ["(e)"]),
        (event_twice, ["(e)"]),
    ],
)
def test_whatever_does_not_add_up_is_found(fault, checks):
    books = made_books()
    fault(*books)
    assert set(checks) <= set(broken(*books))


def test_a_stray_message_breaks_the_books():
    assert broken(*made_books(), strays=[{"message_sid": "SM1", "reason": "why"}]) == ["(c)"]


def test_who_has_written_stop_must_be_refused_by_a_number():
    assert broken(*made_books(), opted_out_share=1.0) == ["(b)"]
