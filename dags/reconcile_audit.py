"""The Airflow DAG that compares the ledger of every closed day with Twilio's list."""

from twilio_campaigns.dag_builder import audit_dag

dag = audit_dag()
