"""What is taken back when a referral is refused: no account falls below 0, and what is lost can be seen."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace
from support.stores import Stores
from support.worlds import FOREVER, HOUR, START, TERMS, World

from core.clock import new_id
from core.errors import Conflict
from storage.base import Balances, Entry, Posting, ReferralTerms, Trait

PAYING = replace(
    TERMS,
    usage_pool=0,
    referral_pool=10**9,
    hold_seconds=0,
    minimum_payout=10**12,
    referrals=ReferralTerms(active_seconds=1),
)
# The first epoch begins at 19:00 UTC: what the first five earn becomes final at the midnight after them.
EVENING = START + timedelta(hours=14)
MIDNIGHT = 5


@pytest.fixture
async def world(stores: Stores) -> World:
    return World(stores)


async def begin(world: World, minimum: int = 10**12) -> None:
    await world.epochs.set_terms(replace(PAYING, minimum_payout=minimum), START)
    await world.epochs.begin(EVENING, 3600)


async def work(world: World, *nodes: UUID) -> None:
    """Nodes work alike in the open epoch, and it is closed."""
    open_ = await world.epochs.open()
    assert open_ is not None
    for node_id in nodes:
        await world.report(node_id, (open_.starts_at - START) // HOUR, 0, 600)
    await world.stores.referrals.activate(START, 1)
    await world.close()


async def refuse(world: World, child: UUID) -> None:
    await world.stores.referrals.decide(child, "refused", START, new_id(), "farm", subtree=False)
    await world.check()


async def claim(world: World, user_id: UUID, amount: int) -> bool:
    """Claim so much of what is claimable for referrals; whether there was that much."""
    open_ = await world.epochs.open()
    assert open_ is not None
    entry = Entry(
        key=f"claim:{new_id()}",
        kind="claim",
        epoch=open_.number,
        at=open_.starts_at,
        postings=[
            Posting(user_id=user_id, account="claimable", category="referral", amount=-amount),
            Posting(user_id=user_id, account="claimed", category="referral", amount=amount),
        ],
    )
    try:
        return await world.ledger.book([entry]) == 1
    except Conflict:
        return False


async def test_what_is_pending_is_taken_back_from_what_is_pending(world: World) -> None:
    parent = await world.join()
    child = await world.join(parent)
    node_id = await world.add_node(child)
    await begin(world)
    for _ in range(2):
        await work(world, node_id)
    assert await world.balances(parent) == Balances(pending=400_000)
    await refuse(world, child)
    assert await world.balances(parent) == Balances()
    assert await world.ledger.house() == {"issued": -2_400_000, "unallocated": 0, "corrections": 400_000}
    for _ in range(MIDNIGHT):
        await work(world)
    assert await world.balances(parent) == Balances(), "nothing is left that could become final"
    await world.check()


async def test_what_is_final_and_claimable_is_taken_before_what_is_pending(world: World) -> None:
    parent = await world.join()
    first, second = await world.join(parent), await world.join(parent)
    nodes = [await world.add_node(each) for each in (first, second)]
    await begin(world, minimum=1)
    await work(world, *nodes)
    for _ in range(MIDNIGHT - 1):
        await work(world)
    assert await world.balances(parent) == Balances(claimable=200_000)
    await work(world, *nodes)
    assert await world.balances(parent) == Balances(claimable=200_000, pending=200_000)
    await refuse(world, first)
    assert await world.balances(parent) == Balances(pending=200_000)
    await refuse(world, second)
    assert await world.balances(parent) == Balances()
    assert "lost" not in await world.ledger.house()


async def test_what_was_claimed_is_lost_and_shown_as_such(world: World) -> None:
    parent = await world.join()
    first, second = await world.join(parent), await world.join(parent)
    nodes = [await world.add_node(each) for each in (first, second)]
    await begin(world, minimum=1)
    await work(world, *nodes)
    for _ in range(MIDNIGHT - 1):
        await work(world)
    assert await claim(world, parent, 150_000)
    await refuse(world, first)
    assert await world.balances(parent) == Balances(claimed=150_000)
    house = await world.ledger.house()
    assert (house["corrections"], house["lost"]) == (100_000, -50_000)
    (booked, *_) = await world.ledger.history(parent, None, 1)
    assert (booked.kind, [posting.amount for posting in booked.postings]) == ("clawback", [-50_000])
    for child in (first, second, second):
        await refuse(world, child)
    house = await world.ledger.house()
    assert (house["corrections"], house["lost"]) == (200_000, -150_000)
    levels = await world.stores.referrals.counts(parent)
    assert levels[0].earned == (await world.balances(parent)).earned == 150_000
    await work(world, *nodes)
    assert await world.balances(parent) == Balances(claimed=150_000), "what is refused earns nothing"


async def test_what_is_held_for_a_referral_is_taken_back_with_it_alone(world: World) -> None:
    parent = await world.join()
    known = await world.join(parent)
    doubted = await world.join(parent, Trait("disposable", "mailinator.com"))
    nodes = [await world.add_node(each) for each in (known, doubted)]
    await begin(world)
    await work(world, *nodes)
    assert await world.balances(parent) == Balances(pending=100_000, held=100_000)
    await refuse(world, doubted)
    assert await world.balances(parent) == Balances(pending=100_000)


@pytest.mark.parametrize("account", ["final", "claimable", "claimed"])
async def test_no_account_that_is_final_falls_below_nothing(world: World, account: str) -> None:
    user_id = await world.add_user()
    entry = Entry(
        key="too much",
        kind="adjustment",
        epoch=1,
        at=START,
        postings=[
            Posting(user_id=user_id, account=account, category="referral", amount=-1),  # type: ignore[arg-type]
            Posting(user_id=user_id, account="pending", category="referral", amount=1),
        ],
    )
    with pytest.raises(Conflict, match="overdrawn"):
        await world.ledger.book([entry])
    assert (await world.balances(user_id)) == Balances()


async def test_clawbacks_claims_and_closes_at_the_same_moment_lose_nothing_and_wait_for_each_other(
    world: World,
) -> None:
    parent = await world.join()
    children = [await world.join(parent) for _ in range(4)]
    nodes = [await world.add_node(each) for each in children]
    await begin(world, minimum=1)
    for _ in range(MIDNIGHT):
        await work(world, *nodes)
    for hour in range(14 + MIDNIGHT, 14 + MIDNIGHT + 6):
        for node_id in nodes:
            await world.report(node_id, hour, 0, 600)
    settled = EVENING + (MIDNIGHT + 6) * HOUR
    outcomes = await asyncio.gather(
        *(world.epochs.close(FOREVER, settled) for _ in range(6)),
        *(claim(world, parent, 7_000) for _ in range(20)),
        *(
            world.stores.referrals.decide(child, "refused", START, new_id(), "farm", subtree=False)
            for child in children
        ),
        *(world.stores.referrals.activate(START, 1) for _ in range(3)),
    )
    assert sum(outcome is True for outcome in outcomes) <= 20
    for child in children:
        await world.stores.referrals.decide(child, "refused", START, new_id(), "farm", subtree=False)
    left = await world.balances(parent)
    assert left == Balances(claimed=left.claimed)
    assert (await world.ledger.house()).get("lost", 0) == -left.claimed
    await world.check()
