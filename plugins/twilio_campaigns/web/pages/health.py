"""Whether the integration itself is healthy."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.warehouse.concerns import ConcernKind
from twilio_campaigns.warehouse.insight.health import Health
from twilio_campaigns.warehouse.insight.open_days import OVERDUE
from twilio_campaigns.web.pages.advice import Advice
from twilio_campaigns.web.pages.credentials import DEFAULT, check_account
from twilio_campaigns.web.pages.formats import age, duration, number, plural
from twilio_campaigns.web.pages.visit import BadInputError, ForbiddenError, Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twilio_campaigns.warehouse.insight.health import HealthReport
    from twilio_campaigns.web.pages.visit import Visit

#: After so long without a webhook nobody can say any more that they work.
_QUIET: Final = timedelta(days=7)
#: The youngest day that an audit finds closed.
_AUDIT_AGE: Final = timedelta(days=6)
_DAG: Final = "reconcile_messages"


def show(visit: Visit, checked: tuple[str, bool, str] | None = None) -> Page:
    """Show the signs of life of the whole integration.

    :param checked: connection, whether Twilio accepts it, and in which words.
    """
    if _DAG not in visit.visitor.readable([_DAG]):
        raise ForbiddenError(f"The health page shows what DAG {_DAG} does. Only who may read that DAG sees it.")
    report = Health(visit.warehouse).report()
    values: dict[str, Any] = {
        "section": "health",
        "report": report,
        "now": report.now,
        "signs": list(_signs(report)),
        "connections": report.connections or [DEFAULT],
        "may_check": visit.sees_people,
        "checked": checked,
        "audited": report.audits[0].day if report.audits else report.now.date() - _AUDIT_AGE,
    }
    return Page("health.html", values)


def check(visit: Visit) -> Page:
    """Ask Twilio whether it accepts a connection's credentials."""
    if not visit.sees_people:
        raise ForbiddenError("Only who may edit connections can have Twilio asked about their credentials.")
    connection = visit.form.get("connection", "")
    if connection not in (Health(visit.warehouse).report().connections or [DEFAULT]):
        raise BadInputError("No campaign of the last 30 days uses this connection.")
    return show(visit, (connection, *check_account(connection)))


def _signs(report: HealthReport) -> Iterator[tuple[str, Advice]]:
    """Give one sign of life after the other, with what to do where it is missing; bad is what needs a person."""
    yield "Last pass", _last_pass(report)
    yield "API errors", _api_errors(report)
    yield "Webhooks", _webhooks(report)
    yield "Audits", _audits(report)
    yield "Strays", _strays(report)
    yield "Figures", _figures(report)


def _last_pass(report: HealthReport) -> Advice:
    last = report.last_pass
    when = age(last.started_at, report.now) if last else "None yet"
    if overdue := report.concern(ConcernKind.OVERDUE):
        return Advice(
            when,
            "bad",
            f"Messages are not settled and nobody reads them, of {plural(overdue.count, 'day')} for more than "
            f"{duration(OVERDUE)}: see whether reconcile_messages is unpaused and runs.",
        )
    if not report.open_days:
        if last is None:
            return Advice(when, "wait", "Nothing was sent so far. Unpause reconcile_messages before you send.")
        return Advice(when, "good", "Every message is settled.")
    left = sum(day.open for day in report.open_days)
    text = f"{plural(left, 'message')} of {plural(len(report.open_days), 'day')} not settled."
    if last is None:
        return Advice(when, "wait", f"{text} Is reconcile_messages unpaused? It reads them within hours.")
    return Advice(when, "good", text)


def _api_errors(report: HealthReport) -> Advice:
    calls = report.calls
    done = f"{plural(calls.api_calls, 'call')} in {plural(calls.passes, 'pass', 'passes')} within 24 h."
    if calls.failed:
        return Advice(
            plural(calls.failed, "pass", "passes") + " failed",
            "care",
            f"{done} Passes that failed are repeated; the last error stands below.",
        )
    return Advice("None", "good", done)


def _webhooks(report: HealthReport) -> Advice:
    if refused := report.concern(ConcernKind.WEBHOOKS):
        return Advice(
            f"{number(refused.count)} turned away",
            "bad",
            "As forged or of unknown accounts, today and yesterday. forged means that the Auth Token or public_url of "
            "the connection is not Twilio's, or that a stranger tried.",
        )
    last, sent_on = report.last_webhook_at, report.last_sent_on
    others = sum(rejection.requests for rejection in report.rejections)
    turned_away = f"{number(others)} were turned away within 7 days, by reason below." if others else ""
    if last is None and others:
        return Advice("None taken", "care", turned_away)
    if last is None:
        return Advice("Not in use", "wait", "None has ever come. Without public_url the sensor reads everything.")
    when = age(last, report.now)
    if sent_on is not None and last.date() < sent_on:
        return Advice(
            when,
            "care",
            f"None has come since, though messages were sent, last on {sent_on}: see public_url of the connection. "
            "Nothing is lost: the sensor reads everything.",
        )
    if report.now - last > _QUIET:
        return Advice(when, "wait", f"The last one that was taken; no message was sent since. {turned_away}")
    return Advice(when, "good", f"The last one that was taken. {turned_away or 'None was turned away.'}")


def _audits(report: HealthReport) -> Advice:
    if concern := report.concern(ConcernKind.AUDITS):
        return Advice(
            plural(concern.count, "day"),
            "bad",
            "Of the last 30 days: ledger and Twilio's list differ, or the last audit was incomplete; see below.",
        )
    if not report.audits:
        return Advice(
            "None yet",
            "wait",
            "No closed day has been audited yet. reconcile_audit audits a day when its window has closed, five days "
            "later; unpause it if it is paused.",
        )
    last = report.audits[0]
    if last.missing + last.orphans + last.different or (last.finished_at is not None and not last.complete):
        return Advice("Long ago", "care", f"Day {last.day} was audited last, and not without findings; see below.")
    if not last.complete:
        return Advice("Under way", "wait", f"Day {last.day} is being audited.")
    return Advice("No finding", "good", f"Day {last.day}: {number(last.matched)} messages are as Twilio says.")


def _strays(report: HealthReport) -> Advice:
    if concern := report.concern(ConcernKind.STRAYS):
        return Advice(
            plural(concern.count, "stray"),
            "bad",
            "Messages at Twilio that belong to no row for certain, found within 30 days.",
        )
    if report.latest_strays:
        return Advice("None of late", "care", "None within 30 days; older ones stand below.")
    if not any(audit.complete for audit in report.audits):
        return Advice("None found so far", "wait", "No audit has looked for them yet; reconcile passes met none.")
    return Advice("None", "good", "Every message that audits and passes met at Twilio belongs to a row.")


def _figures(report: HealthReport) -> Advice:
    marked_at = report.summaries.oldest_mark_at
    if marked_at is None:
        return Advice("Up to date", "good", "These pages show what the ledger holds.")
    return Advice(
        age(marked_at, report.now),
        "bad" if report.concern(ConcernKind.FIGURES) else "wait",
        f"{plural(report.summaries.marked, 'run')} changed since; each pass, and each page, brings figures up to date.",
    )
