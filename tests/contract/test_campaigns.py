"""What every `CampaignStore` guarantees, and what closes of epochs pay for campaigns."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.stores import Stores
from support.worlds import FOREVER, HOUR, START, TERMS, World

from core.clock import new_id
from core.errors import InvalidInput
from storage.base import BonusInputs, Campaign, CampaignInputs, Epoch, FirstHours, Streak
from storage.base.ledger import Balances, Category

RICH = replace(TERMS, usage_pool=0, bonus_pool=10**15)
MINUTE = timedelta(minutes=1)


def make_campaign(**changes: object) -> Campaign:
    """A campaign of the first hour, of half as much again for everybody."""
    facts = {
        "campaign_id": new_id(),
        "name": "spring",
        "starts_at": START,
        "ends_at": START + HOUR,
        "country": None,
        "share": 5000,
        "budget": 10**18,
        "created_at": START,
        "updated_at": START,
        "updated_by": new_id(),
    }
    return Campaign(**{**facts, **changes})


@pytest.fixture
async def world(stores: Stores) -> World:
    return World(stores)


async def add(world: World, **changes: object) -> Campaign:
    campaign = make_campaign(**changes)
    assert await world.stores.campaigns.add(campaign, 99)
    return campaign


async def spent(world: World, campaign: Campaign) -> int:
    found = await world.stores.campaigns.campaign(campaign.campaign_id)
    assert found is not None
    return found.spent


def bonus(epoch: Epoch, category: Category = "campaign") -> tuple[int, int]:
    """What was paid of a bonus, and what was wanted of the pool."""
    (pool,) = [pool for pool in epoch.pools if pool.category == category]
    assert (pool.pool, pool.unallocated) == (pool.rewarded, 0)
    return pool.rewarded, pool.weight


# --- the store ------------------------------------------------------------------------------------


async def test_campaigns_are_found_again_the_newest_first(stores: Stores) -> None:
    campaigns = [make_campaign(name=name, country="DE") for name in ("one", "two", "three")]
    for campaign in campaigns:
        assert await stores.campaigns.add(campaign, 99)
        assert await stores.campaigns.campaign(campaign.campaign_id) == campaign
    first, second, third = campaigns
    assert await stores.campaigns.campaigns(None, 2) == [third, second]
    assert await stores.campaigns.campaigns(second.campaign_id, 9) == [first]
    assert await stores.campaigns.campaign(new_id()) is None


async def test_a_new_campaign_has_spent_nothing(stores: Stores) -> None:
    campaign = make_campaign(spent=5)
    await stores.campaigns.add(campaign, 99)
    assert await stores.campaigns.campaign(campaign.campaign_id) == replace(campaign, spent=0)


async def test_of_campaigns_that_are_not_over_there_are_only_so_many(stores: Stores) -> None:
    assert await stores.campaigns.add(make_campaign(ends_at=START + MINUTE), 3)
    later = [make_campaign(created_at=START + MINUTE) for _ in range(9)]
    added = await asyncio.gather(*(stores.campaigns.add(campaign, 3) for campaign in later))
    assert sum(added) == 3, "the one that is over does not count"


async def test_of_two_that_change_the_same_version_one_does(stores: Stores) -> None:
    campaign = make_campaign()
    await stores.campaigns.add(campaign, 99)
    changed = [replace(campaign, name=name, version=2, budget=7) for name in ("ours", "theirs")]
    outcomes = await asyncio.gather(*(stores.campaigns.change(each) for each in changed))
    assert sorted(outcomes) == ["changed", "outdated"]
    assert await stores.campaigns.campaign(campaign.campaign_id) == changed[outcomes.index("changed")]
    assert await stores.campaigns.change(replace(campaign, version=9)) == "outdated"
    assert await stores.campaigns.change(make_campaign(version=2)) == "outdated"


async def test_a_name_that_cannot_be_stored_is_refused(stores: Stores) -> None:
    with pytest.raises(InvalidInput):
        await stores.campaigns.add(make_campaign(name="a\0b"), 99)


# --- what is paid ---------------------------------------------------------------------------------


async def test_everybody_gets_a_share_of_what_their_work_earned_on_top(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    for user_id, seconds in ((ada, 100), (ada, 200), (ben, 700)):
        await world.report(await world.add_node(user_id), 0, 0, seconds)
    campaign = await add(world, share=3333)
    await world.begin(RICH)
    epoch = await world.close()
    shares = [300_000 * 3333 // 10_000, 700_000 * 3333 // 10_000]
    assert bonus(epoch) == (sum(shares), sum(shares))
    assert await world.balances(ada) == Balances(pending=300_000 + shares[0])
    assert await world.balances(ben) == Balances(pending=700_000 + shares[1])
    assert await spent(world, campaign) == sum(shares)
    assert await world.epochs.bonus_inputs(1, ada) == BonusInputs(
        first_seconds=0,
        streak=0,
        campaigns=[
            CampaignInputs(
                campaign_id=campaign.campaign_id,
                name="spring",
                country=None,
                share=3333,
                seconds=3600,
                available=10**18,
                wanted=sum(shares),
                paid=sum(shares),
            )
        ],
    )
    assert [each.country for each in await world.epochs.inputs(1, ada)] == [None, None]
    await world.check()


async def test_a_campaign_of_a_country_pays_for_the_nodes_that_are_there(world: World) -> None:
    ada = await world.add_user()
    here, there = await world.add_node(ada, country="DE"), await world.add_node(ada, country="FR")
    nowhere = await world.add_node(ada)
    for node_id in (here, there, nowhere):
        await world.report(node_id, 0, 0, 100)
        await world.report(node_id, 1, 0, 100)
    campaign = await add(world, country="DE", share=10_000)
    await world.begin(replace(RICH, availability_pool=300))
    assert bonus(await world.close()) == (100, 100)
    found = {each.node_id: each.country for each in await world.epochs.inputs(1, ada)}
    assert found == {here: "DE", there: "FR", nowhere: None}
    assert [pool.category for pool in (await world.close()).pools] == ["availability", "usage"]
    assert {each.country for each in await world.epochs.inputs(2, ada)} == {None}, "nobody asked for it"
    assert await spent(world, campaign) == 100
    await world.check()


async def test_a_retired_node_counts_where_it_was_last(world: World) -> None:
    ada = await world.add_user()
    node_id = await world.add_node(ada, country="DE")
    await world.report(node_id, 0, 0, 100)
    await world.stores.nodes.retire(ada, node_id, START + HOUR)
    await add(world, country="DE", share=10_000)
    await world.begin(RICH)
    assert bonus(await world.close()) == (1_000_000, 1_000_000)


async def test_of_an_epoch_a_campaign_pays_the_part_that_it_covers(world: World) -> None:
    ada = await world.add_user()
    node_id = await world.add_node(ada)
    for hour in range(4):
        await world.report(node_id, hour, 0, 100)
    start, end = START + timedelta(seconds=3599), START + 2 * HOUR + 15 * MINUTE
    campaign = await add(world, starts_at=start, ends_at=end, share=7777)
    await world.begin(RICH)
    earned = []
    for _ in range(4):
        await world.close()
        earned.append(await spent(world, campaign))
    parts = [1_000_000 * 7777 * seconds // (10_000 * 3600) for seconds in (1, 3600, 900, 0)]
    assert earned == [sum(parts[:number]) for number in range(1, 5)]
    assert (await world.balances(ada)).earned == 4_000_000 + sum(parts)
    await world.check()


async def test_the_last_epoch_of_a_budget_is_shared_and_then_nothing_is_paid_any_more(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    nodes = [await world.add_node(ada), await world.add_node(ben), await world.add_node(ben)]
    for hour in range(4):
        for node_id in nodes:
            await world.report(node_id, hour, 0, 100)
    campaign = await add(world, ends_at=START + 9 * HOUR, share=10_000, budget=1_000_000)
    await world.begin(replace(RICH, availability_pool=600_000))
    assert bonus(await world.close()) == (600_000, 600_000)
    # 400,000 are left for 200,000 and 400,000: 133,333 and 266,666.
    assert bonus(await world.close()) == (399_999, 399_999)
    (made,) = (await world.epochs.bonus_inputs(2, ada)).campaigns
    assert (made.available, made.wanted, made.paid) == (400_000, 600_000, 399_999)
    # One is left, and nobody's share of it is a whole one.
    assert await world.balances(ada) == Balances(pending=2 * 200_000 + 200_000 + 133_333)
    third = await world.close()
    assert [pool.category for pool in third.pools] == ["availability", "usage"]
    assert await spent(world, campaign) == 999_999
    await world.close()
    assert await spent(world, campaign) == 999_999
    await world.check()


async def test_an_exhausted_campaign_pays_again_when_it_gets_more(world: World) -> None:
    ada = await world.add_user()
    node_id = await world.add_node(ada)
    for hour in range(3):
        await world.report(node_id, hour, 0, 100)
    campaign = await add(world, ends_at=START + 9 * HOUR, budget=500_000)
    await world.begin(RICH)
    assert bonus(await world.close()) == (500_000, 500_000)
    assert [pool.category for pool in (await world.close()).pools] == ["availability", "usage"]
    more = replace(campaign, version=2, budget=500_007)
    assert await world.stores.campaigns.change(replace(more, budget=499_999)) == "spent"
    assert await world.stores.campaigns.change(more) == "changed"
    assert bonus(await world.close()) == (7, 7)
    assert await world.stores.campaigns.campaign(campaign.campaign_id) == replace(more, spent=500_007)
    await world.check()


async def test_campaigns_share_the_pool_of_bonuses_with_streaks_and_first_hours(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    for user_id, seconds in ((ada, 250), (ben, 750)):
        await world.report(await world.add_node(user_id, country="DE"), 0, 0, seconds)
    both = await add(world, share=4000)
    german = await add(world, share=10_000, country="DE", budget=300_001)
    terms = replace(
        RICH,
        bonus_pool=1_000_000,
        streak=Streak(days=1, least_seconds=250, amount=300_000),
        first_hours=FirstHours(hours=1, share=10_000),
    )
    await world.begin(terms)
    epoch = await world.close()
    # Wanted: streaks 600,000, first hours 1,000,000, campaigns 400,000 and 75,000 + 225,000 of 300,001.
    total = 600_000 + 1_000_000 + 400_000 + 300_000
    assert bonus(epoch, "streak") == (2 * (300_000 * 1_000_000 // total), 600_000)
    parts = {
        ada: (300_000, 250_000, 100_000, 75_000),
        ben: (300_000, 750_000, 300_000, 225_000),
    }
    paid = {who: [each * 1_000_000 // total for each in wanted] for who, wanted in parts.items()}
    assert bonus(epoch)[1] == 700_000
    for who, amounts in paid.items():
        assert (await world.balances(who)).earned == sum(amounts) + (250_000 if who == ada else 750_000)
    assert await spent(world, both) == paid[ada][2] + paid[ben][2]
    assert await spent(world, german) == paid[ada][3] + paid[ben][3]
    made = await world.epochs.bonus_inputs(1, ben)
    assert (made.first_seconds, made.streak) == (750, 1)
    assert [each.wanted for each in made.campaigns] == [400_000, 1_000_000]
    assert sum(pool.rewarded for pool in epoch.pools[2:]) <= 1_000_000
    await world.check()


async def test_without_a_pool_of_bonuses_campaigns_pay_nothing_and_spend_nothing(world: World) -> None:
    ada = await world.add_user()
    await world.report(await world.add_node(ada), 0, 0, 100)
    campaign = await add(world)
    await world.begin(replace(RICH, bonus_pool=0))
    assert bonus(await world.close()) == (0, 500_000)
    assert (await world.balances(ada)).earned == 1_000_000
    assert await spent(world, campaign) == 0
    await world.check()


async def test_a_campaign_gives_nothing_for_what_an_erased_person_would_have_got(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    for user_id in (ada, ben):
        await world.report(await world.add_node(user_id), 0, 0, 100)
    campaign = await add(world, share=10_000)
    await world.begin(RICH)
    await world.stores.users.erase(ada, START + MINUTE)
    assert bonus(await world.close()) == (500_000, 500_000)
    assert (await world.balances(ada)).earned == 0
    assert await spent(world, campaign) == 500_000
    await world.check()


async def test_what_is_paid_for_a_campaign_earns_no_commission_and_no_other_bonus(world: World) -> None:
    ada = await world.add_user()
    await world.report(await world.add_node(ada), 0, 0, 100)
    for _ in range(3):
        await add(world, share=10_000)
    await world.begin(replace(RICH, referral_pool=10**9))
    assert bonus(await world.close()) == (3_000_000, 3_000_000)
    await world.check()


async def test_a_change_and_a_close_at_the_same_moment_never_spend_more_than_the_budget(world: World) -> None:
    ada = await world.add_user()
    node_id = await world.add_node(ada)
    for hour in range(12):
        await world.report(node_id, hour, 0, 100)
    campaign = await add(world, ends_at=START + 99 * HOUR, share=10_000, budget=12 * 1_000_000)
    await world.begin(RICH)

    async def lower(budget: int) -> str:
        found = await world.stores.campaigns.campaign(campaign.campaign_id)
        assert found is not None
        return await world.stores.campaigns.change(
            replace(found, version=found.version + 1, budget=budget * 1_000_000)
        )

    outcomes = await asyncio.gather(
        *(world.epochs.close(FOREVER, START + 12 * HOUR) for _ in range(12)),
        *(lower(budget) for budget in (11, 9, 7, 5, 3)),
    )
    assert {outcome for outcome in outcomes if isinstance(outcome, str)} <= {"changed", "outdated", "spent"}
    found = await world.stores.campaigns.campaign(campaign.campaign_id)
    assert found is not None
    assert found.spent <= found.budget
    assert (await world.balances(ada)).earned == 12 * 1_000_000 + found.spent
    await world.check()


async def test_the_greatest_campaign_on_the_greatest_pools_is_exact(world: World) -> None:
    people = [await world.add_user() for _ in range(3)]
    most = (1 << 62) - 1
    nodes: list[UUID] = []
    for place, user_id in enumerate(people):
        nodes.append(await world.add_node(user_id, country="DE"))
        for hour in range(24):
            await world.report(nodes[-1], 19 + hour, 0, 3600 - place, up=most, down=most)
    campaign = await add(
        world,
        starts_at=START,
        ends_at=START + timedelta(days=9),
        share=100_000,
        budget=10**18 - 1,
        country="DE",
    )
    await world.epochs.set_terms(
        replace(TERMS, availability_pool=10**15, usage_pool=10**15, bonus_pool=10**15), START
    )
    await world.epochs.begin(START + timedelta(days=1), 86_400)
    epoch = await world.close()
    pool = 24 * 10**15
    weights = [24 * (3600 - place) * 5000 for place in range(3)]
    works = [pool * weight // sum(weights) + pool * (24 << 58) // (72 << 58) for weight in weights]
    wanted = [work * 100_000 * 86_400 // (10_000 * 86_400) for work in works]
    shares = [each * pool // sum(wanted) for each in wanted]
    assert epoch.pools[0].weight == sum(weights)
    assert epoch.pools[1].weight == 72 << 58
    for user_id, work, share in zip(people, works, shares, strict=True):
        assert (await world.balances(user_id)).earned == work + share
    assert await spent(world, campaign) == sum(shares)
    await world.check()
