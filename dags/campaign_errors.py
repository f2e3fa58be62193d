"""Makes no Airflow DAG: shows broken campaign files as an import error, apart from the good ones.

Airflow does not schedule the DAGs of a file that has an import error, hence a file of its own.
"""

from twilio_campaigns.dag_builder import include_folder, raise_broken_campaigns

raise_broken_campaigns(include_folder(__file__))
