"""The pages in a real browser, within a real Airflow: log in, look, filter, stop a run; and who gets nothing."""

import asyncio
import shutil
import tempfile
import threading
import time
from pathlib import Path

import httpx
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from builders import campaign, freeze, people, run, sender
from include.local import light, stack
from include.local.browser import Browser, missing
from include.local.environment import ACCOUNT_SID, LOCAL
from told_run import tell_run
from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.engine.send import BatchSender
from twilio_campaigns.gateway.client import TwilioGateway
from twilio_campaigns.gateway.settings import TwilioSettings
from twilio_campaigns.warehouse.connection import Warehouse
from twilio_campaigns.warehouse.insight.refreshing import Summaries

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(missing()), reason=missing())]

#: The run that is stopped while it is sent: it would take a minute and a half.
SLOW = campaign(campaign_id="autumn", sender=sender(name="slow", parts_per_second=20.0))
SLOW_RUN = run(campaign_id="autumn")
PEOPLE = 2000


class Airflow:
    """The stack, its warehouse, and a browser for whoever comes."""

    def __init__(self, made, warehouse):
        self.made = made
        self.warehouse = warehouse
        self.url = made.ui_url

    def query(self, statement, *args):
        with self.warehouse.transaction() as connection:
            cursor = connection.execute(statement, args)
            return cursor.fetchall() if cursor.description else cursor.rowcount

    def token(self, user):
        credentials = {"username": user, "password": self.made.secrets["password"]}
        return httpx.post(f"{self.url}/auth/token", json=credentials).raise_for_status().json()["access_token"]

    def get(self, path, user=None, **headers):
        cookies = {"_token": self.token(user)} if user else {}
        return httpx.get(f"{self.url}{path}", cookies=cookies, headers={"Accept": "text/html", **headers}, timeout=30)

    def post(self, path, user, origin, **fields):
        headers = {"Origin": origin}
        return httpx.post(f"{self.url}{path}", cookies={"_token": self.token(user)}, data=fields, headers=headers)

    def accepted(self):
        (row,) = self.query(
            "select count(*) as n from messages where campaign_id = 'autumn' and message_sid is not null"
        )
        return row["n"]

    def send_slowly(self):
        """Send the slow run in a thread; give it."""
        twilio = TwilioSettings(
            account_sid=ACCOUNT_SID,
            auth_token=self.made.secrets["auth_token"],
            base_url=self.made.simulator_url,
            list_lag_seconds=0,
        )

        async def work():
            async with TwilioGateway(twilio) as gateway:
                await BatchSender(self.warehouse, gateway, SLOW, Settings()).send(SLOW_RUN.run_key, 1)

        thread = threading.Thread(target=lambda: asyncio.run(work()))
        thread.start()
        return thread


@pytest.fixture(scope="module")
def airflow():
    LOCAL.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="pages-", dir=LOCAL))
    folder.chmod(0o755)
    made = light.make(folder)
    try:
        light.start(made)
        with Warehouse(made.database_url("warehouse")) as warehouse:
            found = Airflow(made, warehouse)
            key = tell_run(warehouse, found.query)
            freeze(warehouse, people(PEOPLE, first=3000), of=SLOW, as_run=SLOW_RUN)
            for run_key in (key, SLOW_RUN.run_key):
                Summaries(warehouse).refresh(run_key)
            yield found
    finally:
        stack.stop(made)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def browser(airflow):
    """An administrator's browser, logged in through the form."""
    with Browser(airflow.url) as opened:
        opened.open("/twilio/campaigns")
        opened.login("admin", airflow.made.secrets["password"])
        # The login leads back to where one wanted to go.
        opened.wait(lambda: opened.driver.current_url.endswith("/twilio/campaigns"))
        yield opened


def test_from_airflows_navigation_to_a_filtered_campaign(airflow, browser):
    browser.open("/")
    browser.link("Campaigns").click()
    browser.into_frame()
    assert "spring" in browser.text()
    browser.link("spring").click()
    browser.wait(lambda: "Did it go out?" in browser.text())
    browser.find('figure[data-drawn="true"]')
    Select(browser.find('select[name="country"]')).select_by_value("US")
    browser.wait(lambda: browser.driver.find_elements(By.LINK_TEXT, "Clear"))
    assert "30003 handset unreachable" in browser.text()
    # Airflow's own address bar follows, and may be shared.
    browser.driver.switch_to.default_content()
    browser.wait(lambda: "/plugin/campaigns/twilio/campaigns/spring?country=US" in browser.driver.current_url)
    shared = browser.driver.current_url.removeprefix(airflow.url)
    browser.open(shared)
    browser.into_frame()
    assert Select(browser.find('select[name="country"]')).first_selected_option.text == "US"
    assert browser.complaints() == []


def test_the_mode_is_airflows(browser):
    browser.open("/plugin/campaigns")
    colours = set()
    for mode in ("light", "dark"):
        browser.set_mode(mode)
        browser.open("/plugin/campaigns")
        browser.into_frame()
        browser.find("h1")
        html = browser.driver.find_element(By.TAG_NAME, "html")
        assert html.get_attribute("data-mode") == mode
        colours.add(html.find_element(By.TAG_NAME, "body").value_of_css_property("background-color"))
        browser.driver.switch_to.default_content()
    assert len(colours) == 2


def test_a_message_tells_its_story(browser):
    browser.open("/twilio/messages")
    browser.find('input[name="q"]').send_keys("+1 202 555 0006")
    browser.find("form button").click()
    browser.link(f"SM{6:032x}").click()
    browser.wait(lambda: "What happened" in browser.text())
    story = browser.find("#story").text
    assert story.index("claimed") < story.index("sent") < story.index("failed")
    assert "may work another day" in browser.text()
    assert "555" not in browser.driver.current_url


def test_credentials_are_checked_where_airflow_keeps_them(browser):
    browser.open("/twilio/health-page")
    browser.find("#credentials button").click()
    browser.wait(lambda: "Connected to account" in browser.text())


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_pages_are_clean_on_desks_and_telephones(browser, mode):
    flaws = []
    browser.set_mode(mode)
    for width in (1280, 390):
        browser.resize(width)
        for path in ("campaigns", "campaigns/spring", "runs/spring/2026-11-20", f"messages/SM{6:032x}", "health-page"):
            browser.open(f"/twilio/{path}")
            browser.find("h1")
            flaws += [(path, width, flaw) for flaw in browser.flaws()]
    browser.resize(1280)
    assert flaws == []


def test_a_telephone_shows_first_what_matters(browser):
    browser.resize(390)
    browser.open("/twilio/campaigns")
    assert [head.text for head in browser.driver.find_elements(By.CSS_SELECTOR, "thead th") if head.is_displayed()] == [
        "Campaign",
        "State",
        "Delivered",
        "Open",
    ]
    form = browser.driver.find_element(By.CSS_SELECTOR, "form.filters")
    assert not form.is_displayed()
    browser.resize(1280)
    browser.wait(form.is_displayed)


def test_a_run_that_is_sent_loads_itself_anew_unless_somebody_decides(browser):
    hasten = "const every = window.setInterval; window.setInterval = (act, wait) => every(act, wait / 10);"
    script = browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": hasten})
    look = browser.driver.execute_script
    try:
        browser.open("/twilio/runs/spring/2026-11-20?did=pause")
        browser.wait(lambda: browser.find('button[popovertarget="ask-stop"]').click() or True)
        look("window.before = true")
        time.sleep(2.5)
        assert look("return window.before")
        browser.find('#ask-stop button[popovertargetaction="hide"]').click()
        browser.wait(lambda: not look("return window.before"))
        # What was done is said once.
        assert browser.driver.current_url.endswith("/runs/spring/2026-11-20")
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def test_a_link_to_airflow_leaves_the_frame(browser):
    browser.open("/plugin/campaigns/twilio/campaigns/spring")
    browser.into_frame()
    browser.link("DAG campaign__spring").click()
    browser.driver.switch_to.default_content()
    browser.wait(lambda: "/dags/campaign__spring" in browser.driver.current_url)


def test_stop_ends_a_run_that_is_being_sent(airflow, browser):
    sending = airflow.send_slowly()
    try:
        browser.wait(lambda: airflow.accepted() > 40)
        browser.open(f"/plugin/campaigns/twilio/runs/{SLOW_RUN.run_key}")
        browser.into_frame()
        browser.find('button[popovertarget="ask-stop"]').click()
        dialog = browser.find("#ask-stop")
        assert "will never be sent by this run" in dialog.text
        # Without the tick the browser itself refuses to send the form.
        dialog.find_element(By.CSS_SELECTOR, "button.danger").click()
        assert airflow.query("select state from campaign_runs where campaign_id = 'autumn'") == [{"state": "sending"}]
        dialog.find_element(By.CSS_SELECTOR, 'input[type="checkbox"]').click()
        dialog.find_element(By.CSS_SELECTOR, "button.danger").click()
        browser.wait(lambda: "was stopped for good" in browser.text())
        sending.join(20)
        assert not sending.is_alive()
    finally:
        airflow.query("update campaign_runs set state = 'stopped' where campaign_id = 'autumn' and state = 'sending'")
        sending.join(30)
    done = airflow.accepted()
    time.sleep(2)
    assert airflow.accepted() == done < PEOPLE / 2
    (row,) = airflow.query("select state, state_changed_by from campaign_runs where campaign_id = 'autumn'")
    assert (row["state"], row["state_changed_by"]) == ("stopped", "admin")
    assert "by admin" in browser.find("#steered").text


@pytest.mark.parametrize("path", ["/campaigns", "/campaigns/spring", f"/messages/SM{6:032x}", "/health-page"])
def test_nobody_gets_nothing_without_a_login(airflow, path):
    answer = airflow.get(f"/twilio{path}")
    assert (answer.status_code, answer.text) == (303, "")
    assert "/auth/login?next=" in answer.headers["location"]
    assert airflow.get(f"/twilio{path}", Cookie="_token=forged").status_code in {303, 401, 403}


def test_who_has_no_role_gets_nothing(airflow):
    assert "spring" not in airflow.get("/twilio/campaigns", "nobody").text
    for path in ("/campaigns/spring", "/runs/spring/2026-11-20", f"/messages/SM{6:032x}"):
        assert airflow.get(f"/twilio{path}", "nobody").status_code == 404
    assert airflow.get("/twilio/health-page", "nobody").status_code == 403


@pytest.mark.parametrize(
    ("user", "steers", "sees"),
    [("viewer", False, False), ("user", True, False), ("op", True, True), ("admin", True, True)],
)
def test_airflows_roles_decide_what_one_sees_and_does(airflow, user, steers, sees):
    page = airflow.get("/twilio/runs/spring/2026-11-20", user).text
    assert ('name="action"' in page) is steers
    message = airflow.get(f"/twilio/messages/SM{6:032x}", user).text
    assert ("+12025550006" in message) is sees
    # A stranger's form is refused whatever the role; one's own is for who may edit the DAG.
    assert (
        airflow.post("/twilio/runs/spring/2026-11-20", user, "http://evil.example", action="pause").status_code == 403
    )
    answer = airflow.post("/twilio/runs/spring/2026-11-20", user, airflow.url, action="resume")
    assert answer.status_code == (303 if steers else 403)
