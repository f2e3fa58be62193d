"""Puts the peers of `bench_webhooks` into Airflow's API server, beside our webhooks, which an entry point announces."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

from airflow.sdk.plugins_manager import AirflowPlugin

from include.local.bench_webhooks_apps import BARE, DATABASE, NOTHING, bare, nothing


class BenchPlugin(AirflowPlugin):
    """Announces the peers to Airflow."""

    name = "bench_webhooks"

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override]  # Airflow reads it from the instance
        """Give the peers' apps."""
        return [
            {"app": bare(os.environ[DATABASE]), "url_prefix": BARE, "name": "bare handler"},
            {"app": nothing(), "url_prefix": NOTHING, "name": "handler that does nothing"},
        ]
