"""Campaigns: for a while, work earns more, everywhere or in one country."""

from datetime import datetime
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct


class Campaign(Struct, frozen=True, kw_only=True):
    """From `starts_at` to `ends_at` work earns `share` (10,000ths) on top, of nodes in `country`.

    `country` None: of all nodes. Times are whole seconds. All of it comes to `budget` micro-points at most,
    of which `spent` are booked. `version` counts from 1; `updated_by` made it so.
    """

    campaign_id: UUID
    name: str
    starts_at: datetime
    ends_at: datetime
    country: str | None
    share: int
    budget: int
    spent: int = 0
    version: int = 1
    created_at: datetime
    updated_at: datetime
    updated_by: UUID


class CampaignInputs(Struct, frozen=True, kw_only=True):
    """What a campaign came to in a closed epoch, of which it covers `seconds`.

    `available` was left of its budget, `wanted` is what all together would have got of it without a limit,
    and `paid` what was booked.
    """

    campaign_id: UUID
    name: str
    country: str | None
    share: int
    seconds: int
    available: int
    wanted: int
    paid: int


class CampaignStore(Protocol):
    """Campaigns. What they paid is added by closes of epochs alone, in the close's own transaction."""

    async def add(self, campaign: Campaign, most: int) -> bool:
        """Add a campaign; false if there are `most` already that end after it was made.

        Of concurrent calls no more than `most` are added.
        """
        ...

    async def campaign(self, campaign_id: UUID) -> Campaign | None:
        """A campaign."""
        ...

    async def campaigns(self, before: UUID | None, limit: int) -> list[Campaign]:
        """All of them, the newest first, those with ids below `before`."""
        ...

    async def change(self, campaign: Campaign) -> Literal["changed", "outdated", "spent"]:
        """Put `campaign` in the place of its former version; waits for a close that is under way.

        What was spent stays as it is. outdated: there is no version right before this one. spent: more is
        booked already than its budget.
        """
        ...
