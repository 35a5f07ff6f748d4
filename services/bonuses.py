"""How somebody's bonuses in an epoch were computed: enough to do it again by hand."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from storage.base import BonusInputs, CampaignInputs, Category, Epoch, NodeInputs, Terms
from storage.campaigns import campaign_bonus
from storage.epochs import BONUSES, first_bonus, pool_of, scaled, seconds_of

METHOD: Final = [
    "streak = its amount, for a number of days in a row that can be divided by its days",
    "first_hours = reward × share × seconds among the first / (10000 × all seconds)",
    "campaign = reward of the nodes in its country × share × seconds of it / (10000 × seconds of the epoch)",
    "a campaign that is wanted for more than is left of its budget gives bonus × available / wanted",
    "all bonuses that are wanted for more than their pool are bonus × pool / wanted of the pool",
]


class CampaignPart(Struct, frozen=True, kw_only=True):
    """What a campaign came to in an epoch, of which it covers `seconds`.

    `available` was left of its budget, `wanted` is what all together would have got of it without a limit,
    and `paid` what they did get.
    """

    campaign_id: UUID
    name: str
    country: str | None
    share: int
    seconds: int
    available: str
    wanted: str
    paid: str


class BonusShare(Struct, frozen=True, kw_only=True):
    """One of one's bonuses: `wanted` of the pool, and the `amount` that it came to.

    `days` are the days in a row of a streak, `seconds` those among the first hours, `reward` is what work
    earned that it is a share of. `arithmetic` says the same in words and numbers.
    """

    category: Category
    campaign: CampaignPart | None
    days: int | None
    seconds: int | None
    reward: str | None
    wanted: str
    amount: str
    arithmetic: list[str]


class BonusesView(Struct, frozen=True, kw_only=True):
    """The `pool` of bonuses, what was `wanted` of it by all, and one's own share in it."""

    pool: str
    wanted: str
    own: list[BonusShare]


def bonuses_view(
    epoch: Epoch, terms: Terms, nodes: Sequence[NodeInputs], made: BonusInputs
) -> BonusesView | None:
    """The bonuses of whose nodes these are; None where nobody had one."""
    wanted = sum(pool.weight for pool in epoch.pools if pool.category in BONUSES)
    if not wanted:
        return None
    pool = pool_of(terms.bonus_pool, seconds_of(epoch.starts_at, epoch.ends_at))
    return BonusesView(
        pool=str(pool),
        wanted=str(wanted),
        own=[
            _of_pool(share, pool, wanted)
            for share in (*_own(terms, nodes, made), *_campaigns(epoch, nodes, made.campaigns))
            if share.wanted != "0"
        ],
    )


def _of_pool(share: BonusShare, pool: int, wanted: int) -> BonusShare:
    """`share` with what it came to."""
    amount = scaled(int(share.wanted), pool, wanted)
    if wanted > pool:
        share.arithmetic.append(f"{share.category} = {share.wanted} × {pool} / {wanted} = {amount}")
    return replace(share, amount=str(amount))


def _own(terms: Terms, nodes: Sequence[NodeInputs], made: BonusInputs) -> Iterator[BonusShare]:
    """What somebody's own days and hours are worth."""
    if terms.streak and made.streak:
        yield BonusShare(
            category="streak",
            campaign=None,
            days=made.streak,
            seconds=None,
            reward=None,
            wanted=str(terms.streak.amount),
            amount="0",
            arithmetic=[f"streak = {terms.streak.amount} for {made.streak} days in a row"],
        )
    if terms.first_hours and made.first_seconds:
        reward, seconds = _reward(nodes), sum(node.seconds for node in nodes)
        wanted = first_bonus(reward, made.first_seconds, seconds, terms)
        share = terms.first_hours.share
        words = f"{reward} × {share} × {made.first_seconds} / (10000 × {seconds})"
        yield BonusShare(
            category="first_hours",
            campaign=None,
            days=None,
            seconds=made.first_seconds,
            reward=str(reward),
            wanted=str(wanted),
            amount="0",
            arithmetic=[f"first_hours = {words} = {wanted}"],
        )


def _campaigns(
    epoch: Epoch, nodes: Sequence[NodeInputs], campaigns: Sequence[CampaignInputs]
) -> Iterator[BonusShare]:
    length = seconds_of(epoch.starts_at, epoch.ends_at)
    for each in campaigns:
        reward = _reward([node for node in nodes if each.country in (None, node.country)])
        bonus = campaign_bonus(reward, each.share, each.seconds, length)
        wanted = scaled(bonus, each.available, each.wanted)
        words = f"{reward} × {each.share} × {each.seconds} / (10000 × {length})"
        arithmetic = [f"campaign {each.name} = {words} = {bonus}"]
        if each.wanted > each.available:
            arithmetic.append(f"campaign {each.name} = {bonus} × {each.available} / {each.wanted} = {wanted}")
        yield BonusShare(
            category="campaign",
            campaign=CampaignPart(
                campaign_id=each.campaign_id,
                name=each.name,
                country=each.country,
                share=each.share,
                seconds=each.seconds,
                available=str(each.available),
                wanted=str(each.wanted),
                paid=str(each.paid),
            ),
            days=None,
            seconds=None,
            reward=str(reward),
            wanted=str(wanted),
            amount="0",
            arithmetic=arithmetic,
        )


def _reward(nodes: Sequence[NodeInputs]) -> int:
    return sum(node.availability + node.usage for node in nodes)
