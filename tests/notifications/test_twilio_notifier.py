"""Texts about tasks: over real HTTP to the simulator, with a context as Airflow hands it over."""

import asyncio
import logging

import pytest
from airflow.sdk.api.datamodels._generated import TaskInstanceState
from structlog.testing import capture_logs

from gateway.scripted_server import answer, hang_up, scripted
from twilio_campaigns.notifications import told
from twilio_campaigns.notifications.twilio import TwilioNotifier
from twilio_campaigns.provider_info import get_provider_info

ADA, BOB = "+12025550101", "+12025550102"
#: The simulator refuses it at once, as one that has opted out.
REFUSED = "+15005550004"


class TaskInstance:
    """One try of a task, with the XComs that outlive the processes which run it.

    :param xcoms: kept by Airflow; `None`: out of reach.
    """

    def __init__(self, xcoms, **changes):
        known = {"dag_id": "load", "run_id": "run", "task_id": "copy", "map_index": -1, "try_number": 1}
        for name, value in {**known, "state": TaskInstanceState.FAILED, **changes}.items():
            setattr(self, name, value)
        self._xcoms = xcoms

    def xcom_push(self, key, value):
        if self._xcoms is None:
            raise ConnectionError("XCom is away")
        self._xcoms[self.task_id, self.map_index, key] = value

    def xcom_pull(self, task_ids, key, map_indexes):
        if self._xcoms is None:
            raise ConnectionError("XCom is away")
        return self._xcoms.get((task_ids, map_indexes, key))


@pytest.fixture(autouse=True)
def new_process():
    """Forget what this process knows, as another one does."""
    told._TOLD.clear()
    return told._TOLD.clear


@pytest.fixture
def twilio(simulator, connect_twilio):
    connect_twilio(simulator.url)
    return simulator


@pytest.fixture
def logged(caplog):
    caplog.set_level(logging.INFO)
    with capture_logs() as entries:
        yield lambda: "\n".join([caplog.text, *(str(entry) for entry in entries)])


def notifier(**changes):
    given = {"to": ADA, "body": "{{ ti.dag_id }}.{{ ti.task_id }} failed", "from_number": "+15005550006"}
    return TwilioNotifier(**{**given, **changes})


def context(xcoms=None, **changes):
    return {"ti": TaskInstance({} if xcoms is None else xcoms, **changes)}


def texts(simulator):
    return [(message["to"], message["body"]) for message in simulator.truth()]


class TestTexting:
    def test_the_templates_are_rendered_for_each_task(self, twilio):
        """One process may make the callbacks of several tasks, with one notifier."""
        shared = notifier()
        shared(context())
        shared(context(task_id="index"))
        assert texts(twilio) == [(ADA, "load.copy failed"), (ADA, "load.index failed")]

    @pytest.mark.parametrize(
        "to", [[ADA, BOB], (ADA, BOB), f"{ADA}, {BOB}", f"{ADA};{BOB}\n{ADA}", ["{{ ti.ada }}", "(202) 555-0102"]]
    )
    def test_everybody_once(self, twilio, to):
        notifier(to=to, default_region="US")(context(ada=ADA))
        assert [number for number, _ in texts(twilio)] == [ADA, BOB]

    def test_a_messaging_service_may_send(self, twilio):
        notifier(from_number=None, messaging_service_sid="MG" + "1" * 32)(context())
        assert twilio.truth()[0]["messaging_service_sid"] == "MG" + "1" * 32

    @pytest.mark.parametrize(("given", "length"), [({}, 306), ({"max_parts": 1}, 160)])
    def test_a_long_text_is_cut(self, twilio, given, length):
        notifier(body="x" * 1000, **given)(context())
        assert [len(body) for _, body in texts(twilio)] == [length]
        assert texts(twilio)[0][1].endswith("x...")

    def test_whoever_is_refused_keeps_the_others_from_nothing(self, twilio, logged):
        notifier(to=[REFUSED, ADA])(context())
        assert [number for number, _ in texts(twilio)] == [ADA]
        assert "Recipient 1 of 2: " in logged()
        assert "21610" in logged()
        for number in (REFUSED, ADA):
            assert number.removeprefix("+") not in logged()

    def test_in_a_triggerer_there_is_no_context(self, twilio):
        async def deadline_missed():
            await notifier(body="The deadline is over.", context={})

        asyncio.run(deadline_missed())
        assert texts(twilio) == [(ADA, "The deadline is over.")]


class TestNothingReachesTheTask:
    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"to": "nobody"}, "not a valid phone number"),
            ({"to": " , "}, "to names nobody"),
            ({"to": []}, "to names nobody"),
            ({"from_number": None}, "No sender"),
            ({"body": "{{ '' }}"}, "body is empty"),
            ({"max_parts": 0}, "from 1 to 10"),
            ({"max_parts": 11}, "from 1 to 10"),
            ({"twilio_conn_id": "nowhere"}, "There is no connection nowhere"),
        ],
    )
    @pytest.mark.parametrize("is_async", [False, True])
    def test_what_a_person_has_to_mend_is_in_the_log(self, twilio, logged, given, says, is_async):
        async def deadline_missed():
            await notifier(**{"body": "Late.", **given}, context={})

        if is_async:
            asyncio.run(deadline_missed())
        else:
            notifier(**given)(context())
        assert "Nobody was texted: " in logged()
        assert says in logged()
        assert texts(twilio) == []

    @pytest.mark.parametrize("script", [answer(401, {"code": 20003}), answer(429, {"code": 20429}), hang_up])
    def test_whatever_twilio_does_it_is_asked_once(self, connect_twilio, script, logged):
        with scripted(script) as server:
            connect_twilio(server.url)
            notifier()(context())
            assert server.posts == 1
        assert "Recipient 1 of 1: " in logged()

    def test_a_twilio_that_is_away(self, connect_twilio, logged):
        connect_twilio("http://127.0.0.1:1")
        notifier()(context())
        assert "not sent" in logged()


class TestTwice:
    def test_one_process_texts_once(self, twilio, logged):
        notifier()(context())
        notifier()(context())
        assert len(texts(twilio)) == 1
        assert "nobody is texted again" in logged()

    def test_another_process_knows_of_the_try_that_failed(self, twilio, new_process):
        """A worker texts and dies; the DAG processor, which knows no state, makes the callback again."""
        xcoms = {}
        notifier()(context(xcoms))
        new_process()
        notifier()(context(xcoms, state=None))
        assert len(texts(twilio)) == 1

    @pytest.mark.parametrize(
        "other", [{"try_number": 2}, {"task_id": "index"}, {"map_index": 1}, {"state": TaskInstanceState.UP_FOR_RETRY}]
    )
    def test_another_try_task_or_state_is_another_text(self, twilio, new_process, other):
        xcoms = {}
        notifier()(context(xcoms))
        new_process()
        notifier()(context(xcoms, **other))
        assert len(texts(twilio)) == 2

    def test_another_run_or_notifier_is_another_text(self, twilio):
        notifier()(context())
        notifier()(context(run_id="another"))
        notifier(to=BOB)(context())
        assert [number for number, _ in texts(twilio)] == [ADA, ADA, BOB]

    def test_the_callback_of_the_dag_is_not_that_of_its_last_task(self, twilio):
        notifier()(context())
        notifier()({**context(), "reason": "task_failure"})
        assert len(texts(twilio)) == 2

    def test_where_xcom_is_away_people_are_texted_all_the_same(self, twilio, logged):
        notifier()({"ti": TaskInstance(None)})
        assert len(texts(twilio)) == 1
        assert "cannot be kept" in logged()

    def test_whom_nobody_could_text_is_texted_when_the_callback_comes_again(self, twilio, connect_twilio):
        xcoms = {}
        connect_twilio("http://127.0.0.1:1")
        notifier()(context(xcoms))
        connect_twilio(twilio.url)
        notifier()(context(xcoms))
        assert len(texts(twilio)) == 1

    def test_an_outcome_that_nobody_knows_counts_as_texted(self, connect_twilio):
        with scripted(hang_up, hang_up) as server:
            connect_twilio(server.url)
            notifier()(context())
            notifier()(context())
            assert server.posts == 1

    def test_a_callback_without_a_task_always_texts(self, twilio):
        for _ in range(2):
            notifier(body="x")({})
        assert len(texts(twilio)) == 2


def test_the_provider_names_it():
    assert get_provider_info()["notifications"] == [f"{TwilioNotifier.__module__}.TwilioNotifier"]
