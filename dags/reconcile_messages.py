"""The Airflow DAG that follows every message until its fate is known."""

from twilio_campaigns.dag_builder import reconcile_dag

dag = reconcile_dag()
