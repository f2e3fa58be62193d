# The deployment's one image: Airflow with this provider, its DAGs and its campaigns.
FROM apache/airflow:3.3.2-python3.11

COPY --chown=airflow:root requirements.txt pyproject.toml README.md LICENSE /opt/twilio-campaigns/
COPY --chown=airflow:root plugins /opt/twilio-campaigns/plugins

# The lock file decides every version; the package itself brings its entry points.
RUN pip install --no-cache-dir --constraint /opt/twilio-campaigns/requirements.txt \
        "/opt/twilio-campaigns[deploy]"

# A volume that is mounted here begins with this folder's owner.
RUN mkdir --mode=700 /opt/airflow/passwords

COPY --chown=airflow:root dags /opt/airflow/dags
COPY --chown=airflow:root include/senders.yaml include/campaign.schema.json include/senders.schema.json /opt/airflow/include/
COPY --chown=airflow:root include/campaigns /opt/airflow/include/campaigns
COPY --chown=airflow:root include/segments /opt/airflow/include/segments

ENV TWILIO_CAMPAIGNS__INCLUDE=/opt/airflow/include \
    AIRFLOW__CORE__LOAD_EXAMPLES=False
