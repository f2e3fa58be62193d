"""The stack's PostgreSQL: started once, stopped by whoever is asked to, wherever its socket had to be."""

import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from include.local import postgres
from include.local.environment import ROOT, Stack

START = """
import sys
from pathlib import Path
from include.local import postgres
from include.local.environment import Stack
postgres.start(Stack.load_or_make(Path(sys.argv[1]), simulator_options={}, settings={}))
"""


@pytest.fixture
def folder():
    """Not below pytest's own folder: started by root, the server runs as another user."""
    with tempfile.TemporaryDirectory(prefix="stack-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def stack_of(folder):
    made = Stack.load_or_make(folder, simulator_options={}, settings={})
    folder.chmod(0o755)
    return made


def answers(stack):
    try:
        psycopg.connect(stack.database_url("warehouse"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_the_process_that_started_it_stops_it(folder):
    stack = stack_of(folder)
    postgres.start(stack)
    assert answers(stack)
    postgres.stop(stack)
    assert not answers(stack)
    assert not (stack.postgres_folder / "postmaster.pid").exists()


def test_another_process_stops_it_and_twice_does_no_harm(folder):
    stack = stack_of(folder)
    subprocess.run([sys.executable, "-c", START, str(folder)], check=True, cwd=ROOT, capture_output=True)
    assert answers(stack)
    postgres.stop(stack)
    postgres.stop(stack)
    assert not answers(stack)


def test_starting_twice_keeps_the_data(folder):
    stack = stack_of(folder)
    try:
        postgres.start(stack)
        with psycopg.connect(stack.database_url("warehouse")) as connection:
            connection.execute("create table kept (n int)")
        postgres.start(stack)
        with psycopg.connect(stack.database_url("warehouse")) as connection:
            assert connection.execute("select count(*) from kept").fetchone() == (0,)
    finally:
        postgres.stop(stack)


def test_a_clone_in_a_deep_folder_finds_its_socket(folder):
    deep = folder / ("deep" * 20) / ("deeper" * 10)
    deep.mkdir(parents=True)
    for parent in (deep, deep.parent):
        parent.chmod(0o755)
    stack = stack_of(deep)
    try:
        postgres.start(stack)
        assert stack.socket_folder != stack.postgres_folder
        assert answers(stack)
    finally:
        postgres.stop(stack)
    assert not answers(stack)
