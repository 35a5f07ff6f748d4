"""Campaigns, for the staff."""

import re
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from litestar import Router, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta, Struct

from core.errors import InvalidInput
from core.http.moments import moment
from core.http.openapi import fails
from core.http.pages import PAGE_DEFAULT, Cursor, Limit, cursor_of, position, split
from core.http.permissions import may
from core.http.views import Text
from services.campaigns import CampaignChange, CampaignDraft, Campaigns, CampaignState
from services.tokens import Principal
from storage.base import Campaign

Moment = Annotated[str, Meta(max_length=64, extra_json_schema={"format": "date-time"})]
Amount = Annotated[str, Meta(max_length=19, pattern="^[0-9]+$")]
_AMOUNT: Final = re.compile(r"[0-9]{1,19}\Z")


class CampaignView(Struct):
    """From `starts_at` to `ends_at` work earns `share` (10,000ths) on top, of nodes in `country`, or of all.

    All of it comes to `budget` (micro-points) at most, of which `spent` are booked. `planned`: it has not
    begun; `exhausted`: all of the budget is spent. `version` counts its changes.
    """

    campaign_id: UUID
    name: str
    state: CampaignState
    starts_at: datetime
    ends_at: datetime
    country: str | None
    share: int
    budget: str
    spent: str
    version: int
    created_at: datetime
    updated_at: datetime
    updated_by: UUID


class CampaignPage(Struct):
    """A page of campaigns, the newest first; `next_cursor` is null on the last."""

    items: list[CampaignView]
    next_cursor: str | None


class NewCampaign(Struct, forbid_unknown_fields=True):
    """What a campaign is to be: 1 to 100,000 10,000ths of what work earned, 10^18 micro-points at most.

    Times are whole seconds. Without `starts_at` it begins at once, without `country` it is for all nodes.
    """

    name: Text
    ends_at: Moment
    share: int
    budget: Amount
    starts_at: Moment | None = None
    country: Text | None = None


class CampaignUpdate(Struct, forbid_unknown_fields=True):
    """What is to be replaced; what is left out stays. `version` is the one that was read.

    What has begun keeps `starts_at` and `share`. A `budget` of what is spent stops it at once.
    """

    version: int
    name: Text | None = None
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    share: int | None = None
    budget: Amount | None = None


@get("/admin/campaigns", opt=may("support"), responses=fails())
async def list_campaigns(
    campaigns: NamedDependency[Campaigns], limit: Limit = PAGE_DEFAULT, cursor: Cursor = None
) -> CampaignPage:
    """All campaigns: planned ones, running ones and former ones, and what they paid."""
    found = await campaigns.campaigns(position(cursor), limit + 1)
    page, last = split(found, limit)
    return CampaignPage(
        [_view(campaigns, each) for each in page], cursor_of(last.campaign_id) if last else None
    )


@get("/admin/campaigns/{campaign_id:uuid}", opt=may("support"), responses=fails("campaign_not_found"))
async def view_campaign(campaign_id: FromPath[UUID], campaigns: NamedDependency[Campaigns]) -> CampaignView:
    """One campaign."""
    return _view(campaigns, await campaigns.campaign(campaign_id))


@post(
    "/admin/campaigns",
    status_code=201,
    opt=may("operator", idempotent=True),
    responses=fails("campaigns_most", "range_invalid"),
)
async def add_campaign(
    data: JSONBody[NewCampaign],
    principal: NamedDependency[Principal],
    campaigns: NamedDependency[Campaigns],
) -> CampaignView:
    """Make a campaign, from now or from a later time on."""
    draft = CampaignDraft(
        name=data.name,
        starts_at=moment(data.starts_at, "starts_at"),
        ends_at=_moment(data.ends_at, "ends_at"),
        country=data.country,
        share=data.share,
        budget=_amount(data.budget),
    )
    return _view(campaigns, await campaigns.add(principal, draft))


@patch(
    "/admin/campaigns/{campaign_id:uuid}",
    opt=may("operator"),
    responses=fails(
        "campaign_not_found",
        "campaign_changed",
        "campaign_over",
        "campaign_begun",
        "campaign_spent",
        "range_invalid",
    ),
)
async def change_campaign(
    campaign_id: FromPath[UUID],
    data: JSONBody[CampaignUpdate],
    principal: NamedDependency[Principal],
    campaigns: NamedDependency[Campaigns],
) -> CampaignView:
    """Change a campaign that is not over; nothing that has happened is paid otherwise."""
    change = CampaignChange(
        version=data.version,
        name=data.name,
        starts_at=moment(data.starts_at, "starts_at"),
        ends_at=moment(data.ends_at, "ends_at"),
        share=data.share,
        budget=None if data.budget is None else _amount(data.budget),
    )
    return _view(campaigns, await campaigns.change(principal, campaign_id, change))


def _moment(text: str, name: str) -> datetime:
    found = moment(text, name)
    if found is None:
        raise AssertionError("a text was given")
    return found


def _amount(text: str) -> int:
    if not _AMOUNT.match(text):
        raise InvalidInput("invalid_input", "budget: must be digits, 19 at most.", field="budget")
    return int(text)


def _view(campaigns: Campaigns, campaign: Campaign) -> CampaignView:
    return CampaignView(
        campaign_id=campaign.campaign_id,
        name=campaign.name,
        state=campaigns.state(campaign),
        starts_at=campaign.starts_at,
        ends_at=campaign.ends_at,
        country=campaign.country,
        share=campaign.share,
        budget=str(campaign.budget),
        spent=str(campaign.spent),
        version=campaign.version,
        created_at=campaign.created_at,
        updated_at=campaign.updated_at,
        updated_by=campaign.updated_by,
    )


campaigns_admin = Router(
    "/",
    route_handlers=[list_campaigns, view_campaign, add_campaign, change_campaign],
    tags=["admin"],
)
