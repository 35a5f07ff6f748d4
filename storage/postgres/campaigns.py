"""The campaigns."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from storage.base.campaigns import Campaign, CampaignInputs
from storage.campaigns import campaign_inputs
from storage.postgres.pool import Pool
from storage.postgres.queries import load

_SQL = load("campaigns")
_RUNNING = load("epochs")["running"]
# Seconds that a change may take: it waits for an epoch that is being closed.
CHANGING = 120


class PostgresCampaigns:
    """`CampaignStore` on PostgreSQL. A close locks those that it pays."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, campaign: Campaign, most: int) -> bool:
        async with self._pool.transaction() as connection:
            await connection.execute(_SQL["lock"])
            if await connection.fetchval(_SQL["unfinished"], campaign.created_at) >= most:
                return False
            await connection.execute(_SQL["add"], *_values(campaign), campaign.created_at)
            return True

    async def campaign(self, campaign_id: UUID) -> Campaign | None:
        row = await self._pool.fetchrow(_SQL["campaign"], campaign_id)
        return row and _campaign(row)

    async def campaigns(self, before: UUID | None, limit: int) -> list[Campaign]:
        return [_campaign(row) for row in await self._pool.fetch(_SQL["campaigns"], before, limit)]

    async def change(self, campaign: Campaign) -> Literal["changed", "outdated", "spent"]:
        async with self._pool.transaction(CHANGING) as connection:
            former = await connection.fetchrow(_SQL["lock_one"], campaign.campaign_id)
            if former is None or former["version"] != campaign.version - 1:
                return "outdated"
            if former["spent"] > campaign.budget:
                return "spent"
            await connection.execute(_SQL["change"], *_values(campaign))
            return "changed"


async def running(connection: Any, starts_at: datetime, ends_at: datetime) -> list[CampaignInputs]:
    """What campaigns have to give in an epoch, in order of their ids; the transaction locks them."""
    rows = await connection.fetch(_RUNNING, starts_at, ends_at)
    found = [campaign_inputs(_campaign(row), starts_at, ends_at) for row in rows]
    return [each for each in found if each is not None]


def campaign_record(row: Any) -> CampaignInputs:
    """What a campaign came to in an epoch."""
    amounts = {name: int(row[name]) for name in ("available", "wanted", "paid")}
    return CampaignInputs(**{**row, **amounts})


def _campaign(row: Any) -> Campaign:
    return Campaign(**{**row, "budget": int(row["budget"]), "spent": int(row["spent"])})


def _values(campaign: Campaign) -> tuple[Any, ...]:
    return (
        campaign.campaign_id,
        campaign.name,
        campaign.starts_at,
        campaign.ends_at,
        campaign.country,
        campaign.share,
        campaign.budget,
        campaign.version,
        campaign.updated_at,
        campaign.updated_by,
    )
