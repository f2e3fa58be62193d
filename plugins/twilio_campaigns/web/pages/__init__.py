"""The pages that people read in Airflow: campaigns, runs, messages, health."""
