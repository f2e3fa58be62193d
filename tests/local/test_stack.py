"""What `make up` leaves for whoever wants to run commands."""

import json
import os
import subprocess

from include.local import stack as local
from include.local.environment import Stack

QUOTED = "a 'quoted' value; $(touch made)"


def test_a_shell_that_sources_the_file_has_the_stacks_commands_and_connections(tmp_path):
    stack = Stack.load_or_make(tmp_path, simulator_options={}, settings={"NOTE": QUOTED})
    stack.write_shell_file()
    assert stack.shell_file.stat().st_mode & 0o777 == 0o600
    words = f". {stack.shell_file} && command -v twilio-campaigns && env -0"
    bare = {"PATH": os.defpath}
    said = subprocess.run(["/bin/sh", "-c", words], env=bare, cwd=tmp_path, capture_output=True, text=True, check=True)
    command, _, found = said.stdout.partition("\n")
    assert command == str(local.BIN / "twilio-campaigns")
    environ = dict(line.split("=", 1) for line in found.split("\0") if line)
    for name in ("AIRFLOW_CONN_WAREHOUSE_DEFAULT", "AIRFLOW_CONN_TWILIO_DEFAULT", "AIRFLOW_HOME"):
        assert environ[name] == stack.environ()[name]
    assert json.loads(environ["AIRFLOW_CONN_TWILIO_DEFAULT"])["host"] == stack.simulator_url
    assert environ["TWILIO_CAMPAIGNS__NOTE"] == QUOTED
    assert environ["PATH"].endswith(os.defpath)


def test_it_is_gone_with_the_stack(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(local, "LOCAL", tmp_path)
    stack = Stack.load_or_make(tmp_path / "up", simulator_options={}, settings={})
    stack.write_shell_file()
    local.down()
    assert "Stopped." in capsys.readouterr().out
    assert not stack.shell_file.exists()
