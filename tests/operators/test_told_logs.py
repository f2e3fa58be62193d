"""What the logs of tasks end with: whole tables, of real work."""

import re
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from structlog.testing import capture_logs

from builders import campaign, freeze, in_run, people, sender
from twilio_campaigns.domain.campaign import SqlSegment
from twilio_campaigns.operators.audit import TwilioAuditOperator
from twilio_campaigns.operators.campaign import (
    TwilioCampaignReportOperator,
    TwilioCampaignSendOperator,
    TwilioPrepareAudienceOperator,
)
from twilio_campaigns.operators.resolve import TwilioResolveUnknownOperator
from twilio_campaigns.operators.sending import run_of
from twilio_campaigns.sensors.reconcile import TwilioReconcileSensor
from twilio_campaigns.warehouse.insight.refreshing import Summaries

RUN = in_run()
RUN_KEY = "spring/manual__one"
#: The simulator refuses it at once, as one that has opted out.
REFUSED = {"customer_id": "out", "phone": "+15005550004", "first_name": "Out"}
OF = campaign(
    segment=SqlSegment(query="select customer_id, phone, first_name from public.people"),
    sender=sender(messaging_service_sid=None, from_number="+15005550006"),
    circuit_breaker=None,
)
OPTED_OUT = [
    "  code   error      messages  what to do",
    "  -----  ---------  --------  --------------------------------------------------------------------------------",
    "  21610  opted_out         1  The person replied STOP to this sender; do not text them until they write START.",
]


@pytest.fixture
def site(database_url, simulator, connect_twilio, connect_warehouse):
    connect_twilio(simulator.url)
    connect_warehouse(database_url)
    return simulator


@pytest.fixture
def segment(query):
    query("create table public.people (customer_id text, phone text, first_name text)")
    for row in [*people(12), REFUSED, {"customer_id": "bad", "phone": "junk", "first_name": "x"}]:
        query("insert into public.people values (%s, %s, %s)", *row.values())


def lines_of(operator, context=RUN, error=None):
    """Execute a task; give its log without what differs from run to run."""
    with capture_logs() as entries:
        if error:
            with pytest.raises(error):
                operator.execute(context)
        else:
            operator.execute(context)
    lines = [entry["event"] for entry in entries if "outside of the Task Runner" not in entry["event"]]
    return [re.sub(r"^  (duration|messages per second) .*", r"  \1 #", line) for line in lines]


def prepare():
    return TwilioPrepareAudienceOperator(task_id="prepare_audience", campaign=OF)


def send_batch():
    return TwilioCampaignSendOperator(task_id="send_batch", campaign_id="spring", batch_no=1)


def resolve():
    return TwilioResolveUnknownOperator(task_id="resolve_unknown", campaign_id="spring")


def frozen(warehouse, rows):
    freeze(warehouse, rows, of=OF, as_run=run_of(RUN, "spring"))


def test_prepare_audience(site, segment, query):
    assert lines_of(prepare()) == [
        f"Audience of run {RUN_KEY}",
        "  audience                        14",
        "  excluded                         1",
        "  planned                         13",
        "  parts                           13",
        "  parts of other runs before       0",
        "  parts per second            5000.0",
        "  estimated duration           0.0 s",
        "  estimated cost                   -",
        "  messages of unknown price       13",
        "Left out",
        "  reason          rows",
        "  --------------  ----",
        "  invalid_number     1",
        f"Run {RUN_KEY} is sending: 1 batches.",
    ]


def test_what_an_audience_will_cost_follows_from_what_others_did(site, segment, query, warehouse):
    prepare().execute(RUN)
    send_batch().execute(RUN)
    query(
        "update messages set price = 0.01, price_unit = 'USD', number_of_message_parts = 1 "
        "where send_state = 'accepted'"
    )
    Summaries(warehouse).refresh(RUN_KEY)
    lines = lines_of(prepare())
    assert "  estimated cost, USD           0.13" in lines
    assert "  messages of unknown price        0" in lines


def test_send_batch(site, segment):
    prepare().execute(RUN)
    assert [re.sub(r" {2,}(?=\d+$)", "  ", line) for line in lines_of(send_batch())] == [
        f"Batch 1 of run {RUN_KEY}",
        "  accepted by this try  12",
        "  refused  1",
        "  outcome unknown  0",
        "  given back  0",
        "  too late or opted out  0",
        "  duration #",
        "  messages per second #",
        "  accepted in all  12",
        "  left: planned  0",
        "  left: claimed by others  0",
        "  left: unknown  0",
        "Refused",
        *OPTED_OUT,
    ]


def test_a_batch_that_fails_says_what_it_did_first(site, warehouse, connect_twilio):
    frozen(warehouse, people(5))
    connect_twilio(site.url, password="wrong")
    lines = lines_of(send_batch(), error=AirflowFailException)
    told = dict(re.split("  +", line.strip()) for line in lines if "  " in line.strip())
    assert (told["accepted by this try"], told["left: planned"]) == ("0", "5")


def test_resolve_unknown(site, warehouse, configure):
    configure(LEASE="0.05", LOOKUP_GAP="10m")
    frozen(warehouse, people(10))
    site.control("POST", "faults/next", faults=["lost", "reset", "lost"])
    send_batch().execute(RUN)
    lines = lines_of(resolve(), error=TaskDeferred)
    assert lines[:9] == [
        f"Lost answers of run {RUN_KEY}",
        "  found at Twilio                                  2",
        "  no trace, planned again                          0",
        "  might be one of several                          0",
        "  accepted by this try                             0",
        "  refused                                          0",
        "  left: planned                                    0",
        "  left: claimed by others                          0",
        "  left: unknown                                    1",
    ]
    assert re.fullmatch(r"  next look +20\d\d-\d\d-\d\d \d\d:\d\d:\d\d\+00:00", lines[9])


def test_report(site, segment):
    prepare().execute(RUN)
    send_batch().execute(RUN)
    lines = lines_of(TwilioCampaignReportOperator(task_id="report", campaign_id="spring"))
    assert lines[:2] == [f"Run {RUN_KEY} is done.", "Funnel so far"]
    figures = [line.split() for line in lines[2:]]
    assert figures[:2] == [["audience", "14"], ["excluded", "1"]]
    assert ["enqueued", "12"] in figures
    assert lines[-8:] == [
        "Left out",
        "  reason          rows",
        "  --------------  ----",
        "  invalid_number     1",
        "Errors",
        *OPTED_OUT,
    ]


def test_reconcile(site, warehouse, query):
    frozen(warehouse, people(30))
    send_batch().execute(RUN)
    today = datetime.now(UTC)
    lines = lines_of(
        TwilioReconcileSensor(task_id="reconcile"), {"dag_run": SimpleNamespace(logical_date=today)}, TaskDeferred
    )
    assert lines[0] == f"Day {today.date()}: Repair"
    told = dict(re.split(r"  +", line.strip()) for line in lines if line.startswith("  "))
    assert told["of them campaigns'"] == "30"
    assert int(told["messages read by list"]) + int(told["messages read by fetch"]) == 30
    known = query("select status, count(*) as n from messages where status <> 'enqueued' group by 1")
    assert {name: n for name, n in told.items() if name.startswith("now ")} == {
        f"now {row['status']}": str(row["n"]) for row in known
    }
    assert int(told["open"]) + int(told["settled"]) == 30
    assert told["next look"].startswith("20")


def test_a_day_that_somebody_else_is_reading(site, warehouse, query):
    frozen(warehouse, people(3))
    send_batch().execute(RUN)
    today = datetime.now(UTC)
    query(
        "insert into reconcile_days (day, leased_until, lease_id) "
        "values (%s, now() + interval '1 h', gen_random_uuid())",
        today.date(),
    )
    context = {"dag_run": SimpleNamespace(logical_date=today)}
    lines = lines_of(TwilioReconcileSensor(task_id="reconcile"), context, TaskDeferred)
    assert lines[:3] == [
        f"Day {today.date()}: somebody else is reading it.",
        f"Day {today.date()} from here",
        "  open                                3",
    ]


def test_audit(site, warehouse):
    frozen(warehouse, people(3))
    send_batch().execute(RUN)
    lines = lines_of(TwilioAuditOperator(task_id="audit", day=str(datetime.now(UTC).date())))
    title, header, _, row = lines[-4:]
    assert title == f"Audit of {datetime.now(UTC).date()}"
    told = dict(zip(re.split("  +", header.strip()), re.split("  +", row.strip()), strict=True))
    assert (told["connection"], told["complete"], told["accepted"], told["missing"]) == (
        "twilio_default",
        "yes",
        "3",
        "0",
    )


def test_no_line_holds_a_number(site, segment):
    said = "\n".join([*lines_of(prepare()), *lines_of(send_batch()), *lines_of(resolve())])
    for row in [*people(12), REFUSED]:
        assert row["phone"].removeprefix("+1") not in said
