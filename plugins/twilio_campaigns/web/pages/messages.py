"""Messages that somebody looks for, and what became of one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from twilio_campaigns.domain import page_urls
from twilio_campaigns.domain.phone import typed_number
from twilio_campaigns.domain.scope import Page as Paging
from twilio_campaigns.warehouse.insight.campaigns import CampaignIndex
from twilio_campaigns.warehouse.insight.messages import MessageSearch
from twilio_campaigns.warehouse.insight.run_messages import STATES
from twilio_campaigns.web.pages.campaigns import readable_dags
from twilio_campaigns.web.pages.visit import BadInputError, NotFoundError, Page, Redirect, existing

if TYPE_CHECKING:
    from twilio_campaigns.web.pages.visit import Visit

#: A SID, or a message_key.
_NAME: Final = re.compile(r"(SM|MM)[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: What an address may ask for by a message that has it.
_SAME: Final = ("same_number_as", "same_customer_as")
_LIMIT: Final = 50


def search(visit: Visit) -> Redirect:
    """Take what somebody typed, and lead to an address that may be shown to others.

    Whatever somebody types may be a phone number, which must not stand in an address, for servers and browsers write
    those down. Only names of messages do; a number and a customer become "the same as that of message …". Only who
    sees whole numbers may ask for one.
    """
    text = visit.form.get("q", "").strip()
    if not text:
        return Redirect("/messages")
    if _NAME.fullmatch(text):
        return Redirect(f"/messages?{urlencode({'q': text})}")
    number = typed_number(text)
    rows = MessageSearch(visit.warehouse).search(
        text, mask=False, limit=1, dag_ids=readable_dags(visit), by_number=visit.sees_people
    )
    if rows:
        if visit.sees_people and number is not None and rows[0].to_number == number:
            what = "same_number_as"
        elif rows[0].customer_id == text:
            what = "same_customer_as"
        else:  # its key, in another way of writing
            return Redirect(page_urls.message_path(str(rows[0].message_key)))
        return Redirect(f"/messages?{urlencode({what: rows[0].message_key})}")
    if number is not None and not visit.sees_people:
        raise BadInputError(
            "No customer has this id. Only who may edit connections may look for a number. Look for a customer id or "
            "a SID."
        )
    return Redirect("/messages?none=1")


def found(visit: Visit) -> Page | Redirect:
    """Messages of a SID, a customer, a number, or a run."""
    query = visit.query
    if query.get("run"):
        return _of_run(visit, query["run"])
    text = query.get("q", "").strip()
    what = next((name for name in _SAME if query.get(name)), "")
    same = query.get(what, "").strip()
    if typed_number(text) is not None:
        raise BadInputError("Type phone numbers into the field: they must not stand in an address.")
    messages = MessageSearch(visit.warehouse)
    dag_ids = readable_dags(visit) if text or same else frozenset[str]()
    rows: list[Any] = []
    if same:
        find = messages.same_number if what == "same_number_as" else messages.same_customer
        rows = find(_uuid(same), mask=not visit.sees_people, limit=_LIMIT, dag_ids=dag_ids)
    elif text:
        rows = messages.search(text, mask=not visit.sees_people, limit=_LIMIT, dag_ids=dag_ids)
        if len(rows) == 1 and text in {rows[0].message_sid, str(rows[0].message_key)}:
            return Redirect(page_urls.message_path(text))
    values = {"rows": rows, "text": text, "same": same, "what": what, "asked": bool(text or same or query.get("none"))}
    return _page(visit, "messages.html", {**values, "limit": _LIMIT})


def _of_run(visit: Visit, run_key: str) -> Page:
    state = visit.choice_of("state", ("", *STATES), "")
    batch = visit.number_of("batch", 0, least=0)
    run = CampaignIndex(visit.warehouse).run(run_key)
    if run is None or run.dag_id not in visit.visitor.readable([run.dag_id]):
        raise NotFoundError(f"There is no run {run_key}, or you may not read its DAG.")
    listing = MessageSearch(visit.warehouse).of_run(
        run_key,
        batch_no=batch or None,
        state=state or None,
        page=Paging(visit.number_of("page"), _LIMIT),
        mask=not visit.sees_people,
    )
    values = {"listing": existing(listing), "run": run, "state": state, "batch": batch, "states": STATES}
    return _page(visit, "run_messages.html", values)


def story(visit: Visit) -> Page:
    """One message from the segment to its end."""
    wanted = visit.path["message"]
    messages = MessageSearch(visit.warehouse)
    # A number or a customer's id is no name of a message, and must not become one by being tried here.
    rows = messages.search(wanted, limit=1, dag_ids=readable_dags(visit)) if _NAME.fullmatch(wanted) else []
    told = messages.story(rows[0].message_key, mask=not visit.sees_people) if rows else None
    if told is None:
        raise NotFoundError(
            f"There is no message {wanted}, or you may not read its run's DAG. Look for it by its SID, its "
            "message_key or its customer's id."
        )
    return _page(visit, "message.html", {"story": told, "message": told.message})


def _page(visit: Visit, template: str, values: dict[str, Any]) -> Page:
    shared = {"section": "messages", "sees_people": visit.sees_people, "now": visit.warehouse.now()}
    return Page(template, {**shared, **values})


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise BadInputError(f"{text!r} is no message_key. It looks as 0195f3a0-….") from None
