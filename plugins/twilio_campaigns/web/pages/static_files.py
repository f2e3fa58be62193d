"""Style sheet, scripts and the chart library, under addresses that change with their content."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Final

from starlette.responses import Response

#: Content type by ending.
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
}
#: The address changes with the content: a browser never has to ask again.
_FOR_EVER: Final = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
_FOR_AN_HOUR: Final = {**_FOR_EVER, "Cache-Control": "public, max-age=3600"}


@lru_cache(maxsize=1)
def contents() -> dict[str, bytes]:
    """Give every file of folder ``static``, by name; read once."""
    folder = files("twilio_campaigns.web.pages") / "static"
    return {file.name: file.read_bytes() for file in folder.iterdir() if _ending(file.name) in _TYPES}


@lru_cache(maxsize=64)
def static_path(name: str) -> str:
    """Give a file's path below the mount.

    :raises KeyError: when there is no such file.
    """
    return f"/static/{hashlib.sha256(contents()[name]).hexdigest()[:16]}/{name}"


def serve(path: str) -> Response:
    """Give a file.

    :param path: as :func:`static_path` gives it, or without the part that changes, for who cannot know it.
    """
    name = path.rpartition("/")[2]
    if name not in contents() or path not in {static_path(name), f"/static/{name}"}:
        return Response(status_code=404)
    headers = _FOR_AN_HOUR if path == f"/static/{name}" else _FOR_EVER
    return Response(contents()[name], headers=headers, media_type=_TYPES[_ending(name)])


def _ending(name: str) -> str:
    return name[name.rfind(".") :]
