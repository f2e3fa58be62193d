"""Who gets what: nothing for strangers, what one's DAGs allow for everybody else."""

import pytest

from web.pages.visiting import RUN, SomeVisitor

PAGES = (
    "/campaigns",
    "/campaigns/spring",
    "/runs/spring/2026-11-20",
    "/dags/campaign__spring",
    "/dags/campaign__spring/runs/manual__2026-11-20",
    "/messages",
    f"/messages/SM{0:032x}",
    "/messages?run=spring/2026-11-20",
    "/health-page",
)
STRANGERS = ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"})


@pytest.mark.parametrize("path", PAGES)
def test_nobody_is_sent_to_the_login_and_learns_nothing(visit, path):
    answer = visit(anonymous=True).client.get(f"/twilio{path}", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next=/twilio{path.partition('?')[0]}"
    assert answer.text == ""


@pytest.mark.parametrize("path", PAGES)
def test_a_program_without_a_login_gets_a_plain_no(visit, path):
    answer = visit(anonymous=True).client.get(f"/twilio{path}", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.text) == (401, "Log in to Airflow first.")


def test_nobody_can_steer_a_run(visit, run_key, query):
    assert visit(anonymous=True).post(f"/runs/{run_key}", action="stop").status == 401
    assert query("select state from campaign_runs") == [{"state": "sending"}]


@pytest.mark.parametrize("path", [path for path in PAGES if path not in {"/messages", "/health-page"}])
def test_who_may_not_read_the_dag_sees_nothing_of_its_campaign(visit, path):
    page = visit(SomeVisitor(reads={"campaign__other"})).get(path)
    for told in ("60.0 %", "+1202", "2026-11-20 12:00", "c000000"):
        assert told not in page.text.casefold()
    assert page.status == (200 if path == "/campaigns" else 404)


def test_a_missing_campaign_and_a_forbidden_one_look_the_same(visit):
    browser = visit(SomeVisitor(reads=set()))
    there, not_there = browser.get("/campaigns/spring"), browser.get("/campaigns/nothing")
    assert there.status == not_there.status == 404
    assert there.text.replace("spring", "X") == not_there.text.replace("nothing", "X")


def test_a_search_finds_only_messages_of_campaigns_that_one_may_read(visit):
    allowed = visit(SomeVisitor(reads={"campaign__spring"})).post("/messages", q="c000000")
    forbidden = visit(SomeVisitor(reads={"campaign__other"})).post("/messages", q="c000000")
    assert "spring/2026-11-20" in allowed.text
    assert "spring" not in forbidden.text


def test_the_health_page_needs_the_right_to_read_what_it_tells_of(visit):
    assert visit(SomeVisitor(reads={"campaign__spring"})).get("/health-page").status == 403
    assert visit(SomeVisitor(reads={"reconcile_messages"})).get("/health-page").status == 200


@pytest.mark.parametrize("path", [f"/messages/SM{0:032x}", "/messages?q=c000000", "/messages?run=spring/2026-11-20"])
def test_numbers_and_texts_are_whole_only_for_who_may_edit_connections(visit, path):
    whole, masked = visit().get(path), visit(SomeVisitor(edits=False)).get(path)
    assert "+12025550000" in whole.html
    assert "+12025550000" not in masked.html
    assert "5550000" not in masked.html
    assert "Name0" not in masked.html
    if path.startswith("/messages/"):
        assert "Hi Name0" in whole.text


@pytest.mark.parametrize(
    "guess", ["+1 202 555 0000", "12025550000", "0012025550000", "tel:+12025550000", "+1\u2011202\u2011555\u20110000"]
)
def test_who_does_not_see_numbers_cannot_guess_them(visit, guess):
    page = visit(SomeVisitor(edits=False)).post("/messages", q=guess)
    assert page.status == 400
    assert "may look for a number" in page.text
    assert "q=" not in str(page.url)
    page = visit(SomeVisitor(edits=False)).get("/messages", q=guess)
    assert page.status == 400
    assert "SM0" not in page.text


def test_who_does_not_see_numbers_sees_no_link_whole(visit, warehouse, run_key, query):
    query(
        "insert into link_clicks (click_id, event_id, message_key, message_sid, link, clicked_at, is_bot) "
        "select gen_random_uuid(), gen_random_uuid(), message_key, message_sid, "
        "'https://eve:pw@shop.example:8443/u/12025550000?token=s3cret', now(), false "
        "from messages where message_sid = %s",
        f"SM{0:032x}",
    )
    path = f"/messages/SM{0:032x}"
    assert "https://eve:pw@shop.example:8443/u/12025550000?token=s3cret" in visit().get(path).text
    masked = visit(SomeVisitor(edits=False)).get(path)
    assert "Somebody opened a link to shop.example." in masked.text
    for secret in ("s3cret", "12025550000", "eve:", "pw@"):
        assert secret not in masked.html


@pytest.mark.parametrize("guess", ["+12025550000", "%2B1 202 555 0000", "c000000"])
def test_an_address_of_a_message_takes_no_guess(visit, guess):
    assert visit(SomeVisitor(edits=False)).get(f"/messages/{guess}").status == 404
    assert visit().get(f"/messages/{guess}").status == 404


class TestSteering:
    def test_who_may_edit_the_dag_stops_its_run_in_the_own_name(self, visit, run_key, query):
        page = visit(SomeVisitor("grace")).post(f"/runs/{run_key}", action="stop")
        assert page.status == 200
        assert "was stopped for good" in page.text
        (run,) = query("select state, state_changed_by, state_changed_at from campaign_runs")
        assert (run["state"], run["state_changed_by"]) == ("stopped", "grace")
        assert "by grace" in page.text
        assert f"{run['state_changed_at']:%Y-%m-%d %H:%M:%S} UTC" in page.text

    def test_pause_and_resume(self, visit, run_key, query):
        browser = visit()
        assert "is paused" in browser.post(f"/runs/{run_key}", action="pause").text
        assert query("select state from campaign_runs") == [{"state": "paused"}]
        assert "goes on" in browser.post(f"/runs/{run_key}", action="resume").text
        assert query("select state from campaign_runs") == [{"state": "sending"}]

    def test_reading_is_not_enough(self, visit, run_key, query):
        browser = visit(SomeVisitor(steers=False))
        page = browser.get(f"/runs/{run_key}")
        assert page.status == 200
        assert "action" not in [attributes.get("name") for tag, attributes in page.tags if tag == "input"]
        page = browser.post(f"/runs/{run_key}", action="stop")
        assert page.status == 403
        assert "may edit DAG campaign__spring" in page.text
        assert query("select state from campaign_runs") == [{"state": "sending"}]

    @pytest.mark.parametrize("headers", STRANGERS)
    def test_a_form_of_somebody_else_changes_nothing(self, visit, run_key, query, headers):
        page = visit().post(f"/runs/{run_key}", headers=headers, action="stop")
        assert page.status == 403
        assert query("select state from campaign_runs") == [{"state": "sending"}]

    def test_the_origin_counts_where_a_browser_says_no_more(self, visit, run_key, query):
        page = visit().post(f"/runs/{run_key}", headers={"Origin": "http://airflow"}, action="pause")
        assert page.status == 200
        assert query("select state from campaign_runs") == [{"state": "paused"}]

    def test_an_unknown_action_is_refused(self, visit):
        page = visit().post(f"/runs/{RUN}", action="explode")
        assert page.status == 400
        assert "pause, resume, stop" in page.text

    def test_an_address_claims_nothing_that_was_not_done(self, visit):
        page = visit().get(f"/runs/{RUN}", did="stop")
        assert "was stopped" not in page.text
        assert "Nothing was changed: the run is sending" in page.text
