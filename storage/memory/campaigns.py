"""The campaigns."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec.structs import replace

from storage.base.campaigns import Campaign, CampaignInputs
from storage.campaigns import campaign_inputs
from storage.memory.database import MemoryDatabase, require_storable


class MemoryCampaigns:
    """`CampaignStore` in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._db = database

    async def add(self, campaign: Campaign, most: int) -> bool:
        require_storable(campaign.name)
        known = self._db.campaigns.values()
        if sum(each.ends_at > campaign.created_at for each in known) >= most:
            return False
        self._db.campaigns[campaign.campaign_id] = replace(campaign, spent=0)
        return True

    async def campaign(self, campaign_id: UUID) -> Campaign | None:
        return self._db.campaigns.get(campaign_id)

    async def campaigns(self, before: UUID | None, limit: int) -> list[Campaign]:
        found = sorted(self._db.campaigns, reverse=True)
        return [self._db.campaigns[each] for each in found if before is None or each < before][:limit]

    async def change(self, campaign: Campaign) -> Literal["changed", "outdated", "spent"]:
        require_storable(campaign.name)
        former = self._db.campaigns.get(campaign.campaign_id)
        if former is None or former.version != campaign.version - 1:
            return "outdated"
        if former.spent > campaign.budget:
            return "spent"
        self._db.campaigns[campaign.campaign_id] = replace(
            campaign, spent=former.spent, created_at=former.created_at
        )
        return "changed"


def running(db: MemoryDatabase, starts_at: datetime, ends_at: datetime) -> list[CampaignInputs]:
    """What campaigns have to give in an epoch, in order of their ids."""
    found = [campaign_inputs(db.campaigns[each], starts_at, ends_at) for each in sorted(db.campaigns)]
    return [each for each in found if each is not None]


def spend(db: MemoryDatabase, number: int, campaigns: Iterable[CampaignInputs]) -> None:
    """Remember what campaigns came to in an epoch."""
    db.epoch_campaigns[number] = list(campaigns)
    for each in db.epoch_campaigns[number]:
        campaign = db.campaigns[each.campaign_id]
        db.campaigns[each.campaign_id] = replace(campaign, spent=campaign.spent + each.paid)


def named(db: MemoryDatabase, number: int) -> list[CampaignInputs]:
    """What campaigns came to in an epoch, by the names they have now."""
    found = db.epoch_campaigns.get(number, [])
    return [replace(each, name=db.campaigns[each.campaign_id].name) for each in found]
