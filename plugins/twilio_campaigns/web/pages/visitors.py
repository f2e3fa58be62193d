"""Who reads a page, and what this person may see and do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request


class AnonymousError(Exception):
    """Nobody is logged in, or no longer."""


class Visitor(Protocol):
    """Somebody who is logged in. Every method may ask a database: call it in a thread."""

    @property
    def name(self) -> str:
        """What is kept with a run that this person steers."""
        ...

    def readable(self, dag_ids: Iterable[str]) -> set[str]:
        """Give those of these DAGs that the person may read."""
        ...

    def may_steer(self, dag_id: str) -> bool:
        """Whether the person may edit the DAG, and so pause, resume and stop its runs."""
        ...

    def edits_connections(self) -> bool:
        """Whether the person may edit connections, and so sees whole numbers and texts."""
        ...


class Login(Protocol):
    """The door: who comes, and where one logs in."""

    async def visitor(self, request: Request) -> Visitor:
        """Tell who sent a request.

        :raises AnonymousError: when nobody is logged in.
        """
        ...

    def login_url(self, request: Request) -> str:
        """Give where to log in, and come back to this request's page."""
        ...
