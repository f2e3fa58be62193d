"""The heart, without Airflow: freeze an audience, send it, reconcile it."""
