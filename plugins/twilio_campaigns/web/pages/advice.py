"""What a run's figures mean for what people are about to do. Pure; every sentence follows from the run's state.

Answers "May I re-run this?", "What will happen if I press backfill?" and "Is a country silent or broken?".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain.settings import Settings
from twilio_campaigns.domain.status import RunState
from twilio_campaigns.web.pages.formats import duration, number, plural, words

if TYPE_CHECKING:
    from datetime import datetime

    from twilio_campaigns.domain.campaign import Campaign
    from twilio_campaigns.warehouse.insight.answers import CountryFigures, RunRow

#: Messages of a country from which on none delivered means something.
_ENOUGH: Final = 20
#: Delivery rate below which a country with receipts wants a look.
_LOW: Final = 0.5
#: Time within which a paused run's `resolve_unknown` sees that it was resumed.
SOON: Final = duration(Settings().paused_wait)
#: Runs of which nothing is sent any more, whatever is cleared or filled in.
_OVER: Final = frozenset({RunState.STOPPED, RunState.TOO_LATE, RunState.DONE})


@dataclass(frozen=True, slots=True)
class Advice:
    """An answer.

    :param verdict: a word or three.
    :param tone: ``good``, ``wait``, ``care`` or ``bad``; pages colour it.
    :param text: why, and what to do.
    """

    verdict: str
    tone: str
    text: str


def rerun(run: RunRow, campaign: Campaign | None, resumed_at: datetime | None = None) -> Advice:
    """Say what clearing this run's tasks in Airflow does.

    :param resumed_at: when the run last went on after a pause; its `send_batch` tasks may have ended by then.
    """
    counts = run.counts
    again = f"To text people again, trigger a new run of {run.dag_id}" + (
        f"; whom this one texted within {duration(campaign.repeat_after)} is left out of it." if campaign else "."
    )
    if run.state == RunState.FREEZING:
        return Advice(
            "Yes", "good", "Nobody was texted yet. Clear prepare_audience: the segment is read from the start."
        )
    if run.state == RunState.STOPPED:
        return Advice(
            "Without effect", "wait", f"The run was stopped for good: a cleared task sends nothing of it. {again}"
        )
    if run.state == RunState.TOO_LATE:
        return Advice(
            "Without effect",
            "wait",
            "The run came too late and texts nobody, however often it is cleared. To send it all the same: "
            f"twilio-campaigns send-late {run.run_key}",
        )
    if run.state == RunState.PAUSED:
        return Advice(
            "Resume first", "wait", "A cleared task sends nothing while the run is paused. " + _left(run, resumed_at)
        )
    if run.state == RunState.DONE:
        return Advice(
            "Yes, nothing is sent twice",
            "good",
            f"All {plural(counts.planned, 'message')} have an outcome; cleared tasks find nothing to send. {again}",
        )
    return Advice("Yes, nobody is texted twice", "good", _left(run, resumed_at))


def _left(run: RunRow, resumed_at: datetime | None) -> str:
    counts = run.counts
    # Figures may be older than the first message: then there is no number to give.
    taken = f" ({number(counts.enqueued)})" if counts.enqueued else ""
    parts = [f"What Twilio has{taken} is never sent again."]
    if counts.waiting:
        parts.append(
            f"{plural(counts.waiting, 'message')} still {_wait(counts.waiting)}: {_who_sends(run, resumed_at)}"
        )
    if counts.unknown:
        parts.append(
            f"Of {number(counts.unknown)} the answer was lost: resolve_unknown looks them up, and sends again only "
            "what Twilio shows no trace of."
        )
    if counts.undecided:
        parts.append(f"{number(counts.undecided)} of them could be one of several messages: a person has to look.")
    return " ".join(parts)


def _wait(count: int) -> str:
    return "waits" if count == 1 else "wait"


def _who_sends(run: RunRow, resumed_at: datetime | None) -> str:
    """Name the task that sends what waits: a pause ends tasks `send_batch`, and no resumption starts them again."""
    if run.state == RunState.PAUSED:
        return f"after a resumption resolve_unknown begins to send within {SOON}; if it has ended, clear it."
    if resumed_at is not None:
        return f"the run was resumed, so resolve_unknown begins to send within {SOON}; if it has ended, clear it."
    return f"send_batch sends, and what its tasks leave, resolve_unknown does within {SOON}."


def backfill(run: RunRow, campaign: Campaign | None, now: datetime) -> Advice:
    """Say what a backfill over this run's day does.

    :param now: the warehouse's clock.
    """
    texts_nobody = (
        "A backfill of reconcile_messages over its days texts nobody: it reads them whole and repairs what is missing."
    )
    if campaign is None:
        return Advice(
            "Texts nobody yet",
            "wait",
            f"This run has no frozen audience: judged anew by the campaign's max_lateness when it runs. {texts_nobody}",
        )
    if campaign.schedule is None:
        return Advice(
            "Cannot be backfilled: it has no schedule",
            "good",
            f"Airflow refuses a backfill of {run.dag_id}, so it texts nobody. {texts_nobody}",
        )
    late = f"older than {duration(campaign.max_lateness)} (max_lateness)"
    is_young = run.logical_date is not None and now - run.logical_date <= campaign.max_lateness
    if is_young and run.state in _OVER:
        return Advice(
            "Nothing of this run",
            "wait",
            f"This run is {words(run.state)}: reprocessed or not, it sends nothing more. Other slots that a backfill "
            f"of {run.dag_id} covers text people if they have no run yet and are not {late}. {texts_nobody}",
        )
    if is_young:
        return Advice(
            "Care: it may send",
            "care",
            f"A backfill of {run.dag_id} texts people for slots that are not yet {late}, this one among them; whom the "
            f"campaign texted within {duration(campaign.repeat_after)} is left out. {texts_nobody}",
        )
    return Advice(
        "Texts nobody",
        "good",
        f"A backfill of {run.dag_id} over slots {late} makes runs that end as too_late and send nothing; this run "
        f"keeps its messages, reprocessed or not. {texts_nobody}",
    )


def country(figures: CountryFigures) -> Advice:
    """Tell silent from broken."""
    ended = figures.delivered + figures.failed + figures.rejected + figures.unreported
    if not figures.enqueued:
        return Advice("Nothing sent", "wait", "Twilio took no message for this country.")
    if not figures.sends_receipts:
        return Advice(
            "Silent by nature", "wait", "Carriers send no receipts to Twilio: sent is all that anybody can know."
        )
    if ended < _ENOUGH:
        return Advice("Too few to tell" if not figures.open else "Under way", "wait", "Fewer than 20 have an end yet.")
    if figures.delivered == 0 and figures.unreported == ended:
        return Advice(
            "Silent", "bad", "Carriers here send receipts, and none came: ask Twilio whether the route is broken."
        )
    if figures.delivered / ended < _LOW:
        return Advice(
            "Broken?", "bad", "Most messages that ended were not delivered: the errors below say why, with a remedy."
        )
    return Advice("Working", "good", "Receipts come in, and most say delivered.")
