"""One database for this folder, emptied after each test: making one anew takes longer than most tests here."""

import psycopg
import pytest


@pytest.fixture(scope="package")
def shared_url(postgres_url, template_database):
    """URL of the folder's database, with our schema."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"create database bad_input template {template_database}")
    yield postgres_url.replace("/postgres?", "/bad_input?", 1)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("drop database bad_input with (force)")


@pytest.fixture
def database_url(shared_url):
    """URL of an empty database with our schema."""
    yield shared_url
    with psycopg.connect(shared_url, autocommit=True) as connection:
        for table in ("messaging.messages", "messaging.audience_staging", "messaging.campaign_runs"):
            connection.execute(f"delete from {table}")
        connection.execute("drop table if exists public.people")
