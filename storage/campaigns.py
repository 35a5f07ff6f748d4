"""The arithmetic of campaigns, and of all bonuses together, apart from any store.

Whole numbers only, every division rounded down (``//``). A campaign that covers ``seconds`` of an epoch gives
each person, for what all their nodes in its country earned by work in it::

    bonus = (availability + usage) * share * seconds // (10000 * length of the epoch)

If all bonuses of a campaign together are more than what is left of its budget, each is
``bonus * left // sum``. After that all bonuses of all sorts share the pool: if they are more, each is
``bonus * pool // sum``. What is paid in the end is spent of a campaign's budget: never more than that.

The SQL of the PostgreSQL adapter says the same.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from storage.base.campaigns import Campaign, CampaignInputs
from storage.base.epochs import Pool
from storage.base.ledger import Category
from storage.epochs import BONUSES, scaled, seconds_of
from storage.scores import POINTS


class Granted(Struct, frozen=True, kw_only=True):
    """An epoch's bonuses by person and category, what they had of the pool, and what each campaign did."""

    bonuses: dict[tuple[UUID, Category], int]
    pools: list[Pool]
    campaigns: list[CampaignInputs]


def covered(campaign: Campaign, starts_at: datetime, ends_at: datetime) -> int:
    """How many seconds of an epoch a campaign covers."""
    first, last = max(campaign.starts_at, starts_at), min(campaign.ends_at, ends_at)
    return max(0, seconds_of(first, last))


def campaign_inputs(campaign: Campaign, starts_at: datetime, ends_at: datetime) -> CampaignInputs | None:
    """What a campaign has to give in an epoch; None: nothing, it is not its time or all is spent."""
    seconds, available = covered(campaign, starts_at, ends_at), campaign.budget - campaign.spent
    if not seconds or not available:
        return None
    return CampaignInputs(
        campaign_id=campaign.campaign_id,
        name=campaign.name,
        country=campaign.country,
        share=campaign.share,
        seconds=seconds,
        available=available,
        wanted=0,
        paid=0,
    )


def campaign_bonus(reward: int, share: int, seconds: int, length: int) -> int:
    """What a campaign that covers so many seconds of an epoch's `length` gives for a reward, unlimited."""
    return reward * share * seconds // (POINTS * length)


def grant(
    own: Mapping[tuple[UUID, Category], int],
    campaigns: Sequence[CampaignInputs],
    earned: Mapping[tuple[UUID, str | None], int],
    length: int,
    pool: int,
) -> Granted:
    """Share the pool of bonuses out, in an epoch of so many seconds.

    `own` are the bonuses for what people did themselves. `earned` is what work earned, by person and country
    of their nodes, None where it is unknown. Of `campaigns` those come back that were wanted for anything.
    """
    bonuses: dict[tuple[UUID, Category, UUID | None], int] = {
        (user_id, category, None): amount for (user_id, category), amount in own.items()
    }
    wanted: dict[UUID, int] = {}
    for campaign in campaigns:
        rewards: dict[UUID, int] = defaultdict(int)
        for (user_id, country), amount in earned.items():
            if campaign.country in (None, country):
                rewards[user_id] += amount
        shares = {
            user_id: campaign_bonus(reward, campaign.share, campaign.seconds, length)
            for user_id, reward in rewards.items()
        }
        total = wanted[campaign.campaign_id] = sum(shares.values())
        for user_id, amount in shares.items():
            bonuses[user_id, "campaign", campaign.campaign_id] = scaled(amount, campaign.available, total)
    total = sum(bonuses.values())
    weights: dict[Category, int] = defaultdict(int)
    spent: dict[UUID, int] = defaultdict(int)
    granted: dict[tuple[UUID, Category], int] = defaultdict(int)
    for (user_id, category, campaign_id), amount in bonuses.items():
        paid = scaled(amount, pool, total)
        weights[category] += amount
        granted[user_id, category] += paid
        if campaign_id is not None:
            spent[campaign_id] += paid
    sums: dict[Category, int] = defaultdict(int)
    for (_, category), paid in granted.items():
        sums[category] += paid
    return Granted(
        bonuses=dict(granted),
        pools=[
            Pool(
                category=category,
                pool=sums[category],
                weight=weights[category],
                rewarded=sums[category],
                unallocated=0,
            )
            for category in BONUSES
            if weights[category]
        ],
        campaigns=[
            replace(campaign, wanted=wanted[campaign.campaign_id], paid=spent[campaign.campaign_id])
            for campaign in campaigns
            if wanted[campaign.campaign_id]
        ],
    )
