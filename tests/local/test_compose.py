"""What `docker-compose.yaml`, `Dockerfile` and `.env.example` promise each other."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(:-[^}]*|:\?[^}]*)?\}")


@pytest.fixture(scope="module")
def text():
    return (ROOT / "docker-compose.yaml").read_text("utf-8")


@pytest.fixture(scope="module")
def services(text):
    return yaml.safe_load(text)["services"]


def env_example():
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_it_has_every_part_of_a_deployment(services):
    assert set(services) == {
        "postgres",
        "redis",
        "init",
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
        "worker",
        "simulator",
    }
    assert {name for name, service in services.items() if "profiles" in service} == {"simulator"}


def test_everything_that_stays_says_whether_it_is_healthy(services):
    assert {name for name, service in services.items() if "healthcheck" not in service} == {"init"}


def test_nothing_starts_before_what_it_needs(services):
    for name in ("api-server", "scheduler", "dag-processor", "triggerer", "worker"):
        needs = {other: how["condition"] for other, how in services[name]["depends_on"].items()}
        assert needs == {
            "init": "service_completed_successfully",
            "postgres": "service_healthy",
            "redis": "service_healthy",
        }


def test_workers_can_be_scaled(services):
    worker = services["worker"]
    assert "container_name" not in worker
    assert "ports" not in worker
    assert "hostname" not in worker


def test_the_env_example_names_every_variable_and_no_other(text):
    assert {name for name, _ in VARIABLE.findall(text)} == set(env_example())


def test_no_secret_has_a_value(text):
    assert {name: value for name, value in env_example().items() if value} == {"AIRFLOW_PORT": "8080"}
    defaults = {name for name, rest in VARIABLE.findall(text) if not rest.startswith(":?")}
    assert defaults == {"AIRFLOW_PORT", "SIMULATOR_AUTH_TOKEN"}
    secret = re.compile(r"^\s*[A-Z_]*(?:PASSWORD|SECRET|TOKEN|KEY):\s*(?!\$\{)\S", re.MULTILINE)
    assert secret.findall(text) == []
    assert re.findall(r"://[^:/@\s]*:(?!\$\{)[^@\s]+@", text) == []


def test_the_images_airflow_is_the_locked_one(services):
    airflow = version("apache-airflow")
    assert f"FROM apache/airflow:{airflow}-" in (ROOT / "Dockerfile").read_text("utf-8")
    assert f"apache-airflow=={airflow}\n" in (ROOT / "requirements.txt").read_text("utf-8")
    images = {service["image"] for name, service in services.items() if name not in {"postgres", "redis"}}
    assert images == {f"twilio-campaigns-airflow:{airflow}"}


def test_what_the_image_copies_exists_and_reaches_the_build():
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in ignored if line.startswith("!")}
    copied = [
        word
        for line in (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
        if line.startswith("COPY")
        for word in line.split()[1:-1]
        if not word.startswith("--")
    ]
    assert len(copied) > 6
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert [path for path in copied if path.split("/")[0] not in kept] == []


def test_what_is_mounted_exists(services):
    mounted = [volume.split(":")[0] for volume in services["worker"]["volumes"] if volume.startswith("./")]
    assert len(mounted) > 3
    assert [path for path in mounted if not (ROOT / path).exists()] == []
