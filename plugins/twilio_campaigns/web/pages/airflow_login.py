"""Airflow's login and permissions.

The only file that imports what Airflow does not call public (``airflow.api_fastapi``): apps that plugins mount have
no authentication of their own, and the UI's is the one that people have. Tried with Airflow 3.3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagDetails
from airflow.api_fastapi.core_api.security import bearer_scheme, get_user
from airflow.models.dag import DagModel
from fastapi import HTTPException

from twilio_campaigns.web.pages.visitors import AnonymousError, Visitor

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
    from starlette.requests import Request


class AirflowLogin:
    """Takes whom Airflow takes: its cookie, or a token of its API."""

    async def visitor(self, request: Request) -> Visitor:
        """Tell who sent a request.

        :raises AnonymousError: when nobody is logged in, or no longer.
        """
        try:
            return AirflowVisitor(await get_user(request, None, await bearer_scheme(request)))
        except HTTPException:
            raise AnonymousError from None

    def login_url(self, request: Request) -> str:
        """Give Airflow's login, whatever its auth manager is, and back to this request's page afterwards."""
        root = request.scope.get("app_root_path", "")
        path = request.scope["path"] + (f"?{request.url.query}" if request.url.query else "")
        return f"{root}/api/v2/auth/login?{urlencode({'next': path})}"


class AirflowVisitor:
    """One of Airflow's users.

    :param user: as Airflow knows it.
    """

    def __init__(self, user: BaseUser) -> None:
        self._user = user

    @property
    def name(self) -> str:
        """The name that Airflow shows."""
        return self._user.get_name()

    def readable(self, dag_ids: Iterable[str]) -> set[str]:
        """Give those of these DAGs that the person may read; a DAG whose file is gone counts, too."""
        teams: dict[str | None, set[str]] = {}
        of = sorted(set(dag_ids))
        team_of = DagModel.get_dag_id_to_team_name_mapping(of)
        for dag_id in of:
            teams.setdefault(team_of.get(dag_id), set()).add(dag_id)
        found: set[str] = set()
        for team, ids in teams.items():
            found |= _manager().filter_authorized_dag_ids(dag_ids=ids, user=self._user, method="GET", team_name=team)
        return found

    def may_steer(self, dag_id: str) -> bool:
        """Whether the person may edit the DAG."""
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
        return _manager().is_authorized_dag(method="PUT", details=details, user=self._user)

    def edits_connections(self) -> bool:
        """Whether the person may edit connections."""
        return _manager().is_authorized_connection(method="PUT", user=self._user)


def _manager() -> BaseAuthManager[BaseUser]:
    return get_auth_manager()
