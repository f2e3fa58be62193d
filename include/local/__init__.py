"""The laptop stack: a real Airflow, a real PostgreSQL and a simulated Twilio, without a container engine."""
