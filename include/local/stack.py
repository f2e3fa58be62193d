"""Bringing a stack up and down; `make up` and `make down`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import httpx

from include.local import postgres
from include.local.airflow_api import AirflowApi
from include.local.demo_data import fill_customers
from include.local.environment import BIN, LOCAL, ROOT, USER, Stack
from include.local.processes import Processes, StackError, python, run

if TYPE_CHECKING:
    from collections.abc import Callable

#: `make up`: messages live 60 times as fast as in reality, so that a morning shows what four days do.
UP_SIMULATOR = {"life-speed": "60"}
UP_SETTINGS = {"MAX_WAIT": "60s"}
#: Of shortened links; nobody's, so that none leads anywhere (RFC 2606).
LINK_DOMAIN = "go.example.com"
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")


def processes_of(stack: Stack) -> Processes:
    """Give the stack's processes."""
    return Processes(stack.folder / "pids", stack.logs, stack.environ())


def api_of(stack: Stack) -> AirflowApi:
    """Give a client of the stack's Airflow."""
    return AirflowApi(stack.ui_url, USER, stack.secrets["password"])


def start(stack: Stack, tell: Callable[[str], None]) -> AirflowApi:
    """Start everything that does not run yet, and wait until Airflow is healthy.

    :param tell: called with each phase as it begins.
    :raises StackError: if something does not come up.
    """
    tell("PostgreSQL")
    postgres.start(stack)
    environ, processes = stack.environ(), processes_of(stack)
    stack.write_password()
    tell("Airflow's and our tables")
    run([str(BIN / "airflow"), "db", "migrate"], environ)
    run([str(BIN / "twilio-campaigns"), "upgrade", "--database-url", stack.database_url("warehouse")], environ)
    tell("customers")
    fill_customers(stack.database_url("warehouse"))
    tell("Twilio simulator")
    start_simulator(stack)
    tell("Airflow")
    for component in COMPONENTS:
        start_component(processes, component)
    api = api_of(stack)
    _wait(api.is_healthy, processes, "Airflow", 120)
    api.login()
    return api


def start_component(processes: Processes, component: str) -> None:
    """Start one of Airflow's components unless it runs."""
    processes.start(component, [str(BIN / "airflow"), component])


def start_simulator(stack: Stack) -> None:
    """Start the simulated Twilio unless it runs, and wait until it answers."""
    processes = processes_of(stack)
    processes.start("simulator", _simulator(stack))
    wait_for(f"{stack.simulator_url}/_simulator/stats", processes, "the simulator", 30)


def wait_for(url: str, processes: Processes, what: str, patience: float) -> None:
    """Wait until an address answers.

    :raises StackError: with the ends of the logs if it does not within so many seconds, or a process ends.
    """
    _wait(lambda: _answers(url), processes, what, patience)


def stop(stack: Stack) -> None:
    """Stop everything that the stack started."""
    processes_of(stack).stop_all()
    postgres.stop(stack)


def _simulator(stack: Stack) -> list[str]:
    options = {
        "port": str(stack.simulator_port),
        "inbound-url": f"{stack.webhooks_url}/inbound",
        "link-domain": LINK_DOMAIN,
        "click-url": f"{stack.webhooks_url}/click",
        **stack.simulator_options,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [python(), "-m", "twilio_campaigns.simulator", *words]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).is_success
    except httpx.HTTPError:
        return False


def _wait(ready: Callable[[], bool], processes: Processes, what: str, patience: float) -> None:
    until = time.monotonic() + patience
    while not ready():
        processes.check()
        if time.monotonic() > until:
            tails = "\n".join(f"{name}:\n{processes.tail(name)}" for name in processes.names())
            raise StackError(f"{what} did not come up within {patience:.0f} s. The ends of the logs:\n{tails}")
        time.sleep(0.3)


def up() -> None:
    """Start the stack of `make up` and say where it is."""
    stack = Stack.load_or_make(LOCAL / "up", simulator_options=UP_SIMULATOR, settings=UP_SETTINGS)
    api = start(stack, lambda phase: print(f"  {phase} …", flush=True))  # noqa: T201 - the user reads it
    api.wait_for_dags({"reconcile_messages", "reconcile_audit", "warehouse_upgrade"})
    for dag in ("reconcile_messages", "reconcile_audit"):
        api.unpause(dag)
    stack.write_shell_file()
    speed = stack.simulator_options["life-speed"]
    print(  # noqa: T201 - the same
        f"\nAirflow    {stack.ui_url}  (user {USER}, password {stack.secrets['password']})\n"
        f"Twilio     {stack.simulator_url}  (simulated; messages live {speed} times as fast)\n"
        f"Warehouse  psql '{stack.database_url('warehouse')}'\n"
        f"Logs       {stack.logs}\n"
        f"Commands   source {stack.shell_file.relative_to(ROOT)}, then twilio-campaigns status\n\n"
        "Nothing is sent by itself: unpause and trigger a campaign in the UI. `make down` stops everything and keeps\n"
        "the data."
    )


def down() -> None:
    """Stop the stack of `make up`."""
    if not (LOCAL / "up" / "stack.json").exists():
        print("Nothing was started by `make up`.")  # noqa: T201 - the user reads it
        return
    stack = Stack.load_or_make(LOCAL / "up", simulator_options=UP_SIMULATOR, settings=UP_SETTINGS)
    stop(stack)
    stack.shell_file.unlink(missing_ok=True)
    print("Stopped. The data stay in .local/up, the simulated Twilio forgets its messages.")  # noqa: T201 - the same


def main(arguments: list[str]) -> int:
    """Run one command."""
    commands = {"up": up, "down": down}
    if len(arguments) != 1 or arguments[0] not in commands:
        print("usage: python -m include.local.stack up|down", file=sys.stderr)  # noqa: T201 - the same
        return 2
    try:
        commands[arguments[0]]()
    except StackError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the same
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
