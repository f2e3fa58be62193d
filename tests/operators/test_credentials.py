"""Credentials that Twilio does not accept, before and in the middle of a run of ten thousand."""

import pytest
from airflow.sdk.exceptions import AirflowFailException

from builders import campaign, in_run
from twilio_campaigns.domain.campaign import SqlSegment
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.operators.campaign import TwilioCampaignSendOperator, TwilioPrepareAudienceOperator

MANY = 10_000
CONTEXT = in_run()
SEGMENT = SqlSegment(
    query="select 'c' || n as customer_id, '+1202' || (5550000 + n) as phone, 'Name' as first_name "
    f"from generate_series(1, {MANY}) as n"
)


def prepare():
    of = campaign(segment=SEGMENT)
    return TwilioPrepareAudienceOperator(task_id="prepare_audience", campaign=of).execute(CONTEXT)


def send(batch_no):
    operator = TwilioCampaignSendOperator(task_id="send_batch", campaign_id="spring", batch_no=batch_no)
    return operator.execute(CONTEXT)


@pytest.fixture
def states(query):
    return lambda: {r["send_state"]: r["n"] for r in query("select send_state, count(*) as n from messages group by 1")}


def test_wrong_credentials_fail_the_first_task_before_anything_is_read(
    database_url, simulator, connect_twilio, connect_warehouse, states
):
    connect_warehouse(database_url)
    connect_twilio(simulator.url, password="wrong")
    with pytest.raises(AirflowFailException, match="does not accept these credentials") as error:
        prepare()
    assert "Check the connection's Account SID and Auth Token" in str(error.value)
    assert states() == {}
    assert simulator.truth() == []
    connect_twilio(simulator.url)
    batches = prepare()
    assert states() == {"planned": MANY}
    assert len(batches) == 10


def test_an_account_that_is_suspended_fails_it_too(
    database_url, simulator, connect_twilio, connect_warehouse, monkeypatch
):
    async def suspended(_self):
        from twilio_campaigns.gateway.resource import AccountStatus

        return AccountStatus("AC" + "0" * 32, "Ours", "suspended", "Full")

    monkeypatch.setattr(TwilioGateway, "account", suspended)
    connect_warehouse(database_url)
    connect_twilio(simulator.url)
    with pytest.raises(AirflowFailException, match="is suspended"):
        prepare()


def test_a_twilio_that_cannot_be_asked_is_no_reason_not_to_prepare(
    database_url, connect_twilio, connect_warehouse, states, caplog
):
    connect_warehouse(database_url)
    connect_twilio("http://127.0.0.1:9")
    prepare()
    assert states() == {"planned": MANY}


def test_credentials_revoked_in_the_middle_stop_every_batch_at_once_and_clearing_completes_the_run(
    database_url, simulator, connect_twilio, connect_warehouse, states
):
    connect_warehouse(database_url)
    connect_twilio(simulator.url)
    batches = prepare()
    assert send(batches[0])["sent"] == 1000
    simulator.control("POST", "faults", revoked=True)
    for batch_no in batches[1:]:
        with pytest.raises(AirflowFailException, match="20003") as error:
            send(batch_no)
        assert "the rest stays planned. Mend it, then clear this task" in str(error.value)
    assert states() == {"accepted": 1000, "planned": MANY - 1000}
    asked = simulator.control("GET", "stats")["calls"]["create"] - 1000
    assert asked <= 100 * len(batches[1:])  # what was under way when the first refusal came, and nothing after it
    simulator.control("POST", "faults", revoked=False)
    for batch_no in batches[1:]:
        send(batch_no)
    assert states() == {"accepted": MANY}
    assert len({message["to"] for message in simulator.truth()}) == len(simulator.truth()) == MANY
