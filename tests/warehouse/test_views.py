"""Views that analysts and their tools read: nobody is counted twice, and columns are those that the tools name."""

import pytest

from told_run import AT, tell_run

MOMENT = "timestamp with time zone"
#: Fivetran's `message`, as its dbt package's `get_message_columns` names it, with PostgreSQL's types of its own.
FIVETRAN = {
    "_fivetran_synced": MOMENT,
    "account_id": "text",
    "body": "text",
    "created_at": MOMENT,
    "date_sent": MOMENT,
    "direction": "text",
    "error_code": "text",
    "error_message": "text",
    "id": "text",
    "messaging_service_sid": "text",
    "num_media": "text",
    "num_segments": "text",
    "price": "text",
    "price_unit": "text",
    "status": "text",
    "updated_at": MOMENT,
    "from": "text",
    "to": "text",
}
#: Stream `messages` of airbyte-source-twilio 0.16.0.
AIRBYTE = {
    "account_sid": "text",
    "api_version": "text",
    "body": "text",
    "date_created": MOMENT,
    "date_sent": MOMENT,
    "date_updated": MOMENT,
    "direction": "text",
    "error_code": "text",
    "error_message": "text",
    "from": "text",
    "messaging_service_sid": "text",
    "num_media": "bigint",
    "num_segments": "bigint",
    "price": "numeric",
    "price_unit": "text",
    "sid": "text",
    "status": "text",
    "subresource_uris": "jsonb",
    "to": "text",
    "uri": "text",
}


@pytest.fixture
def run_key(warehouse, query):
    key = tell_run(warehouse, query)
    query(
        "insert into inbound_messages (message_sid, from_number, to_number, body, received_at, source, message_key) "
        "select 'SM' || repeat('e', 32), to_number, '+12025550100', 'STOP', %s, 'list', message_key "
        "from messages where message_sid = %s",
        AT.replace(hour=13),
        "SM" + "0" * 32,
    )
    query("update messages set price = 0.0075, price_unit = 'USD' where status = 'delivered'")
    return key


@pytest.mark.parametrize(("view", "wanted"), [("fivetran_message", FIVETRAN), ("airbyte_messages", AIRBYTE)])
def test_columns_and_types_are_those_that_other_tools_name(query, view, wanted):
    found = query(
        "select column_name, data_type from information_schema.columns where table_schema = 'messaging' "
        "and table_name = %s",
        view,
    )
    assert {row["column_name"]: row["data_type"] for row in found} == wanted


def test_what_other_tools_read_is_what_twilio_says(run_key, query):
    rows = query("select * from airbyte_messages order by sid")
    assert len(rows) == 11
    first, reply = rows[0], rows[-1]
    assert (first["status"], first["direction"], float(first["price"])) == ("delivered", "outbound-api", -0.0075)
    assert (reply["status"], reply["direction"], reply["body"]) == ("received", "inbound", "STOP")
    same = query("select * from fivetran_message where id = %s", first["sid"])[0]
    assert same["price"] == "-0.00750"


@pytest.mark.parametrize("status", ["enqueued", "enqueue_failed", "sent", "delivered", "failed", "rejected"])
def test_sums_over_hours_are_sums_over_events(run_key, query, status):
    (events,) = query("select count(*) as n from campaign_events where status = %s", status)
    (hours,) = query(f"select coalesce(sum({status}), 0) as n from campaign_funnel_hourly")
    assert hours["n"] == events["n"]


def test_sums_over_senders_and_runs_are_the_same(run_key, query):
    figures = ["enqueued", "delivered", "failed", "rejected", "unreported"]
    sums = ", ".join(f"sum({name})::int as {name}" for name in figures)
    (by_sender,) = query(f"select {sums}, sum(price) as price from sender_daily")
    (by_run,) = query(f"select {sums}, sum(price) as price from campaign_performance")
    (by_country,) = query(f"select {sums}, sum(price) as price from delivery_by_country")
    assert by_sender == by_run == by_country
    assert by_sender["enqueued"] == 10
    assert by_sender["price"] == 6 * query("select 0.0075 as p")[0]["p"]


def test_a_reply_names_what_it_answers_and_whether_it_opted_out(run_key, query):
    (reply,) = query("select * from inbound_replies")
    assert (reply["run_key"], reply["seconds_after"], reply["opted_out"]) == (run_key, 3600, False)
    query(
        "insert into suppressions (to_number, reason, source) select from_number, 'opt_out', 'inbound:' || message_sid "
        "from inbound_messages"
    )
    assert query("select opted_out from inbound_replies") == [{"opted_out": True}]
