"""Runs another project's reader of Twilio against the simulator; started with that project's own Python.

Knows nothing of this repository: it lives in an environment where nothing of it is installed. What it changes is the
base URL, in the copy that is loaded and nowhere on disk. Arguments: which peer, the URL, a folder with its inputs.
"""

from __future__ import annotations

import json
import pkgutil
import sys
from pathlib import Path
from typing import Any

TWILIO = "https://api.twilio.com"
USAGE = 4  # this file and three arguments


def tap_twilio(url: str, inputs: Path) -> None:
    """Run Singer's tap over its stream `messages`, every field selected."""
    import tap_twilio  # type: ignore[import-not-found]
    from tap_twilio import client, streams
    from tap_twilio.discover import discover  # type: ignore[import-not-found]

    client.API_URL = url
    _replace_urls(streams.STREAMS, url)
    catalog = discover().to_dict()
    for stream in catalog["streams"]:
        if stream["stream"] == "messages":
            for entry in stream["metadata"]:
                entry["metadata"]["selected"] = True
    file = inputs / "catalog.json"
    file.write_text(json.dumps(catalog), "utf-8")
    sys.argv = ["tap-twilio", "--config", str(inputs / "config.json"), "--catalog", str(file)]
    tap_twilio.main()


def airbyte_source_twilio(url: str, inputs: Path) -> None:
    """Run Airbyte's connector; its URLs stand in a manifest that it reads as data of its package."""
    read = pkgutil.get_data

    def get_data(package: str, resource: str) -> bytes | None:
        data = read(package, resource)
        return data.replace(TWILIO.encode(), url.encode()) if data else data

    pkgutil.get_data = get_data
    from source_twilio.run import run  # type: ignore[import-not-found]

    sys.argv = [
        "source-twilio",
        "read",
        "--config",
        str(inputs / "config.json"),
        "--catalog",
        str(inputs / "catalog.json"),
    ]
    run()


def _replace_urls(streams: dict[str, Any], url: str) -> None:
    for stream in streams.values():
        if stream.get("api_url") == TWILIO:
            stream["api_url"] = url
        _replace_urls(stream.get("children", {}), url)


if __name__ == "__main__":
    if len(sys.argv) != USAGE:
        sys.exit(__doc__)
    RUN = {"tap-twilio": tap_twilio, "airbyte-source-twilio": airbyte_source_twilio}[sys.argv[1]]
    RUN(sys.argv[2], Path(sys.argv[3]))
