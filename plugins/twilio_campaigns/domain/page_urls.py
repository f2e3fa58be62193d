"""Where the pages are: what links from tasks, alerts and other pages lead to. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, urlsplit

#: Where Airflow mounts our app.
MOUNT: Final = "/twilio"
#: Name of the page in Airflow's navigation: ``/plugin/<route>`` is its frame, and what follows is the page in it.
ROUTE: Final = "campaigns"


def campaigns_path() -> str:
    """Give the path of all campaigns, below the mount."""
    return "/campaigns"


def campaign_path(campaign_id: str) -> str:
    """Give the path of one campaign, below the mount."""
    return f"/campaigns/{quote(campaign_id, safe='')}"


def run_path(run_key: str) -> str:
    """Give the path of one run, below the mount; the slash of a run's key stays one."""
    return f"/runs/{quote(run_key, safe='/')}"


def dag_path(dag_id: str, dag_run_id: str | None = None) -> str:
    """Give the path that finds the campaign of a DAG, or the run of a DAG run, below the mount."""
    run = "" if dag_run_id is None else f"/runs/{quote(dag_run_id, safe='')}"
    return f"/dags/{quote(dag_id, safe='')}{run}"


def message_path(message: str) -> str:
    """Give the path of one message's timeline, below the mount.

    :param message: its SID or its key.
    """
    return f"/messages/{quote(message, safe='')}"


def framed(base_url: str, path: str) -> str:
    """Give the address of a page within Airflow, with Airflow's navigation beside it.

    :param base_url: Airflow's ``[api] base_url``; empty for an address without host.
    :param path: below the mount, as the functions above give it.
    """
    # The frame opens what follows the route from the host's root on: Airflow's own prefix has to stand there again.
    own = urlsplit(base_url).path.rstrip("/")
    return f"{base_url.rstrip('/')}/plugin/{ROUTE}{own}{MOUNT}{path}"


def campaign_url(base_url: str, campaign_id: str) -> str:
    """Give the address of a campaign within Airflow."""
    return framed(base_url, campaign_path(campaign_id))


def run_url(base_url: str, run_key: str) -> str:
    """Give the address of a run within Airflow."""
    return framed(base_url, run_path(run_key))


def dag_run_url(base_url: str, dag_id: str, dag_run_id: str) -> str:
    """Give the address of the run that a DAG run made, within Airflow."""
    return framed(base_url, dag_path(dag_id, dag_run_id))


def message_url(base_url: str, message: str) -> str:
    """Give the address of a message's timeline within Airflow.

    :param message: its SID or its key.
    """
    return framed(base_url, message_path(message))
