"""What a campaign, a message and a status are. Pure: no Airflow, no SQL, no HTTP."""
