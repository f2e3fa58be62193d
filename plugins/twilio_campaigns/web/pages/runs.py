"""One run: what became of it, and the three things that people decide about it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.domain import page_urls
from twilio_campaigns.domain.exceptions import ConfigurationError
from twilio_campaigns.domain.scope import Scope
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.engine.send import campaign_of
from twilio_campaigns.engine.steer import RunSteering
from twilio_campaigns.warehouse.insight.campaigns import CampaignIndex
from twilio_campaigns.warehouse.insight.runs import RunInsight
from twilio_campaigns.web.pages import advice
from twilio_campaigns.web.pages.campaigns import country_of
from twilio_campaigns.web.pages.figures import figures_of
from twilio_campaigns.web.pages.visit import BadInputError, ForbiddenError, NotFoundError, Page, Redirect

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.warehouse.insight.rows import RunDetail
    from twilio_campaigns.web.pages.visit import Visit

log = logging.getLogger(__name__)

#: What a form may ask for, and in which states of a run it is offered.
_ACTIONS: Final[dict[str, tuple[Callable[[RunSteering], str], frozenset[str]]]] = {
    "pause": (RunSteering.pause, frozenset({RunState.SENDING})),
    "resume": (RunSteering.resume, frozenset({RunState.PAUSED})),
    "stop": (RunSteering.stop, frozenset({RunState.FREEZING, RunState.SENDING, RunState.PAUSED})),
}


#: States in which people watch a run, or act on it, and look for figures of now.
_WATCHED: Final = frozenset({RunState.FREEZING, RunState.SENDING, RunState.PAUSED})
#: Age from which on a look at such a run has its figures made anew.
_OLD: Final = timedelta(seconds=10)
#: Those whose page loads itself anew, as it does once after an action, and after how many seconds.
_MOVING: Final = frozenset({RunState.FREEZING, RunState.SENDING})
_RELOAD: Final = 15

#: When a decision takes hold.
_NOTICE: Final = "workers notice within about two seconds; what is already on its way to Twilio still arrives."
#: What is said after an action, where the run is then in the state that it leads to.
_SAID: Final = {
    "pause": (
        RunState.PAUSED,
        f"The run is paused: {_NOTICE} Nothing more is sent before somebody resumes it.",
    ),
    "resume": (
        RunState.SENDING,
        f"The run goes on: task resolve_unknown begins to send within {advice.SOON}. If it has ended, clear it.",
    ),
    "stop": (RunState.STOPPED, f"The run was stopped for good: {_NOTICE}"),
}


def show(visit: Visit) -> Page:
    """One run, its batches, unknown messages and passes."""
    detail = _detail(visit)
    run, campaign = detail.run, _campaign(detail)
    scope = Scope(run_key=run.run_key, country=country_of(visit))
    now, said = visit.warehouse.now(), _said(visit, run.state)
    if run.state in _WATCHED and _is_old(run.refreshed_at, now):
        visit.nudge(_OLD)
    values: dict[str, Any] = {
        "section": "campaigns",
        "detail": detail,
        "run": run,
        "campaign": campaign,
        "scope": scope,
        "said": said,
        "now": now,
        "rerun": advice.rerun(run, campaign, detail.resumed_at),
        "backfill": advice.backfill(run, campaign, now),
        "soon": advice.SOON,
        "reload_after": _RELOAD if said or run.state in _MOVING else None,
        "actions": [name for name, (_, states) in _ACTIONS.items() if run.state in states],
        "may_steer": visit.visitor.may_steer(run.dag_id),
        "sees_people": visit.sees_people,
        "filtered": scope.country is not None,
    }
    return Page("run.html", {**values, **figures_of(visit.warehouse, scope, stopped=run.state == RunState.STOPPED)})


def steer(visit: Visit) -> Redirect:
    """Pause, resume or stop the run, in the visitor's name; workers notice within about two seconds.

    Its figures are made anew meanwhile: nobody who wants to stop a run waits until its messages are counted. Leads back
    to the run's page, so that reloading it does nothing again.
    """
    run = _detail(visit).run
    if not visit.visitor.may_steer(run.dag_id):
        raise ForbiddenError(f"Only who may edit DAG {run.dag_id} can steer its runs. Nothing was changed.")
    name = visit.form.get("action", "")
    if name not in _ACTIONS:
        raise BadInputError(f"A run can be asked to {', '.join(_ACTIONS)}. Nothing was changed.")
    act, _ = _ACTIONS[name]
    log.info("%s", act(RunSteering(visit.warehouse, run.run_key, visit.visitor.name)))
    visit.count_soon(run.run_key)
    return Redirect(f"{page_urls.run_path(run.run_key)}?did={name}")


def of_dag_run(visit: Visit) -> Redirect:
    """Find what Airflow calls a DAG run."""
    dag_id, dag_run_id = visit.path["dag_id"], visit.path["dag_run_id"]
    run_key = None
    if dag_id in visit.visitor.readable([dag_id]):
        run_key = CampaignIndex(visit.warehouse).run_of(dag_id, dag_run_id)
    if run_key is None:
        raise NotFoundError(
            f"Run {dag_run_id} of DAG {dag_id} has sent nothing: it is no campaign's, or its task prepare_audience has "
            "not begun yet, or you may not read the DAG."
        )
    return Redirect(page_urls.run_path(run_key))


def _is_old(refreshed_at: datetime | None, now: datetime) -> bool:
    return refreshed_at is None or now - refreshed_at > _OLD


def _said(visit: Visit, state: str) -> str:
    """Word what was just done; nothing where somebody else has changed the state since, or nothing was done."""
    wanted, words = _SAID.get(visit.query.get("did", ""), (None, ""))
    if wanted is None:
        return ""
    return words if state == wanted else f"Nothing was changed: the run is {state.replace('_', ' ')}."


def _detail(visit: Visit) -> RunDetail:
    run_key = visit.path["run_key"]
    detail = RunInsight(visit.warehouse).detail(run_key, mask=not visit.sees_people)
    if detail is None or detail.run.dag_id not in visit.visitor.readable([detail.run.dag_id]):
        raise NotFoundError(
            f"There is no run {run_key}, or you may not read its DAG. The list of campaigns leads to all that you may."
        )
    return detail


def _campaign(detail: RunDetail) -> Campaign | None:
    """Give the campaign as it was frozen; one of another version of this package may not be readable any more."""
    try:
        return campaign_of(detail.spec)
    except (ConfigurationError, ValueError):
        return None
