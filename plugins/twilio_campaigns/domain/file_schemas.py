"""JSON Schemas of the files that people edit, for their editors; generated from the models.

``python -m twilio_campaigns.domain.file_schemas <include folder>`` writes them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twilio_campaigns.domain.campaign import Campaign
from twilio_campaigns.domain.sender import SenderProfile

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schemas() -> dict[str, dict[str, Any]]:
    """Schemas by the name of their file below ``include/``."""
    return {
        "campaign.schema.json": _campaign_schema(),
        "senders.schema.json": _senders_schema(),
    }


def write_schemas(include: Path) -> list[Path]:
    """Write the schemas into the include folder.

    :return: the files written.
    """
    written = []
    for name, schema in json_schemas().items():
        path = include / name
        path.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(path)
    return written


def _campaign_schema() -> dict[str, Any]:
    schema = Campaign.model_json_schema()
    # In a file the sender is the name of a profile, and the campaign's id defaults to the file's name.
    schema["properties"]["sender"] = {
        "type": "string",
        "title": "Sender",
        "description": schema["properties"]["sender"]["description"],
    }
    schema["required"].remove("campaign_id")
    del schema["$defs"]["SenderProfile"]
    sql = schema["$defs"]["SqlSegment"]
    sql["oneOf"] = [{"required": ["sql"]}, {"required": ["query"]}]
    for definition in (schema, *schema["$defs"].values()):
        # Docstrings speak to people who write Python.
        definition.pop("description", None)
    return {"$schema": _DRAFT, **schema, "title": "Campaign"}


def _senders_schema() -> dict[str, Any]:
    profile = SenderProfile.model_json_schema()
    profile.pop("description", None)
    # In a file the name is the key above the profile.
    del profile["properties"]["name"]
    profile["required"].remove("name")
    if not profile["required"]:
        del profile["required"]
    profile["oneOf"] = [{"required": ["messaging_service_sid"]}, {"required": ["from_number"]}]
    return {
        "$schema": _DRAFT,
        "title": "Sender profiles by name",
        "type": "object",
        "additionalProperties": profile,
    }


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():  # noqa: PLR2004 - the program and the folder
        sys.exit("Give the include folder: python -m twilio_campaigns.domain.file_schemas include")
    write_schemas(Path(sys.argv[1]))
