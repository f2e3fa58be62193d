"""Whether the integration itself is healthy."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from twilio_campaigns.warehouse.insight.health import Health
from twilio_campaigns.web.pages.advice import Advice
from twilio_campaigns.web.pages.credentials import DEFAULT, check_account
from twilio_campaigns.web.pages.formats import age, number, plural
from twilio_campaigns.web.pages.visit import BadInputError, ForbiddenError, Page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twilio_campaigns.warehouse.insight.health import HealthReport
    from twilio_campaigns.web.pages.visit import Visit

#: A pass over open messages is never further apart than 6 h; after that somebody should look.
_PASS_AGE: Final = timedelta(hours=7)
#: Figures are refreshed by every pass and every page; older ones mean that neither works.
_FIGURES_AGE: Final = timedelta(hours=1)
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
        "rejected": sum(rejection.requests for rejection in report.rejections),
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
    """Give one sign of life after the other, with what to do where it is missing."""
    yield "Last pass", _last_pass(report)
    yield "API errors", _api_errors(report)
    yield "Webhooks", _webhooks(report)
    yield "Audits", _audits(report)
    yield "Strays", _strays(report)
    yield "Figures", _figures(report)


def _last_pass(report: HealthReport) -> Advice:
    last = report.last_pass
    if last is None:
        if not report.open_days:
            return Advice("None yet", "wait", "Nothing was sent so far. Unpause reconcile_messages before you send.")
        return Advice(
            "None yet", "bad", "Messages are not settled and nobody reads them: unpause DAG reconcile_messages."
        )
    when = age(last.started_at, report.now)
    if report.open_days and report.now - last.started_at > _PASS_AGE:
        return Advice(
            when, "bad", "Messages are not settled and nobody reads them: see whether reconcile_messages runs."
        )
    left = sum(day.open for day in report.open_days)
    of = f"{plural(left, 'message')} of {plural(len(report.open_days), 'day')} not settled."
    return Advice(when, "good", of if left else "Every message is settled.")


def _api_errors(report: HealthReport) -> Advice:
    calls = report.calls
    done = f"{plural(calls.api_calls, 'call')} in {plural(calls.passes, 'pass', 'passes')} within 24 h."
    if calls.errors:
        return Advice(
            plural(len(calls.errors), "pass", "passes") + " failed",
            "bad" if calls.incomplete == calls.passes else "care",
            f"{done} Passes that failed are repeated; their errors stand below.",
        )
    return Advice("None", "good", done)


def _webhooks(report: HealthReport) -> Advice:
    refused = sum(rejection.requests for rejection in report.rejections)
    if refused:
        return Advice(
            f"{number(refused)} turned away",
            "care",
            "Within 7 days, by reason below. forged means that the Auth Token or public_url of the connection is not "
            "Twilio's, or that a stranger tried.",
        )
    if report.last_webhook_at is None:
        return Advice("Not in use", "wait", "None came within 7 days. Without public_url the sensor reads everything.")
    return Advice(age(report.last_webhook_at, report.now), "good", "The last one that was taken; none was turned away.")


def _audits(report: HealthReport) -> Advice:
    if not report.audits:
        return Advice(
            "None yet",
            "wait",
            "No closed day has been audited yet. reconcile_audit audits a day when its window has closed, five days "
            "later; unpause it if it is paused.",
        )
    last = report.audits[0]
    found = last.missing + last.orphans + last.different
    if found:
        return Advice(plural(found, "finding"), "bad", f"Day {last.day}: ledger and Twilio's list differ; see below.")
    if not last.complete:
        return Advice("Incomplete", "care", f"The audit of {last.day} did not end: {last.error or 'it may be at work'}")
    return Advice("No finding", "good", f"Day {last.day}: {number(last.matched)} messages are as Twilio says.")


def _strays(report: HealthReport) -> Advice:
    if report.strays:
        return Advice(plural(report.strays, "stray"), "bad", "Messages at Twilio that belong to no row for certain.")
    if not any(audit.complete for audit in report.audits):
        return Advice("None found so far", "wait", "No audit has looked for them yet; reconcile passes met none.")
    return Advice("None", "good", "Every message that audits and passes met at Twilio belongs to a row.")


def _figures(report: HealthReport) -> Advice:
    marked_at = report.summaries.oldest_mark_at
    if marked_at is None:
        return Advice("Up to date", "good", "These pages show what the ledger holds.")
    tone = "bad" if report.now - marked_at > _FIGURES_AGE else "wait"
    return Advice(
        f"{age(marked_at, report.now)}",
        tone,
        f"{plural(report.summaries.marked, 'run')} changed since; each pass, and each page, brings figures up to date.",
    )
