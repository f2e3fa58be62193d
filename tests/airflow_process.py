"""A real Airflow in a process of its own, with a metadata database of its own, asked line by line."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

# It reads requests from its standard input and answers each one on its standard output; everything else that is said
# goes to standard error.
AIRFLOW = '''
import json, os, sys, time
from datetime import datetime

sys.modules["twilio_campaigns.simulator"] = None  # nothing may need it

answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

from airflow import settings
from airflow.dag_processing.dagbag import DagBag
from airflow.models.xcom import XComModel

bags = [DagBag(folder, bundle_path=folder) for folder in sys.argv[1:]]
dags = {name: dag for bag in bags for name, dag in bag.dags.items()}
heavy = {"pandas", "numpy", "pyarrow", "twilio.rest.api"} & set(sys.modules)
errors = {str(file): error for bag in bags for file, error in bag.import_errors.items()}
print(json.dumps({"dags": sorted(dags), "heavy": sorted(heavy), "errors": errors}), file=answers)


def told(run):
    tasks = {}
    for task in sorted(run.get_task_instances(), key=lambda task: task.map_index):
        tasks.setdefault(task.task_id, []).append(str(task.state))
    with settings.Session() as session:
        xcoms = [str(row.value) for row in session.query(XComModel).filter_by(run_id=run.run_id, dag_id=run.dag_id)]
    return {"run_id": run.run_id, "state": str(run.state), "tasks": tasks, "xcoms": xcoms}


def test(dag_id, logical_date):
    """Run a DAG once, every task in this process."""
    return told(dags[dag_id].test(logical_date=datetime.fromisoformat(logical_date)))


def get(path):
    """Ask the real API server, as a logged-in person."""
    from fastapi.testclient import TestClient

    if not hasattr(get, "client"):
        from airflow.api_fastapi.app import create_app

        get.client = TestClient(create_app("core"))
        token = get.client.get("/auth/token").json()["access_token"]
        get.client.headers["Authorization"] = f"Bearer {token}"
    answer = get.client.get(path)
    return {"status": answer.status_code, "body": answer.json()}


def unpause(dag_ids):
    """Let DAGs run by themselves; before that Airflow keeps no asset event for them."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from airflow.models.dag import DagModel

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    for bundle in manager.get_all_dag_bundles():
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
        sync_bag_to_db(bag, bundle.name, bundle.version)
    with settings.Session() as session:
        for model in session.query(DagModel).filter(DagModel.dag_id.in_(dag_ids)):
            model.is_paused = False
        session.commit()


def schedule(dag_ids):
    """Let the real scheduler run what is due; give the runs of these DAGs, which nobody triggers."""
    from airflow.executors.base_executor import BaseExecutor
    from airflow.jobs.job import Job, run_job
    from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
    from airflow.models.dagrun import DagRun
    from airflow.sdk.execution_time.supervisor import run_task_in_process

    class InThisProcess(BaseExecutor):
        """Runs tasks one after the other, where `LocalExecutor` would start processes and want a server."""

        def _process_workloads(self, workloads):
            for workload in workloads:
                self.queued_tasks.pop(workload.ti.key, None)
                run_task_in_process(ti=workload.ti, task=dags[workload.ti.dag_id].task_dict[workload.ti.task_id])
                self.success(workload.ti.key)

        def sync(self):
            pass

        def end(self):
            pass

        def terminate(self):
            pass

    found, until = [], time.monotonic() + 90
    while time.monotonic() < until:
        executor = InThisProcess(parallelism=4)
        runner = SchedulerJobRunner(Job(), num_runs=6, scheduler_idle_sleep_time=0, executors=[executor])
        run_job(runner.job, execute_callable=runner._execute)
        with settings.Session() as session:
            runs = session.query(DagRun).filter(DagRun.dag_id.in_(dag_ids)).order_by(DagRun.id)
            found = [{"dag_id": run.dag_id, "run_type": str(run.run_type), **told(run)} for run in runs]
        if {run["dag_id"] for run in found if run["state"] == "success"} == set(dag_ids):
            break
        time.sleep(0.5)
    return found


def events(name):
    """Give what the events of an asset told, the oldest first."""
    from airflow.models.asset import AssetEvent, AssetModel

    with settings.Session() as session:
        rows = session.query(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
        return [row.extra for row in rows.filter(AssetModel.name == name).order_by(AssetEvent.id)]


for line in sys.stdin:
    asked = json.loads(line)
    os.environ.update(asked["environ"])
    print(json.dumps({"answer": globals()[asked["do"]](**asked["arguments"])}, default=str), file=answers)
os._exit(0)  # threads of Airflow's may be left
'''


class Airflow:
    """Runs DAGs with `dag.test()`; the process is started once, because its first run takes seconds.

    :param home: `AIRFLOW_HOME`.
    :param folders: of DAGs.
    """

    def __init__(self, home, folders, **environ):
        self.log = home / "log"
        bundles = [
            {
                "name": Path(folder).name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder)},
            }
            for folder in folders
        ]
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "TWILIO"))},
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            **environ,
        }
        airflow = Path(sys.executable).parent / "airflow"
        subprocess.run([airflow, "db", "migrate"], env=environ, check=True, capture_output=True)
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", AIRFLOW, *map(str, folders)],
                env=environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.parsed = self._answer()

    def test(self, dag_id, logical_date, environ):
        """Run a DAG once; give its run's id and state, the states of its tasks, and every XCom."""
        return self.ask("test", environ, dag_id=dag_id, logical_date=logical_date.isoformat())

    def ask(self, do, environ=None, **arguments):
        """Let the process do something, and give its answer.

        :param do: one of its functions.
        """
        request = {"do": do, "environ": environ or {}, "arguments": arguments}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._answer()["answer"]

    def _answer(self):
        watchdog = threading.Timer(120, self._process.kill)
        watchdog.start()
        line = self._process.stdout.readline()
        watchdog.cancel()
        assert line, self.log.read_text("utf-8")[-4000:]
        return json.loads(line)

    def stop(self):
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.stdout.close()
