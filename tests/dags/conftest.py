"""One Airflow for every test that runs DAGs: its start takes seconds."""

import json
import re
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from airflow_process import Airflow
from builders import ACCOUNT_SID, TOKEN
from include.local.demo_data import fill_customers

ROOT = Path(__file__).parent.parent.parent
HANDMADE = """
from twilio_campaigns.dag_builder import campaign_dag
from twilio_campaigns.domain.campaign import Campaign, Message, SqlSegment
from twilio_campaigns.domain.sender import SenderProfile

dag = campaign_dag(  # an Airflow DAG
    Campaign(
        campaign_id="handmade",
        sender=SenderProfile(name="number", from_number="+15005550006", parts_per_second=500.0),
        segment=SqlSegment(query="select 'c1' as customer_id, '+12025550100' as phone"),
        message=Message(body="By hand."),
    )
)
"""
ONE_MESSAGE = """
from airflow.sdk import DAG

from twilio_campaigns.operators.message import TwilioSendMessageOperator

with DAG("one_message", schedule=None) as dag:
    TwilioSendMessageOperator.partial(task_id="text", from_number="+15005550006", body="Hello").expand(
        to=["+12025550101", "+12025550102", "nobody"]
    )
"""


@pytest.fixture(scope="session")
def airflow(tmp_path_factory):
    """Runs our DAGs, one made in Python, and the examples of docs/airflow.md."""
    written = tmp_path_factory.mktemp("written")
    (written / "handmade.py").write_text(HANDMADE, "utf-8")
    (written / "one_message.py").write_text(ONE_MESSAGE, "utf-8")
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "airflow.md").read_text("utf-8"), re.DOTALL)
    for number, example in enumerate(examples):
        (written / f"example_{number}.py").write_text(example, "utf-8")
    airflow = Airflow(tmp_path_factory.mktemp("airflow"), [ROOT / "dags", written])
    yield airflow
    airflow.stop()


class Site:
    """One warehouse and one Twilio, with the Airflow that works on them."""

    def __init__(self, airflow, url, simulator):
        self.simulator = simulator
        self._airflow = airflow
        self._url = url

    def run(self, dag_id, logical_date, *, variables=None, **twilio):
        """Run a DAG once; changes to the Twilio connection, and variables, are for this and later runs."""
        known = {"conn_type": "twilio", "login": ACCOUNT_SID, "password": TOKEN, "host": self.simulator.url}
        connection = {**known, "extra": {"list_lag_seconds": 0}, **twilio}
        environ = {
            "AIRFLOW_CONN_TWILIO_DEFAULT": json.dumps(connection),
            "AIRFLOW_CONN_WAREHOUSE_DEFAULT": self._url,
            **{f"AIRFLOW_VAR_{name}": value for name, value in (variables or {}).items()},
        }
        return self._airflow.test(dag_id, logical_date, environ)

    def query(self, statement):
        with psycopg.connect(self._url, row_factory=dict_row, options="-c search_path=messaging,demo") as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def states(self):
        rows = self.query("select send_state, count(*) as n from messages group by 1")
        return {row["send_state"]: row["n"] for row in rows}

    def tables(self):
        names = ("messages", "campaign_events", "campaign_runs")
        return [self.query(f"select * from {name} order by 1") for name in names]


@pytest.fixture
def site_on(airflow, simulator):
    """Give the site with another warehouse."""
    return lambda url: Site(airflow, url, simulator)


@pytest.fixture
def site(site_on, database_url):
    fill_customers(database_url, people=200)
    return site_on(database_url)
