"""`make screenshots`: the pages of a real stack as people see them, into `docs/images/`.

Two campaigns are sent through Airflow and followed to their end, as in `make demo`; one run is looked at while it is
sent. A picture that has something sticking out of the page, or an empty chart, fails.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

from include.local import demo, stack
from include.local.browser import Browser, missing
from include.local.environment import LOCAL, ROOT, USER, Stack
from include.local.processes import StackError

IMAGES: Final = ROOT / "docs" / "images"
#: Bytes of a picture at most: they are part of the repository.
LARGEST: Final = 150_000
WIDE: Final = 1280
NARROW: Final = 390
#: Messages that Twilio has when the run is looked at that is being sent.
UNDER_WAY: Final = 1500
#: Seconds for sending, and for reconciling: nobody waits for pictures.
PATIENCE: Final = 600.0
_RUNS: Final = "select campaign_id, run_key from messaging.campaign_runs order by created_at"
_ACCEPTED: Final = "select count(*) from messaging.messages where send_state = 'accepted'"
_FAILED: Final = "select message_sid from messaging.messages where status = 'failed' order by message_key limit 1"


@dataclass(frozen=True)
class Shot:
    """One picture.

    :param name: of the file, and `{}` stands for mode and width.
    :param path: of the page.
    :param looks: mode and width of each picture of it.
    :param most: pixels of its height.
    """

    name: str
    path: str
    looks: tuple[tuple[str, int], ...]
    most: int = 1500


def take(browser: Browser, shot: Shot, folder: Path) -> list[str]:
    """Take the pictures of a page; give what is wrong with them."""
    wrong = []
    for mode, width in shot.looks:
        browser.resize(width)
        browser.set_mode(mode)
        browser.open(shot.path)
        if shot.path.startswith("/plugin/"):
            browser.into_frame()
        browser.find("h1")
        browser.wait(lambda: not browser.driver.find_elements("css selector", "figure:not([data-drawn])"))
        wrong += [f"{shot.name} {mode} {width}: {what}" for what in browser.flaws()]
        browser.driver.switch_to.default_content()
        file = folder / f"{shot.name}-{mode}-{width}.png"
        browser.picture(file, shot.most)
        if file.stat().st_size > LARGEST:
            wrong.append(f"{file.name} has {file.stat().st_size:,} bytes; {LARGEST:,} are the most.")
    return wrong + browser.complaints()


def every_look() -> tuple[tuple[str, int], ...]:
    """Light and dark, wide and narrow."""
    return tuple((mode, width) for width in (WIDE, NARROW) for mode in ("light", "dark"))


def shots_of(runs: dict[str, str], failed_sid: str, *, everything: bool) -> list[Shot]:
    """Name the pictures of a stack whose campaigns are at their end.

    :param runs: the run of each campaign.
    :param failed_sid: a message that was not delivered.
    :param everything: every look of every page, for whoever checks them; else those of the documentation.
    """
    looks = {
        "campaigns-in-airflow": (("light", WIDE), ("dark", WIDE)),
        "campaign": (("light", WIDE), ("dark", NARROW)),
        "run": (("dark", WIDE),),
        "message": (("light", WIDE),),
        "health": (("light", WIDE), ("dark", NARROW)),
    }
    pages = {
        "campaigns-in-airflow": "/plugin/campaigns",
        "campaign": "/twilio/campaigns/spring_sale",
        "run": f"/twilio/runs/{runs['spring_sale']}",
        "message": f"/twilio/messages/{failed_sid}",
        "health": "/twilio/health-page",
    }
    if everything:
        pages |= {
            "campaigns": "/twilio/campaigns",
            "messages": "/twilio/messages?q=nobody",
            "run-messages": f"/twilio/messages?run={quote(runs['product_launch'], safe='')}&state=failed",
        }
    return [Shot(name, path, every_look() if everything else looks[name]) for name, path in pages.items()]


def run(made: Stack, folder: Path, *, everything: bool) -> list[str]:
    """Bring the stack up, send, take every picture; give what is wrong.

    :raises StackError: if the stack does not do what it should.
    """
    progress = demo.Progress()
    api = stack.start(made, progress)
    dags = [f"campaign__{campaign}" for campaign in demo.CAMPAIGNS]
    progress("campaigns become DAGs")
    api.wait_for_dags({*dags, "reconcile_messages"})
    for dag in (*dags, "reconcile_messages"):
        api.unpause(dag)
    progress("a run while it is sent")
    runs = {dag: api.trigger(dag) for dag in dags}
    with Browser(made.ui_url) as browser, psycopg.connect(made.database_url("warehouse"), autocommit=True) as warehouse:
        browser.open("/twilio/campaigns")
        browser.login(USER, made.secrets["password"])
        browser.wait(lambda: (warehouse.execute(_ACCEPTED).fetchone() or (0,))[0] > UNDER_WAY, PATIENCE)
        keys = dict(warehouse.execute(_RUNS).fetchall())
        sending = f"/twilio/runs/{keys['spring_sale']}"
        # The first look has figures made, and the page loads itself anew.
        browser.open(sending)
        browser.wait(lambda: "Figures are being made" not in browser.text(), PATIENCE)
        wrong = take(browser, Shot("run-being-sent", sending, (("light", WIDE),), 900), folder)
        progress("send and reconcile")
        demo.wait_for_runs(api, runs, made, patience=PATIENCE)
        demo.wait_until_settled(api, made, patience=PATIENCE)
        progress("pictures")
        (failed,) = warehouse.execute(_FAILED).fetchone() or ("",)
        for shot in shots_of(keys, failed, everything=everything):
            wrong += take(browser, shot, folder)
    progress.end()
    return wrong


def main(arguments: list[str]) -> int:
    """Take the pictures with a stack of their own, and stop it whatever happens."""
    parser = argparse.ArgumentParser(description="Take pictures of the pages.")
    parser.add_argument("--into", type=Path, default=IMAGES, help="folder of the pictures")
    parser.add_argument("--everything", action="store_true", help="every page, light and dark, wide and narrow")
    options = parser.parse_args(arguments)
    if absent := missing():
        print(absent, file=sys.stderr)  # noqa: T201 - the user reads it
        return 1
    options.into.mkdir(parents=True, exist_ok=True)
    LOCAL.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="screenshots-", dir=LOCAL))
    folder.chmod(0o755)
    made = Stack.load_or_make(folder, simulator_options=demo.SIMULATOR, settings=demo.SETTINGS)
    try:
        wrong = run(made, options.into, everything=options.everything)
    except StackError as error:
        wrong = [str(error), f"Logs: {made.logs}"]
    finally:
        stack.stop(made)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)  # noqa: T201 - the same
        return 1
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
