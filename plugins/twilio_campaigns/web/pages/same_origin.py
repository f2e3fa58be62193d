"""Proof that a form was sent from our own pages.

Whoever is logged in to Airflow carries its cookie, and a stranger's page could make the browser send a form here.
Three things stand against it, each alone enough in a browser of today:

1. Airflow's cookie is ``SameSite=Lax``: no browser adds it to another site's POST.
2. ``Sec-Fetch-Site``, which only browsers set and no script can change: it must be ``same-origin``.
3. Where it is missing (plain HTTP beyond this machine, older browsers), ``Origin`` must name the host that was asked.

A POST with neither header is refused: browsers send one of them, and programs have the command line. The pages'
Content-Security-Policy says ``frame-ancestors 'self'``, so that nobody is made to click in a frame of a stranger.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request


def is_same_origin(request: Request) -> bool:
    """Whether a request comes from a page of the host that it asks."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return bool(origin) and urlsplit(origin).netloc == request.headers.get("host")
