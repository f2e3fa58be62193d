"""Airflow hooks: connections turned into configured clients."""
