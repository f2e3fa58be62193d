"""SMS and MMS campaigns over Twilio for Apache Airflow, with every message's fate in the warehouse."""

__version__ = "0.1.0"
