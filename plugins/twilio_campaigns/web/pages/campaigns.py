"""All campaigns, and one of them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from twilio_campaigns.domain import page_urls
from twilio_campaigns.domain.scope import Page as Paging
from twilio_campaigns.domain.scope import Scope
from twilio_campaigns.warehouse.insight.campaigns import CampaignIndex, CampaignSort
from twilio_campaigns.warehouse.insight.figures import Figures
from twilio_campaigns.web.pages.figures import figures_of
from twilio_campaigns.web.pages.visit import BadInputError, NotFoundError, Page, Redirect, existing

if TYPE_CHECKING:
    from twilio_campaigns.web.pages.visit import Visit

_PREFIX: Final = "campaign__"
#: DAGs of this package that are no campaigns, and the page that tells of them.
_OTHERS: Final = ("reconcile_messages", "reconcile_audit", "warehouse_upgrade")
#: Rows of one page of a list.
_ROWS: Final = 25


def every(visit: Visit) -> Page:
    """All campaigns with their last runs, narrowed by the address's `q`, `since`, `until`; ordered by `sort`."""
    search = visit.query.get("q", "").strip()
    sort = visit.choice_of("sort", tuple(CampaignSort), CampaignSort.LAST_RUN)
    scope = Scope(since=day_of(visit, "since"), until=day_of(visit, "until"), dag_ids=readable_dags(visit))
    as_of = Figures(visit.warehouse).as_of(scope)
    listing = CampaignIndex(visit.warehouse).campaigns(
        search,
        sort=CampaignSort(sort),
        page=Paging(visit.number_of("page"), _ROWS),
        scope=scope,
    )
    return Page(
        "campaigns.html",
        {
            "section": "campaigns",
            "listing": existing(listing),
            "search": search,
            "sort": sort,
            "scope": scope,
            "as_of": as_of,
            "filtered": bool(search or scope.since or scope.until),
            "now": visit.warehouse.now(),
        },
    )


def one(visit: Visit) -> Page:
    """One campaign over its runs, narrowed by `since`, `until`, `country`, `sender`."""
    campaign_id = visit.path["campaign_id"]
    dag_ids = readable_dags(visit, campaign_id)
    if not dag_ids:
        raise NotFoundError(no_campaign(campaign_id))
    scope = Scope(
        campaign_id=campaign_id,
        since=day_of(visit, "since"),
        until=day_of(visit, "until"),
        country=country_of(visit),
        sender=visit.query.get("sender") or None,
        dag_ids=dag_ids,
    )
    runs = existing(CampaignIndex(visit.warehouse).runs(scope, Paging(visit.number_of("page"), 10)))
    return Page(
        "campaign.html",
        {
            "section": "campaigns",
            "campaign_id": campaign_id,
            "dag_ids": sorted(dag_ids),
            "scope": scope,
            "runs": runs,
            "now": visit.warehouse.now(),
            "filtered": bool(scope.since or scope.until or scope.country is not None or scope.sender),
            "choices": Figures(visit.warehouse).choices(scope),
            **figures_of(visit.warehouse, scope),
        },
    )


def of_dag(visit: Visit) -> Redirect:
    """Find what Airflow calls a DAG."""
    dag_id = visit.path["dag_id"]
    if dag_id in _OTHERS:
        return Redirect("/health-page")
    campaign_id = CampaignIndex(visit.warehouse).campaign_of(dag_id)
    if campaign_id is not None and dag_id in visit.visitor.readable([dag_id]):
        return Redirect(page_urls.campaign_path(campaign_id))
    if dag_id.startswith(_PREFIX):
        raise NotFoundError(no_campaign(dag_id.removeprefix(_PREFIX)))
    raise NotFoundError(f"DAG {dag_id} sends no campaign. Campaigns are DAGs whose names begin with {_PREFIX}.")


def readable_dags(visit: Visit, campaign_id: str | None = None) -> frozenset[str]:
    """Give the DAGs that the visitor may read, of those that have run a campaign, or any: what all else is asked of.

    A campaign's file may have been in several DAGs one after the other, or in one of another name; each run belongs
    to the DAG that made it.
    """
    return frozenset(visit.visitor.readable(CampaignIndex(visit.warehouse).dag_ids(campaign_id)))


def no_campaign(campaign_id: str) -> str:
    """Word that there is nothing to show of a campaign."""
    return (
        f"Campaign {campaign_id} has no run yet, or you may not read its DAG {_PREFIX}{campaign_id}. Unpause the DAG, "
        "or trigger it; this page has something to show as soon as its audience is frozen."
    )


def day_of(visit: Visit, name: str) -> date | None:
    """Read a day from the address.

    :raises BadInputError: when it is none.
    """
    given = visit.query.get(name, "").strip()
    if not given:
        return None
    try:
        return datetime.strptime(given, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError:
        raise BadInputError(f"{name} is {given!r} in the address; write a day as 2026-11-25.") from None


def country_of(visit: Visit) -> str | None:
    """Read a country from the address; `none` stands for numbers that cannot be read."""
    given = visit.query.get("country", "").strip()
    return None if not given else "" if given == "none" else given.upper()
