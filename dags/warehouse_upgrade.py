"""The Airflow DAG that creates and migrates the warehouse's tables."""

from twilio_campaigns.dag_builder import warehouse_upgrade_dag

dag = warehouse_upgrade_dag()
