"""The wheel in a bare Airflow, and the plugins folder mounted without any installation.

Both run in processes of their own, with a throw-away ``AIRFLOW_HOME`` and a virtual environment that sees the
dependencies of this one, but not the package.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DISTRIBUTION = "airflow-provider-twilio-campaigns"
#: How the dependencies' folder betrays that this package is installed in it.
TRACES = (
    "airflow_provider_twilio_campaigns",
    "_editable_impl_airflow_provider_twilio_campaigns",
    "twilio_campaigns",
)

LOOK = """
import json, logging, sys, warnings
warnings.simplefilter("ignore")
records = []
class Keep(logging.Handler):
    def emit(self, record):
        records.append(f"{record.name}: {record.getMessage()}")
from importlib.metadata import entry_points
from airflow import plugins_manager
from airflow.providers_manager import ProvidersManager
from airflow.sdk.plugins_manager import _get_plugins as sdk_get_plugins
logging.getLogger().addHandler(Keep(level=logging.WARNING))
logging.getLogger("airflow.providers_manager").addHandler(Keep(level=logging.WARNING))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    manager = ProvidersManager()
    hook = manager.hooks.get("twilio")
    form = {
        info.field_name: {"schema": info.field["schema"], "sensitive": info.is_sensitive}
        for name, info in manager.connection_form_widgets.items() if name.startswith("extra__twilio__")
    }
plugins, _ = plugins_manager._get_plugins()
sdk_plugins, _ = sdk_get_plugins()
import twilio_campaigns, twilio.rest
from twilio_campaigns.hooks.twilio import TwilioHook
from twilio_campaigns.operators.message import TwilioSendMessageOperator
print("RESULT" + json.dumps({
    "plugins": [[plugin.name, str(plugin.source)] for plugin in plugins if plugin.name == "twilio_campaigns"],
    "sdk_plugins": [plugin.name for plugin in sdk_plugins if plugin.name == "twilio_campaigns"],
    "others": [any(plugin.name == "zz_other" for plugin in found) for found in (plugins, sdk_plugins)],
    "import_errors": dict(plugins_manager.get_import_errors()),
    "entry_points": {
        group: [e.name for e in entry_points(group=group) if e.value.startswith("twilio_campaigns")]
        for group in ("airflow.plugins", "apache_airflow_provider", "console_scripts")
    },
    "provider": "airflow-provider-twilio-campaigns" in manager.providers,
    "hook": hook and hook.hook_name,
    "form": form,
    "behaviour": manager.field_behaviours.get("twilio"),
    "warnings": [str(w.message) for w in caught if "wilio" in str(w.message)],
    "log": [line for line in records if "wilio" in line],
    "package": twilio_campaigns.__file__,
    "sdk": twilio.rest.__name__,
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build from a copy: a build must not depend on, or leave, anything in the working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(
        ROOT,
        source,
        ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "*.egg-info", ".local"),
    )
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, source]
    subprocess.run(command, check=True, timeout=300)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A Python that has every dependency of this one, and no trace of the package."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "env", with_pip=False)
    here = Path(sysconfig.get_path("purelib"))
    packages = folder / "packages"
    packages.mkdir()
    for entry in here.iterdir():
        if not entry.name.startswith(TRACES):
            (packages / entry.name).symlink_to(entry)
    for site in (folder / "env" / "lib").glob("python*/site-packages"):
        (site / "dependencies.pth").write_text(f"{packages}\n")
    return folder / "env" / "bin" / "python"


def look(python, home, **environment):
    """What one Airflow process finds."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "TWILIO", "PYTHON", "VIRTUAL_ENV"))
    }
    home.mkdir(exist_ok=True)
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
    done = subprocess.run(
        [python, "-c", LOOK],
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
        cwd=home,
        env=clean | settings | environment,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.rpartition("RESULT")[2])


@pytest.fixture(scope="module")
def installed(wheel, bare, tmp_path_factory):
    """The wheel, installed beside its dependencies."""
    home = tmp_path_factory.mktemp("installed")
    target = home / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, wheel]
    subprocess.run(command, check=True, timeout=120)
    return look(bare, home / "airflow", PYTHONPATH=str(target)), target


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"twilio_campaigns"}
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_wheel_holds_every_file_of_the_package(wheel):
    package = ROOT / "plugins" / "twilio_campaigns"
    here = {
        path.relative_to(package.parent).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"twilio_campaigns/py.typed", "twilio_campaigns/domain/data/twilio_errors.csv"} <= here
    assert any("/warehouse/migrations/" in name for name in here)
    pages = {f"twilio_campaigns/web/pages/{name}" for name in ("templates/run.html", "static/chart.js")}
    assert pages | {"twilio_campaigns/web/pages/static/chart.LICENSE.md"} <= here
    assert here <= set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_does_not_depend_on_a_provider_that_does_not_exist(wheel):
    archive = zipfile.ZipFile(wheel)
    (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    text = archive.read(metadata).decode()
    assert "apache-airflow-providers-twilio" not in "\n".join(
        line for line in text.splitlines() if line.startswith("Requires-Dist")
    )
    assert f"Name: {DISTRIBUTION}" in text


def test_the_bare_environment_is_bare(bare):
    done = subprocess.run([bare, "-c", "import airflow, twilio_campaigns"], capture_output=True, text=True, check=False)
    assert "No module named 'twilio_campaigns'" in done.stderr


def test_installed_the_plugin_comes_once_by_its_entry_point(installed):
    found, target = installed
    assert found["import_errors"] == {}
    assert [name for name, _ in found["plugins"]] == ["twilio_campaigns"]
    assert DISTRIBUTION in found["plugins"][0][1]
    assert found["sdk_plugins"] == ["twilio_campaigns"]
    assert found["entry_points"] == {
        "airflow.plugins": ["twilio_campaigns"],
        "apache_airflow_provider": ["provider_info"],
        "console_scripts": ["twilio-campaigns"],
    }
    assert found["package"].startswith(str(target))
    assert found["sdk"] == "twilio.rest"


def test_installed_the_connection_type_has_its_form(installed):
    found, _ = installed
    assert (found["provider"], found["hook"]) == (True, "Twilio")
    assert list(found["form"]) == [
        "api_key_sid",
        "api_key_secret",
        "region",
        "edge",
        "list_lag_seconds",
        "public_url",
        "previous_auth_token",
        "webhook_shared_key",
    ]
    assert [name for name, field in found["form"].items() if field["sensitive"]] == [
        "api_key_secret",
        "previous_auth_token",
        "webhook_shared_key",
    ]
    assert found["form"]["list_lag_seconds"]["schema"]["title"] == "List lag (seconds)"
    assert found["behaviour"]["relabeling"] == {
        "host": "API base URL",
        "login": "Account SID",
        "password": "Auth Token",
    }
    assert found["behaviour"]["hidden_fields"] == ["schema", "extra"]
    assert (found["warnings"], found["log"]) == ([], [])


def mounted(folder):
    """Copy the plugins folder, with somebody else's plugin in it that loads after ours."""
    shutil.copytree(ROOT / "plugins", folder, ignore=shutil.ignore_patterns("__pycache__"))
    other = """
        from airflow.sdk.plugins_manager import AirflowPlugin

        class Other(AirflowPlugin):
            name = "zz_other"
    """
    (folder / "zz_other_plugin.py").write_text(textwrap.dedent(other))
    return folder


def test_mounted_and_not_installed(bare, tmp_path):
    folder = mounted(tmp_path / "plugins")
    found = look(bare, tmp_path / "airflow", AIRFLOW__CORE__PLUGINS_FOLDER=str(folder))
    assert found["import_errors"] == {}
    assert found["plugins"] == [["twilio_campaigns", "$PLUGINS_FOLDER/twilio_campaigns_plugin.py"]]
    assert found["sdk_plugins"] == ["twilio_campaigns"]
    assert found["package"].startswith(str(folder))
    assert found["others"] == [True, True]
    # Airflow learns of connection types by entry points alone: the hook works, the form is not there.
    assert (found["provider"], found["hook"]) == (False, None)
    # The loader has not put our hooks/twilio.py in the place of Twilio's SDK.
    assert found["sdk"] == "twilio.rest"


def test_mounted_and_installed_registers_once(installed, bare, tmp_path):
    _, target = installed
    folder = mounted(tmp_path / "plugins")
    found = look(bare, tmp_path / "airflow", AIRFLOW__CORE__PLUGINS_FOLDER=str(folder), PYTHONPATH=str(target))
    assert found["import_errors"] == {}
    assert [name for name, _ in found["plugins"]] == found["sdk_plugins"] == ["twilio_campaigns"]
    # A second registration would make the task SDK drop whatever comes after it.
    assert found["others"] == [True, True]
    assert found["package"].startswith(str(target))


def test_every_module_that_the_provider_names_exists():
    import importlib.util

    from twilio_campaigns.provider_info import get_provider_info

    info = get_provider_info()
    named = [
        module
        for kind in ("hooks", "operators", "sensors")
        for entry in info[kind]
        for module in entry["python-modules"]
    ]
    assert len(named) >= 4
    assert [name for name in named if importlib.util.find_spec(name) is None] == []


def test_the_provider_info_follows_airflows_schema():
    import airflow
    import jsonschema

    from twilio_campaigns.provider_info import get_provider_info

    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)
