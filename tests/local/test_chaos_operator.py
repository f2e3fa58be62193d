"""What a service manager does about a scheduler that is alive and schedules nothing."""

import pytest

from include.local import chaos_operator
from include.local.chaos_operator import Operator


class Airflow:
    status = "healthy"

    def request(self, _method, path, **_arguments):
        assert path == "monitor/health"
        return {"scheduler": {"status": self.status}}

    def runs(self, _dag):
        return []


class Processes:
    def __init__(self):
        self.killed = []

    def running(self, name):
        return name

    def kill(self, name, *, whole_session):
        self.killed.append((name, whole_session))
        return [1, 2]


@pytest.mark.parametrize(
    ("status", "seconds", "killed"), [("unhealthy", 61, 1), ("unhealthy", 59, 0), ("healthy", 99, 0)]
)
def test_a_stuck_scheduler_is_killed_with_what_it_started(monkeypatch, status, seconds, killed):
    now = [1000.0]
    monkeypatch.setattr(chaos_operator.time, "monotonic", lambda: now[0])
    airflow, processes, said = Airflow(), Processes(), []
    operator = Operator(airflow, processes, said.append)
    airflow.status = status
    now[0] += seconds
    operator.tick()
    operator.tick()
    assert processes.killed == [("scheduler", True)] * killed
    assert len(said) == killed
