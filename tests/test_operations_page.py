"""The handbook knows every warning and every error that the code can say."""

import ast
import re

import pytest

from conftest import ROOT

PACKAGE = ROOT / "plugins" / "twilio_campaigns"
PAGE = " ".join((ROOT / "docs" / "operations.md").read_text("utf-8").replace("`", "").split())
ERRORS = {"TwilioRejectedError", "TwilioUnavailableError", "RunPausedError", "UnfinishedError", "TransientError"} | {
    "ConfigurationError",
    "AudienceError",
    "AirflowSkipException",
}
#: What people meet at their shell, at once, with the remedy in it.
AT_THE_SHELL = {"cli_audit.py", "cli_reports.py", "steer.py"}


def written(node):
    """The text of a literal, with %s where something is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "%s" for part in node.values)
    return ""


def said():
    """Every message that the code logs as warning or error, or raises."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if "simulator" in path.parts or path.name in AT_THE_SHELL:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            logs = isinstance(node.func, ast.Attribute) and node.func.attr in {"warning", "error", "exception"}
            raises = isinstance(node.func, ast.Name) and node.func.id in ERRORS
            if (logs or raises) and (text := written(node.args[0])):
                yield pytest.param(text, id=f"{path.name}:{node.lineno}")


def landmark(text):
    """The first words of the longest piece between what is put in: what people search for."""
    pieces = [re.split(r"[.;](?:\s|$)", piece)[0].strip(" :.,;1") for piece in re.split(r"%[sdgr]", text)]
    return " ".join(max(pieces, key=len).replace("`", "").split()[:8])


@pytest.mark.parametrize("text", list(said()))
def test_the_handbook_knows_it(text):
    found = landmark(text)
    assert found in PAGE, f"docs/operations.md says nothing about {found!r}"


def test_there_is_much_to_know():
    assert len(list(said())) > 70
