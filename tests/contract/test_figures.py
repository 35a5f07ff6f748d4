"""What every screen is made of is of one moment, and its revision tells whether anything changed."""

import asyncio
from datetime import timedelta

import pytest
from support.stores import Stores
from support.worlds import FOREVER, HOUR, START, World

from storage.base import Balances, Entry, Figures, Posting
from storage.scores import FIRST_FORMULA


@pytest.fixture
async def world(stores: Stores) -> World:
    return World(stores)


async def test_before_anything_there_is_nothing(world: World) -> None:
    user_id = await world.add_user()
    found = await world.stores.figures.look([user_id])
    assert (found.revision, found.epochs) == (0, [])
    figure = found.people[user_id]
    assert (figure.totals.nodes, figure.balances, figure.weights) == ([], Balances(), [])


async def test_whatever_changes_a_figure_raises_the_revision(world: World) -> None:
    ada = await world.add_user()
    node = await world.add_node(ada)
    seen: list[Figures] = []

    async def changed() -> Figures:
        found = await world.stores.figures.look([ada])
        assert not seen or found.revision > seen[-1].revision
        # Nothing has happened since.
        assert await world.stores.figures.look([ada]) == found
        seen.append(found)
        return found

    await world.begin()
    assert [each.number for each in (await changed()).epochs] == [1]
    await world.report(node, 0, 0, 600, up=5)
    assert [each.availability_weight for each in (await changed()).people[ada].weights] == [3_000_000]
    await world.epochs.measure(START + timedelta(minutes=10))
    assert [each.availability_weight for each in (await changed()).epochs] == [3_000_000]
    await world.stores.scores.recompute(START + HOUR, FIRST_FORMULA)
    await changed()
    await world.epochs.measure(START + HOUR)
    assert [each.number for each in (await changed()).epochs] == [1, 2]
    await world.epochs.begin(START, 600)
    assert [each.number for each in (await changed()).epochs] == [1]
    await world.close()
    found = await changed()
    assert ([each.number for each in found.epochs], found.people[ada].balances.pending) == ([2], 249_999)
    entry = Entry(
        key="moved",
        kind="adjustment",
        epoch=2,
        at=START + HOUR,
        postings=[
            Posting(user_id=ada, account="final", category="usage", amount=7),
            Posting(user_id=ada, account="pending", category="usage", amount=-7),
        ],
    )
    await world.ledger.book([entry])
    assert (await changed()).people[ada].balances.final == 7


async def test_a_close_is_wholly_in_what_is_seen_or_not_at_all(world: World) -> None:
    ada = await world.add_user()
    node = await world.add_node(ada)
    for hour in range(12):
        await world.report(node, hour, 0, 3600, up=1)
    await world.begin()
    closing = asyncio.create_task(_close_all(world, 12))
    looks = 0
    while not closing.done() or looks < 20:
        found = await world.stores.figures.look([ada])
        (epoch,) = found.epochs
        # Alone, one has both pools of each closed epoch, whole.
        assert found.people[ada].balances.earned == (epoch.number - 1) * 1_500_000
        (weight,) = found.people[ada].weights
        assert weight.availability_weight == (18_000_000 if epoch.number <= 12 else 0)
        looks += 1
        await asyncio.sleep(0)
    await closing


async def _close_all(world: World, count: int) -> None:
    for _ in range(count):
        assert await world.epochs.close(FOREVER, FOREVER) is not None
