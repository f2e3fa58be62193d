"""Writes the pages of docs/ that say what the code says: `make references`.

`campaign-files.md` from the models, `settings.md` from the settings, `mistakes.md` from the table of mistakes of the
tests, with the answers of the code itself.
"""

from __future__ import annotations

import re
import sys
import tempfile
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.local.environment import ROOT
from tests.bad_input.mistakes import FILES, Mistake, mistakes
from twilio_campaigns.domain.file_review import review
from twilio_campaigns.domain.file_schemas import json_schemas
from twilio_campaigns.domain.settings import PREFIX, Settings
from twilio_campaigns.hooks.segment_review import review_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCS = ROOT / "docs"
Schema = dict[str, Any]

CAMPAIGNS_HEAD = """# Campaign files

Every field of the files below `include/`, from the models that read them. Written by `make references`; a test
compares it. Editors show the same while you type, if the first line of a file names the schema:

```yaml
# yaml-language-server: $schema=../campaign.schema.json
```

`twilio-campaigns validate` checks every file, [mistakes](mistakes.md) shows what it says, and
`twilio-campaigns preview CAMPAIGN` shows who would get what. Durations are written `90s`, `30m`, `1h`, `1h30m`, `2d` or
`PT90M`. Unknown keys are errors.
"""
SETTINGS_HEAD = f"""# Settings

Environment variables of the workers, the scheduler, the triggerer and the API server: set them alike everywhere. The
defaults are right for production. Durations are written `90s`, `15m`, `4h` or `4d`; lists are comma separated. A
variable that begins with `{PREFIX}` and is none of these is an error that names it. Written by
`make references` from `domain/settings.py`; a test compares it.

| variable | default | meaning |
|---|---|---|
"""
MISTAKES_HEAD = """# Mistakes in files, and what validate says

`twilio-campaigns validate` reads every campaign file, `senders.yaml`, the SQL files and the data files of segments. It
names file, line and field of whatever is wrong, all at once, and what to do; exit code 1 makes a CI job fail.
`--format json` is for programs.

```
twilio-campaigns validate                 # include/ of the current folder; --include names another one
twilio-campaigns validate --strict        # advice counts as an error
twilio-campaigns validate --no-data       # CSV and Parquet files are not there yet
twilio-campaigns validate --connections   # the connections that campaigns name must be in the environment
```

*Advice* is about what works and hardly does what was meant: Airflow loads such a campaign. A mistake in a data file or
in a column shows when the campaign runs. Anything else keeps the campaign from becoming a DAG; Airflow then shows the
same lines as an import error, and all other campaigns go on.

Each of these is tried by a test (`tests/bad_input/mistakes.yaml`), from which `make references` writes this page with
the code's own answers. The lines shown are wrong, and the rest of the files is good:
"""
SECTIONS = (
    (
        "message",
        "Message",
        "What is sent. Every text is a Jinja template over the segment's columns and `campaign_id`.",
    ),
    ("audience", "AudienceRules", "Who is left out, and how local numbers are read."),
    ("circuit_breaker", "CircuitBreaker", "When a run pauses itself, so that somebody looks first."),
)


def pages() -> dict[Path, str]:
    """Give the text of every page by its file."""
    return {
        DOCS / "campaign-files.md": campaign_files(),
        DOCS / "settings.md": settings(),
        DOCS / "mistakes.md": mistakes_page(),
    }


def campaign_files() -> str:
    """Give the reference of campaign files and senders.yaml."""
    campaign, senders = json_schemas()["campaign.schema.json"], json_schemas()["senders.schema.json"]
    known = campaign["$defs"]
    lines = [CAMPAIGNS_HEAD, "## A campaign\n", "`include/campaigns/<campaign_id>.yaml`\n", *_table(campaign)]
    lines += [
        "\n## segment\n",
        "Where the recipients come from, one row each. Further columns are the message's variables.\n",
    ]
    lines += ["### A query\n", *_table(known["SqlSegment"]), "\n### A file\n", *_table(known["FileSegment"])]
    for name, model, says in SECTIONS:
        lines += [f"\n## {name}\n", f"{says}\n", *_table(known[model])]
    lines += ["\n## Senders\n", "`include/senders.yaml`: who sends. Each key is the name of a profile.\n"]
    return "\n".join([*lines, *_table(senders["additionalProperties"]), ""])


def settings() -> str:
    """Give the reference of the environment variables."""
    says = dict(re.findall(r":param (\w+): (.*?)(?=\n\s*:param|\Z)", Settings.__doc__ or "", re.DOTALL))
    rows = []
    for name, field in Settings.model_fields.items():
        meaning = " ".join(says[name].split()).replace("``", "`")
        rows.append(f"| `{PREFIX}{(field.alias or name).upper()}` | {_setting(field.default)} | {_sentence(meaning)} |")
    return SETTINGS_HEAD + "\n".join(rows) + "\n"


def mistakes_page() -> str:
    """Give the table of mistakes with the code's answers."""
    lines = [MISTAKES_HEAD]
    for name in ("campaigns/spring.yaml", "senders.yaml", "segments/vip.csv"):
        kind = name.rpartition(".")[2]
        lines.append(f"```{kind if kind == 'yaml' else 'text'}\n# include/{name}\n{FILES[name]}```\n")
    for group, found in groupby(mistakes(), key=lambda mistake: mistake.group):
        lines.append(f"## {group}\n\n| mistake | written | answer |\n|---|---|---|")
        lines += [f"| {mistake.title} | {_written(mistake)} | {_answer(mistake)} |" for mistake in found]
        lines.append("")
    return "\n".join(lines)


def _answer(mistake: Mistake) -> str:
    with tempfile.TemporaryDirectory() as folder:
        include = Path(folder) / "include"
        mistake.write(include)
        loaded, found = review(include)
        found += (finding for finding, _ in review_data(loaded, include))
    place = f"include/{mistake.at}: "
    (said,) = (finding for finding in found if finding.startswith(place))
    return f"{'*Advice.* ' if said.advice else ''}{_code(said.removeprefix('include/'))}"


def _written(mistake: Mistake) -> str:
    return f"{_code(mistake.file)}:<br>{_code(mistake.new)}" if mistake.file else _code(mistake.new)


def _code(text: str) -> str:
    """Show lines in a cell of a table."""
    lines = [line.replace("|", "\\|") for line in text.expandtabs(4).strip("\n").split("\n") if line]
    return "<br>".join(map(_line, lines)) or "*nothing*"


def _line(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text.replace(' ', _NBSP, len(text) - len(text.lstrip(' ')))}`"


#: Else a browser swallows what stands at the beginning of a line.
_NBSP = "\u00a0"


def _table(schema: Schema) -> Iterator[str]:
    required = schema.get("required", [])
    yield "| field | type | default | meaning |\n|---|---|---|---|"
    for name, field in schema["properties"].items():
        kind, default = _kind(field), _default(field)
        if name in required:
            default = "*required*"
        yield f"| `{name}` | {kind} | {default} | {_sentence(field['description'])}{_examples(field)} |"


def _kind(field: Schema) -> str:
    options = [option for option in field.get("anyOf", field.get("oneOf", [field])) if option.get("type") != "null"]
    return " or ".join(dict.fromkeys(_word({**field, **option}) for option in options))


def _word(field: Schema) -> str:
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if "$ref" in field:
        return "mapping, see below"
    if field.get("pattern", "").endswith("^P"):
        return "duration"
    kind = str(field.get("type"))
    return _KINDS[kind if "format" not in field else str(field["format"])](field)


def _bounds(field: Schema) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {field[name]:,}" for name, sign in signs.items() if name in field]
    return f" {', '.join(bounds)}" if bounds else ""


_KINDS: dict[str, Callable[[Schema], str]] = {
    "string": lambda _: "text",
    "date-time": lambda _: "date and time",
    "boolean": lambda _: "`true`, `false`",
    "integer": lambda field: f"whole number{_bounds(field)}",
    "number": lambda field: f"number{_bounds(field)}",
    "array": lambda field: f"list of texts{', at most ' + str(field['maxItems']) if 'maxItems' in field else ''}",
    "object": lambda _: "mapping of texts",
}


def _default(field: Schema) -> str:
    default = field.get("default")
    if default is None or default in ("", [], {}):
        return ""
    if isinstance(default, dict):
        return "as below"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str) and re.fullmatch(r"P.*\d.*", default):
        return f"`{_duration(default)}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _duration(iso: str) -> str:
    days, hours, minutes = (re.search(pattern, iso) for pattern in (r"(\d+)D", r"(\d+)H", r"(\d+)M"))
    return "".join(f"{found[1]}{unit}" for found, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if found)


def _examples(field: Schema) -> str:
    found = field.get("examples", [])
    if not found or field.get("pattern", "").endswith("^P"):
        return ""
    return f" Such as {', '.join(f'`{example}`' for example in found)}."


def _sentence(text: str) -> str:
    text = text.strip().rstrip(".") + "."
    begins = text if "_" in text.split()[0] else text[0].upper() + text[1:]
    return begins.replace("|", "\\|")


def _setting(value: object) -> str:
    if value is None or value == ():
        return ""
    if isinstance(value, tuple):
        return f"`{','.join(_plain(item) for item in value)}`"
    return f"`{_plain(value)}`"


def _plain(value: object) -> str:
    if not isinstance(value, timedelta):
        return str(value)
    seconds = value.total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def main() -> int:
    """Write the pages anew."""
    for file, text in pages().items():
        file.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
