"""Whom it concerns is told: changes at once, sums now and then, nobody who is not there."""

import asyncio

import pytest

from core.clock import new_id
from core.errors import StorageUnavailable
from core.jobs.overviews import CHUNK


@pytest.fixture
async def told(cluster):
    """The users of each publication."""
    found = []
    publish = cluster.events.publish_to_present

    async def listed(channel, users, make):
        found.append(set(users))
        return await publish(channel, users, make)

    cluster.events.publish_to_present = listed
    return found


@pytest.fixture
async def repeat():
    """Runs `step` again and again, as the jobs do."""
    tasks = []

    def start(overviews):
        async def run():
            while True:
                await overviews.step()

        tasks.append(asyncio.create_task(run()))

    yield start
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_change_goes_before_sums(cluster, told):
    overviews = cluster.overviews()
    grown, changed = new_id(), new_id()
    overviews.grown([grown])
    await overviews.step()
    overviews.changed([changed])
    await overviews.step()
    await overviews.step()
    assert told == [{changed}, {grown}]


async def test_sums_are_told_at_most_once_in_an_interval(cluster, told, repeat, until):
    overviews = cluster.overviews(interval=3600)
    users = [new_id() for _ in range(3)]
    repeat(overviews)
    overviews.grown(users[:2])
    await until(_count(told), lambda count: count == 1)
    overviews.grown(users)
    overviews.changed(users[2:])
    await until(_count(told), lambda count: count == 2)
    assert told == [set(users[:2]), set(users[2:])]
    # The other two wait for their turn.
    assert overviews.metrics()["overviews_pending"] == 2


async def test_sums_are_told_again_after_the_interval(cluster, told, repeat, until):
    overviews = cluster.overviews(interval=0.02)
    user_id = new_id()
    repeat(overviews)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    for count in range(1, 5):
        overviews.grown([user_id])
        await until(_count(told), lambda told, count=count: told == count)
    assert loop.time() - begun >= 0.05


async def test_many_are_told_some_at_a_time(cluster, told):
    overviews = cluster.overviews()
    users = {new_id() for _ in range(2 * CHUNK + 1)}
    overviews.changed(users)
    for _ in range(3):
        await overviews.step()
    assert set().union(*told) == users
    assert [len(some) for some in told] == [CHUNK, CHUNK, 1]
    assert overviews.metrics()["overviews_pending"] == 0


async def test_what_failed_is_tried_again(cluster, told, me):
    user_id, _ = await cluster.add_node()
    overviews = cluster.overviews()
    overviews.grown([user_id])
    cluster.figures.off.add("look")
    with pytest.raises(StorageUnavailable):
        await _steps(overviews, 2)
    assert overviews.metrics()["overviews_pending"] == 1
    cluster.figures.off.clear()
    await overviews.step()
    assert (await me.next()).user == user_id
    assert overviews.metrics()["overviews_pending"] == 0
    assert overviews.metrics()["overviews_published_total"] == 1


async def test_what_changes_while_it_is_told_is_told_again(cluster, told, me):
    user_id, _ = await cluster.add_node()
    overviews = cluster.overviews()
    compute = cluster.earnings.overviews

    async def late(users):
        overviews.changed(users)
        return await compute(users)

    cluster.earnings.overviews = late
    overviews.changed([user_id])
    await _steps(overviews, 2)
    assert told == [{user_id}, {user_id}]


async def test_everybody_who_is_held_is_told_and_nobody_else(cluster, me):
    here, _ = await cluster.add_node()
    await cluster.add_node(worker=None)
    overviews = cluster.overviews()
    overviews.everybody()
    await _steps(overviews, 3)
    assert (await me.next()).user == here
    assert overviews.metrics()["overviews_published_total"] == 1
    assert overviews.metrics()["overviews_pending"] == 0


async def test_everybody_asked_for_during_the_walk_means_another_walk(cluster, told):
    user_id, _ = await cluster.add_node()
    overviews = cluster.overviews()
    held = cluster.presence.held
    walks = []

    async def listed(cursor):
        walks.append(cursor)
        if len(walks) == 1:
            overviews.everybody()
        return await held(cursor)

    cluster.presence.held = listed
    overviews.everybody()
    await _steps(overviews, 6)
    assert walks == [0, 0]
    assert told == [{user_id}, {user_id}]


async def test_a_change_whose_answer_is_lost_concerns_everybody(cluster, told):
    user_id, _ = await cluster.add_node()
    overviews = cluster.overviews()
    with pytest.raises(StorageUnavailable), overviews.told():
        raise StorageUnavailable("the connection broke before the answer")
    await _steps(overviews, 3)
    assert told == [{user_id}]


async def _steps(overviews, count):
    for _ in range(count):
        await overviews.step()


def _count(told):
    async def read():
        return len(told)

    return read
