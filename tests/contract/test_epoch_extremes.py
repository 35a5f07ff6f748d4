"""Epochs at the edges: nothing, everything, too much, people who go, and terms that change."""

from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.stores import Stores
from support.worlds import FOREVER, HOUR, START, TERMS, World

from storage.base import Balances, Epoch, FirstHours, ReferralTerms, Streak
from storage.base.ledger import Category

MOST = (1 << 62) - 1
COUNTED = 1 << 57


@pytest.fixture
async def world(stores: Stores) -> World:
    return World(stores)


def pools(epoch: Epoch) -> dict[Category, tuple[int, int, int, int]]:
    return {pool.category: (pool.pool, pool.weight, pool.rewarded, pool.unallocated) for pool in epoch.pools}


async def summary(world: World, *user_ids: UUID) -> tuple[object, ...]:
    """Everything that an epoch could change of people's accounts and the house's."""
    return (
        await world.ledger.balances(user_ids),
        await world.ledger.house(),
        await world.epochs.epochs(None, 99),
        [await world.ledger.history(user_id, None, 99) for user_id in user_ids],
    )


# --- weights --------------------------------------------------------------------------------------


async def test_seconds_that_weigh_nothing_earn_nothing_and_all_is_unallocated(world: World) -> None:
    ada = await world.add_user()
    await world.report(await world.add_node(ada), 0, 0, 3600)
    terms = replace(TERMS, unmeasured_score=0, bonus_pool=10**9, referral_pool=10**9)
    await world.begin(replace(terms, first_hours=FirstHours(hours=1, share=10_000)))
    epoch = await world.close()
    assert (epoch.nodes, epoch.users) == (1, 1)
    assert pools(epoch) == {"availability": (1_000_000, 0, 0, 1_000_000), "usage": (500_000, 0, 0, 500_000)}
    assert (await world.balances(ada)).earned == 0
    for _ in range(3):
        await world.close()
    assert (await world.ledger.house())["unallocated"] == 4 * 1_500_000
    await world.check()


async def test_late_work_in_an_epoch_that_had_none_is_paid_from_the_corrections(world: World) -> None:
    ada = await world.add_user()
    node_id = await world.add_node(ada)
    await world.begin()
    await world.close()
    await world.report(node_id, 0, 0, 60, up=5)
    for _ in range(2):
        await world.close()
    assert (await world.balances(ada)).earned == 1_500_000
    house = await world.ledger.house()
    assert house == {"issued": -4_500_000, "unallocated": 4_500_000, "corrections": -1_500_000}
    await world.check()


async def test_negative_bytes_weigh_nothing(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    await world.report(await world.add_node(ada), 0, 0, 60, up=-(10**18), down=-MOST)
    await world.report(await world.add_node(ben), 0, 0, 60, up=1)
    await world.begin()
    epoch = await world.close()
    assert pools(epoch)["usage"] == (500_000, 1, 500_000, 0)
    assert await world.balances(ada) == Balances(pending=500_000)
    assert [each.bytes for each in await world.epochs.inputs(1, ada)] == [0]
    await world.check()


async def test_enormous_weights_on_enormous_pools_are_exact_to_the_micro_point(world: World) -> None:
    people = [await world.add_user() for _ in range(5)]
    nodes = [await world.add_node(user_id) for user_id in people]
    reported: dict[UUID, int] = {}
    for place, node_id in enumerate(nodes[:4]):
        for hour in range(24):
            await world.report(node_id, 19 + hour, 0, 3600, up=MOST, down=(1 << place) - 1)
        reported[node_id] = 24 * (COUNTED + (1 << place) - 1)
    await world.report(nodes[4], 19, 0, 1, up=1)
    reported[nodes[4]] = 1
    terms = replace(
        TERMS, availability_pool=10**15, usage_pool=10**15, unmeasured_score=10_000, hold_seconds=86_400
    )
    await world.epochs.set_terms(terms, START)
    await world.epochs.begin(START + timedelta(days=1), 86_400)
    epoch = await world.close()
    pool, usage = 24 * 10**15, sum(reported.values())
    seconds = [86_400] * 4 + [1]
    shares = [
        pool * each // sum(seconds) + pool * reported[node_id] // usage
        for each, node_id in zip(seconds, nodes, strict=True)
    ]
    assert epoch.pools[1].weight == usage
    assert [(await world.balances(user_id)).earned for user_id in people] == shares
    assert sum(each.unallocated for each in epoch.pools) == 2 * pool - sum(shares)
    # The one that had next to nothing turns out to have had as much as the others.
    for hour in range(24):
        await world.report(nodes[4], 19 + hour, 0, 3600, up=MOST)
    await world.close()
    total = usage - 1 + 24 * COUNTED
    late = pool // 5 + pool * (24 * COUNTED) // total
    assert (await world.balances(people[4])).earned == late
    assert [(await world.balances(user_id)).earned for user_id in people[:4]] == shares[:4]
    await world.check()


async def test_one_node_may_have_every_pool_to_itself(world: World) -> None:
    parent = await world.join()
    child = await world.join(parent)
    await world.report(await world.add_node(child), 0, 0, 1, up=1)
    await world.stores.referrals.activate(START, 1)
    terms = replace(
        TERMS,
        availability_pool=10**15,
        usage_pool=10**15,
        bonus_pool=10**15,
        referral_pool=10**15,
        streak=Streak(days=1, least_seconds=1, amount=10**18),
        first_hours=FirstHours(hours=1, share=10_000),
        referrals=ReferralTerms(shares=(10_000, 10_000, 10_000), active_seconds=1),
    )
    await world.begin(terms)
    epoch = await world.close()
    found = pools(epoch)
    assert found["availability"][2:] == found["usage"][2:] == (10**15, 0)
    wanted = 10**18 + 2 * 10**15
    paid = 10**18 * 10**15 // wanted + 2 * 10**15 * 10**15 // wanted
    assert found["streak"][2] + found["first_hours"][2] == paid <= 10**15
    assert found["referral"] == (10**15, 2 * 10**15, 10**15, 0)
    assert (await world.balances(child)).earned == 2 * 10**15 + paid
    assert (await world.balances(parent)).earned == 10**15
    await world.check()


# --- people who go --------------------------------------------------------------------------------


async def test_who_is_erased_between_a_measurement_and_the_close_gets_nothing_and_nobody_gets_more(
    world: World,
) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    for user_id in (ada, ben):
        await world.report(await world.add_node(user_id), 0, 0, 100, up=1)
    await world.begin(replace(TERMS, bonus_pool=10**9, first_hours=FirstHours(hours=1, share=5000)))
    await world.epochs.measure(START + timedelta(minutes=5))
    assert await world.stores.users.erase(ada, START + timedelta(minutes=6))
    await world.epochs.measure(START + timedelta(minutes=7))
    epoch = await world.close()
    assert pools(epoch)["availability"] == (1_000_000, 1_000_000, 500_000, 500_000)
    assert pools(epoch)["first_hours"] == (375_000, 375_000, 375_000, 0)
    assert (await world.balances(ada)).earned == 0
    assert (await world.balances(ben)).earned == 750_000 + 375_000
    await world.check()


async def test_late_work_of_who_was_erased_meanwhile_corrects_nothing(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    late, other = await world.add_node(ada), await world.add_node(ben)
    await world.report(late, 0, 0, 100)
    await world.report(other, 0, 0, 100)
    await world.begin()
    await world.close()
    await world.report(late, 0, 100, 3600)
    assert await world.stores.users.erase(ada, START + HOUR)
    for _ in range(2):
        await world.close()
    assert (await world.balances(ada)).earned == 500_000, "what was booked stays booked"
    assert (await world.balances(ben)).earned == 500_000
    assert (await world.ledger.house())["corrections"] == 0
    await world.check()


async def test_what_an_erased_person_had_pending_goes_on_through_its_states(world: World) -> None:
    ada = await world.add_user()
    await world.report(await world.add_node(ada), 0, 0, 100)
    await world.begin()
    await world.close()
    assert await world.balances(ada) == Balances(pending=1_000_000)
    assert await world.stores.users.erase(ada, START + HOUR)
    for _ in range(2):
        await world.close()
    assert await world.balances(ada) == Balances(claimable=1_000_000)
    await world.check()


async def test_who_is_erased_gets_no_commission_for_an_epoch_that_is_not_closed(world: World) -> None:
    parent = await world.join()
    child = await world.join(parent)
    node_id = await world.add_node(child)
    for hour in (0, 1):
        await world.report(node_id, hour, 0, 100)
    await world.stores.referrals.activate(START, 1)
    await world.begin(replace(TERMS, referral_pool=10**9, referrals=ReferralTerms(active_seconds=1)))
    assert pools(await world.close())["referral"][2] == 200_000
    assert await world.stores.users.erase(parent, START + HOUR)
    assert "referral" not in pools(await world.close())
    assert (await world.balances(parent)).earned == 200_000
    await world.check()


# --- terms that change ----------------------------------------------------------------------------


async def test_closing_an_epoch_again_by_other_terms_changes_nothing(world: World) -> None:
    ada = await world.add_user()
    node_id = await world.add_node(ada)
    await world.report(node_id, 0, 0, 100, up=1)
    await world.begin()
    await world.close()
    before = await summary(world, ada)
    richer = replace(TERMS, availability_pool=10**15, hold_seconds=0, minimum_payout=0)
    for at in (START - 9 * HOUR, START, START + HOUR):
        await world.epochs.set_terms(richer, at)
        await world.epochs.begin(at, 600)
        assert await world.epochs.close(FOREVER, START + HOUR) is None
    assert await summary(world, ada) == before
    await world.check()


async def test_an_epoch_is_corrected_by_the_terms_that_it_was_closed_by(world: World) -> None:
    ada, ben = await world.add_user(), await world.add_user()
    late, other = await world.add_node(ada), await world.add_node(ben)
    await world.report(other, 0, 0, 100)
    await world.begin()
    await world.close()
    await world.epochs.set_terms(replace(TERMS, availability_pool=10**15, unmeasured_score=1), START + HOUR)
    await world.report(late, 0, 0, 300)
    for _ in range(2):
        await world.close()
    assert (await world.balances(ada)).earned == 750_000
    await world.check()


async def test_a_correction_earns_no_commission_and_no_bonus(world: World) -> None:
    parent = await world.join()
    child = await world.join(parent)
    node_id = await world.add_node(child)
    terms = replace(
        TERMS,
        usage_pool=0,
        bonus_pool=10**9,
        referral_pool=10**9,
        first_hours=FirstHours(hours=100, share=10_000),
        streak=Streak(days=1, least_seconds=60, amount=5),
        referrals=ReferralTerms(active_seconds=1),
    )
    await world.report(await world.add_node(await world.add_user()), 0, 0, 100)
    await world.begin(terms)
    await world.close()
    await world.report(node_id, 0, 0, 100)
    await world.stores.referrals.activate(START, 1)
    for _ in range(2):
        await world.close()
    assert await world.balances(child) == Balances(claimable=500_000)
    assert await world.balances(parent) == Balances()
    await world.check()
