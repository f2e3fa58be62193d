"""A short `make chaos`: everything is killed once while two campaigns are sent, and nobody is texted twice or never."""

from __future__ import annotations

import secrets

import pytest
from rich.console import Console

from include.local.chaos import Options, run, show

# `make chaos` does the same with ten thousand messages and a hundred kills.
pytestmark = [pytest.mark.system, pytest.mark.long]


def test_whatever_is_killed_everybody_gets_one_message_and_is_accounted_for():
    options = Options(messages=600, kills=14, seed=secrets.randbelow(2**31), pause=1.5, patience=400)
    console = Console()
    result = run(options, console)
    show(result, options, console)
    assert [check for check in result.checks if not check.holds] == []
