"""What every `Lock` guarantees."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from storage.base import Lock
from storage.memory import MemoryLock
from storage.postgres import PostgresLock

NewLock = Callable[[], Lock]


@pytest.fixture(params=["memory", "postgres"])
async def new_lock(request: pytest.FixtureRequest, postgres_dsn: str) -> AsyncIterator[NewLock]:
    """Makes locks that exclude each other."""
    mutex, made = asyncio.Lock(), []

    def make() -> Lock:
        memory = request.param == "memory"
        made.append(MemoryLock(mutex) if memory else PostgresLock(postgres_dsn, "jobs", interval=0.01))
        return made[-1]

    yield make
    for lock in made:
        await lock.release()


async def test_nobody_holds_a_lock_at_first(new_lock: NewLock) -> None:
    assert not await new_lock().held()


async def test_the_holder_holds_it_until_it_is_released(new_lock: NewLock) -> None:
    lock = new_lock()
    await lock.acquire()
    assert await lock.held()
    await lock.acquire()
    assert await lock.held()
    await lock.release()
    assert not await lock.held()
    await lock.release()


async def test_the_next_one_waits_and_takes_over(new_lock: NewLock) -> None:
    first, second = new_lock(), new_lock()
    await first.acquire()
    waiting = asyncio.ensure_future(second.acquire())
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    assert not await second.held()
    await first.release()
    await asyncio.wait_for(waiting, 10)
    assert await second.held()
    assert not await first.held()


async def test_one_that_gives_up_waiting_stands_in_nobodys_way(new_lock: NewLock) -> None:
    first, second, third = new_lock(), new_lock(), new_lock()
    await first.acquire()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(second.acquire(), 0.1)
    await first.release()
    await asyncio.wait_for(third.acquire(), 10)
    assert await third.held()
    assert not await second.held()


async def test_of_ten_that_want_it_one_at_a_time_has_it(new_lock: NewLock) -> None:
    holders, most = 0, 0

    async def work(lock: Lock) -> None:
        nonlocal holders, most
        await lock.acquire()
        holders += 1
        most = max(most, holders)
        await asyncio.sleep(0)
        holders -= 1
        await lock.release()

    await asyncio.wait_for(asyncio.gather(*(work(new_lock()) for _ in range(10))), 30)
    assert most == 1
