"""What the logs of tasks end with: tables of what happened. Counts only, never a number, a body or a secret."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from twilio_campaigns.domain.errors import error_entry
from twilio_campaigns.domain.forecast import Forecast
from twilio_campaigns.domain.log_table import log_figures, log_table
from twilio_campaigns.domain.preview import Preview
from twilio_campaigns.engine.freeze import plan_of
from twilio_campaigns.engine.send import campaign_of
from twilio_campaigns.warehouse.preview import LedgerView
from twilio_campaigns.warehouse.runs import RunStore
from twilio_campaigns.warehouse.telling import audience_tallies, parts_before

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping
    from datetime import date, timedelta

    from twilio_campaigns.engine.chunk import Tally
    from twilio_campaigns.engine.reconcile import Look
    from twilio_campaigns.warehouse.connection import Warehouse
    from twilio_campaigns.warehouse.ledger import Progress
    from twilio_campaigns.warehouse.reconciling import Pass
    from twilio_campaigns.warehouse.resolving import Resolved


def tell_audience(warehouse: Warehouse, run_key: str) -> Iterator[str]:
    """Give the tables of a frozen audience: who is texted, who is not and why, how long it takes, what it costs.

    Costs follow from what the sender's parts cost within the last 30 days, by country; messages to a country without
    such a price are counted apart. Nothing is said of a run that has no audience.
    """
    run = RunStore(warehouse).run(run_key)
    if run is None or not run.spec:
        return
    campaign = campaign_of(run.spec)
    plan = plan_of(campaign)
    tallies = audience_tallies(warehouse, run_key)
    planned = [tally for tally in tallies if tally.reason is None]
    forecast = Forecast(
        messages=sum(tally.rows for tally in planned),
        parts=sum(tally.parts for tally in planned),
        parts_ahead=parts_before(warehouse, plan.sender, run_key),
        parts_per_second=plan.parts_per_second,
        released_per_second=plan.released_per_second,
    )
    prices = LedgerView(warehouse, campaign.campaign_id, plan).prices()
    audience = Preview(tallies, (), forecast, prices, None)
    yield from log_figures(f"Audience of run {run_key}", _audience_figures(audience))
    yield from log_table("Left out", [{"reason": why, "rows": rows} for why, rows in audience.exclusions().items()])


def _audience_figures(audience: Preview) -> dict[str, object]:
    forecast = audience.forecast
    costs = {f"estimated cost, {unit}": round(amount, 2) for unit, amount in sorted(audience.costs().items())}
    return {
        "audience": audience.audience,
        "excluded": audience.audience - forecast.messages,
        "planned": forecast.messages,
        "parts": forecast.parts,
        "parts of other runs before": forecast.parts_ahead,
        "parts per second": forecast.parts_per_second,
        "estimated duration": forecast.takes,
        **(costs or {"estimated cost": None}),
        "messages of unknown price": audience.unpriced(),
    }


def tell_batch(title: str, tally: Tally, left: Progress, took: timedelta) -> Iterator[str]:
    """Give the tables of one try at a batch.

    :param left: the batch as it stands after it.
    :param took: how long the try was at it.
    """
    done, seconds = tally.accepted + tally.refused, took.total_seconds()
    yield from log_figures(
        title,
        {
            "accepted by this try": tally.accepted,
            "refused": tally.refused,
            "outcome unknown": tally.unknown,
            "given back": tally.released,
            "too late or opted out": tally.moved_aside,
            "duration": took,
            "messages per second": round(done / seconds, 1) if seconds else None,
            "accepted in all": left.accepted,
            "left: planned": left.planned,
            "left: claimed by others": left.claimed,
            "left: unknown": left.unknown,
        },
    )
    yield from tell_refusals(tally.refused_codes)


def tell_resolving(
    run_key: str, found: Resolved, freed: int, sent: Tally, left: Progress, wake_at: datetime | None
) -> Iterator[str]:
    """Give the tables of looking for lost answers.

    :param freed: how many messages may be sent again.
    :param sent: what this try sent again, or for the first time after a pause.
    :param left: the run as it stands.
    :param wake_at: when it is looked at again; `None`: not by this task.
    """
    yield from log_figures(
        f"Lost answers of run {run_key}",
        {
            "found at Twilio": found.adopted,
            "no trace, planned again": freed,
            "might be one of several": found.undecided,
            "accepted by this try": sent.accepted,
            "refused": sent.refused,
            "left: planned": left.planned,
            "left: claimed by others": left.claimed,
            "left: unknown": left.unknown,
            "next look": wake_at,
        },
    )
    yield from tell_refusals(sent.refused_codes)


def tell_look(day: date, look: Look) -> Iterator[str]:
    """Give the table of one look at a day."""
    if look.reading is None:
        yield f"Day {day}: somebody else is reading it."
    else:
        yield from log_figures(f"Day {day}: {look.reading.kind}", _pass_figures(look.reading))
    yield from log_figures(
        f"Day {day} from here",
        {"open": look.open_rows, "unresolved": look.unresolved, "next look": None if look.finished else look.wake_at},
    )


def _pass_figures(reading: Pass) -> dict[str, object]:
    return {
        "API calls": reading.api_calls,
        "messages read by list": reading.listed,
        "messages read by fetch": reading.fetches,
        "of them campaigns'": reading.observed,
        **{f"now {status}": n for status, n in reading.news.most_common()},
        "events written": reading.events_written,
        "settled": reading.settled,
    }


def tell_refusals(refused: Counter[int | None]) -> Iterator[str]:
    """Give the table of what Twilio refused at once, the most frequent code first."""
    yield from log_table(
        "Refused",
        [
            error_row({"status_code": code, "error": entry.name, "messages": n, "comment": entry.comment})
            for code, n in refused.most_common()
            if (entry := error_entry(code)) is not None
        ],
    )


def as_json(value: object) -> object:
    """Give an amount as the number that JSON has for it, and a moment as text by ISO 8601."""
    if isinstance(value, datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def error_row(row: Mapping[str, Any]) -> dict[str, object]:
    """Give what a table shows of a kind of error; its remedy last, because it is long.

    :param row: with status_code, error, messages and comment, as view `delivery_errors` has them.
    """
    return {
        "code": "" if row["status_code"] is None else str(row["status_code"]),
        "error": row["error"] or "",
        "messages": row["messages"],
        "what_to_do": row["comment"] or "",
    }
