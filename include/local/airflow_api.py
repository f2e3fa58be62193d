"""Airflow's REST API, as far as the laptop stack needs it."""

from __future__ import annotations

import time
from typing import Any

import httpx

from include.local.processes import StackError


class AirflowApi:
    """A logged-in client.

    :param url: address of the API server.
    :param user: a user of the simple auth manager.
    :param password: its password.
    """

    def __init__(self, url: str, user: str, password: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30)
        self._credentials = {"username": user, "password": password}

    def is_healthy(self) -> bool:
        """Whether API server, scheduler, DAG processor and triggerer are all up."""
        try:
            health = self._client.get("/api/v2/monitor/health").json()
        except (httpx.HTTPError, ValueError):
            return False
        parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return all((health.get(part) or {}).get("status") == "healthy" for part in parts)

    def login(self) -> None:
        """Get a token for everything that follows."""
        answer = self._client.post("/auth/token", json=self._credentials)
        answer.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def request(self, method: str, path: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        """Make one call below `/api/v2`.

        :raises StackError: with Airflow's own words if it refuses.
        """
        answer = self._client.request(method, f"/api/v2/{path}", **arguments)
        if answer.is_error:
            raise StackError(f"Airflow refused {method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    def wait_for_dags(self, dag_ids: set[str], patience: float = 90.0) -> None:
        """Wait until the DAG processor has seen these DAGs.

        :raises StackError: with the import errors if it does not.
        """
        until = time.monotonic() + patience
        while time.monotonic() < until:
            found = {dag["dag_id"] for dag in self.request("GET", "dags")["dags"]}
            if dag_ids <= found:
                return
            time.sleep(0.5)
        errors = self.request("GET", "importErrors")["import_errors"]
        raise StackError(
            "Airflow did not find all DAGs. "
            + ("; ".join(f"{e['filename']}: {e['stack_trace'][-500:]}" for e in errors) or "No import error.")
        )

    def unpause(self, dag_id: str) -> None:
        """Let a DAG's runs start."""
        self.request("PATCH", f"dags/{dag_id}", params={"update_mask": "is_paused"}, json={"is_paused": False})

    def trigger(self, dag_id: str, logical_date: str | None = None) -> str:
        """Start a run; give its id."""
        run: str = self.request("POST", f"dags/{dag_id}/dagRuns", json={"logical_date": logical_date})["dag_run_id"]
        return run

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Give a run's state."""
        state: str = self.request("GET", f"dags/{dag_id}/dagRuns/{run_id}")["state"]
        return state

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Give a DAG's runs."""
        runs: list[dict[str, Any]] = self.request("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]
        return runs

    def failures(self, dag_id: str, run_id: str) -> str:
        """Name a run's failed tasks with the end of their logs."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        tasks = self.request("GET", path)["task_instances"]
        failed = [task for task in tasks if task["state"] in {"failed", "upstream_failed", "up_for_retry"}]
        return "\n".join(f"task {task['task_id']} is {task['state']}\n{self._log(path, task)}" for task in failed)

    def _log(self, path: str, task: dict[str, Any]) -> str:
        try:
            log = self.request(
                "GET",
                f"{path}/{task['task_id']}/logs/{max(1, task['try_number'])}",
                params={"map_index": task["map_index"], "full_content": True},
            )
        except StackError as error:
            return f"  (no log: {error})"
        lines = [str(entry.get("event", entry)) for entry in log["content"][-25:] if isinstance(entry, dict)]
        errors = [str(entry["error_detail"])[-1500:] for entry in log["content"] if entry.get("error_detail")]
        return "\n".join(f"  {line}" for line in [*lines, *errors])
