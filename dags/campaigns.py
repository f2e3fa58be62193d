"""One Airflow DAG for every readable file of include/campaigns."""

from twilio_campaigns.dag_builder import campaign_dags, include_folder

globals().update(campaign_dags(include_folder(__file__)))
