"""Announcing who is connected here."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.waiting import eventually

from core.clock import new_id
from core.engine.residents import Residents
from core.errors import StorageUnavailable
from storage.base import Process
from storage.memory import MemoryPresence

USERS = [new_id() for _ in range(4)]


class Flaky(MemoryPresence):
    """A presence that can be made to fail."""

    away = False

    async def hold(self, worker, users, ttl_ms):
        if self.away:
            raise StorageUnavailable("away")
        await super().hold(worker, users, ttl_ms)


async def _presence() -> Flaky:
    presence = Flaky()
    await presence.renew(Process(kind="worker", process_id="w", admin_url="", metrics={}), 600_000)
    return presence


@pytest.fixture
async def presence() -> Flaky:
    return await _presence()


@pytest.fixture
async def residents(presence) -> AsyncIterator[Residents]:
    residents = Residents(presence, "w", 60.0)
    task = asyncio.create_task(residents.run())
    yield residents
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_user_is_announced_until_the_last_connection_leaves(residents, presence):
    user = USERS[0]
    await residents.enter(user)
    await residents.enter(user)
    assert await presence.holders([user]) == {user: ["w"]}
    residents.leave(user)
    await residents.enter(USERS[1])
    assert await presence.holders([user]) == {user: ["w"]}
    residents.leave(user)

    async def gone() -> bool:
        return await presence.holders([user]) == {}

    await eventually(gone)
    assert len(residents) == 1


async def test_who_enters_while_presence_is_away_waits_until_it_is_back(residents, presence):
    presence.away = True
    waiting = residents.enter(USERS[0])
    other = residents.enter(USERS[1])
    residents.leave(USERS[1])
    presence.away = False
    await waiting
    await other
    assert await presence.holders(USERS) == {USERS[0]: ["w"]}


async def test_announcements_are_renewed_before_they_expire(presence):
    residents = Residents(presence, "w", 0.09)
    task = asyncio.create_task(residents.run())
    await residents.enter(USERS[0])
    held = 0
    hold = presence.hold

    async def counted(worker, users, ttl_ms):
        nonlocal held
        held += 1
        await hold(worker, users, ttl_ms)

    presence.hold = counted

    async def renewed() -> bool:
        return held >= 3

    await eventually(renewed)
    assert await presence.holders([USERS[0]]) == {USERS[0]: ["w"]}
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=40))
def test_whatever_order_they_come_and_go_in_the_last_word_is_true(steps):
    async def scenario() -> None:
        presence = await _presence()
        residents = Residents(presence, "w", 60.0)
        task = asyncio.create_task(residents.run())
        inside = [0, 0, 0, 0]
        for who, enters, pauses in steps:
            if enters:
                residents.enter(USERS[who])
                inside[who] += 1
            elif inside[who]:
                residents.leave(USERS[who])
                inside[who] -= 1
            if pauses:
                await asyncio.sleep(0)
        expected = {USERS[who]: ["w"] for who in range(4) if inside[who]}

        async def agreed() -> bool:
            return await presence.holders(USERS) == expected

        await eventually(agreed)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
