"""A message's own timeline: what the ledger remembers, its events, clicks and replies, in one order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from twilio_campaigns.domain.audience import explain_exclusion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from twilio_campaigns.warehouse.insight.scoped import Rows

_SAID: Final = {
    "enqueued": "Twilio took it.",
    "sent": "It left Twilio.",
    "delivered": "The carrier reports that it arrived.",
    "failed": "It could not be delivered.",
    "rejected": "Twilio, a carrier or a policy refused it.",
    "enqueue_failed": "Twilio refused it, or nobody learnt whether it took it.",
}
_ENDINGS: Final = {1: "st", 2: "nd", 3: "rd"}
#: Of two lines of one moment that which happens first stands first.
_ORDER: Final = ("planned", "skipped", "claimed", "enqueued", "sent")


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One thing that happened, or will.

    :param at: by Twilio's clock where Twilio tells it.
    :param kind: `planned`, `skipped`, `claimed`, a status, `click`, `preview`, `reply`, `looked_up`, `undecided`,
        `settled`, `window_closes`.
    :param recorded_at: when we wrote it down, by our clock.
    :param source: `send`, `list`, `fetch` or `webhook`.
    :param text: a sentence; a reply's words only where texts may be shown.
    """

    at: datetime
    kind: str
    text: str
    recorded_at: datetime | None = None
    source: str | None = None
    status_code: int | None = None


def tell(row: Mapping[str, Any], events: Rows, clicks: Rows, replies: Rows, *, mask: bool) -> list[StoryLine]:
    """Give what happened to a message, in order.

    :param row: of the ledger, with `planned_at`.
    :param mask: whether what people wrote is left out, and of links everything but the host.
    """
    lines = [*_of_ledger(row), *_of_events(events), *_of_clicks(clicks, mask=mask), *_of_replies(replies, mask=mask)]
    return sorted(lines, key=_place)


def _place(line: StoryLine) -> tuple[datetime, int, datetime]:
    """Twilio dates by the second: within one, what must come first does."""
    order = _ORDER.index(line.kind) if line.kind in _ORDER else len(_ORDER)
    return line.at.replace(microsecond=0), order, line.at


def _of_ledger(row: Mapping[str, Any]) -> Iterator[StoryLine]:
    if row["skip_reason"]:
        yield StoryLine(row["planned_at"], "skipped", explain_exclusion(row["skip_reason"]) or "It was left out.")
    else:
        yield StoryLine(row["planned_at"], "planned", "It was planned with its run.")
    if row["claimed_at"] is not None:
        times = f", the {_nth(row['attempts'])} time" if row["attempts"] > 1 else ""
        yield StoryLine(row["claimed_at"], "claimed", f"A batch took it to be posted{times}.")
    if row["looked_up_at"] is not None:
        text = (
            f"It was looked up at Twilio after its answer got lost; {row['lookups']} look-ups in a row found no trace."
        )
        yield StoryLine(row["looked_up_at"], "looked_up", text)
    if row["undecided_at"] is not None:
        yield StoryLine(row["undecided_at"], "undecided", "It might be one of several messages: a person has to look.")
    if row["settled_at"] is not None:
        yield StoryLine(row["settled_at"], "settled", "Nobody asks Twilio for it any more.")
    elif row["tracking_closes_at"] is not None:
        yield StoryLine(row["tracking_closes_at"], "window_closes", "Until then Twilio is asked for it.")


def _nth(number: int) -> str:
    is_teen = number % 100 in {11, 12, 13}
    return f"{number}{'th' if is_teen else _ENDINGS.get(number % 10, 'th')}"


def _of_events(events: Rows) -> Iterator[StoryLine]:
    for event in events:
        if event["status"] in _SAID:
            text = event["comment"] or _SAID[event["status"]]
            at, recorded_at = event["occurred_at"], event["recorded_at"]
            yield StoryLine(at, event["status"], text, recorded_at, event["source"], event["status_code"])


def _of_clicks(clicks: Rows, *, mask: bool) -> Iterator[StoryLine]:
    for click in clicks:
        kind, who = ("preview", "A program fetched") if click["is_bot"] else ("click", "Somebody opened")
        link = _host_of(click["link"]) if mask else click["link"]
        yield StoryLine(click["clicked_at"], kind, f"{who} {link}.", click["recorded_at"], "webhook")


def _host_of(link: str) -> str:
    """Word a link for who must not see what it may hold of a person: a number, or a token that opens something."""
    try:
        host = urlsplit(link if "//" in link else f"//{link}").hostname
    except ValueError:
        host = None
    return f"a link to {host}" if host else "a link"


def _of_replies(replies: Rows, *, mask: bool) -> Iterator[StoryLine]:
    for reply in replies:
        text = "The person wrote back." if mask else f"The person wrote back: {reply['body'] or ''}"
        yield StoryLine(reply["received_at"], "reply", text, reply["recorded_at"], reply["source"])
