"""Every second is stored once, and its owner told, whatever dies in between."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from support.waiting import eventually

from core.errors import StorageUnavailable
from services.events import INGEST_STREAM
from storage.embedded import EmbeddedValkey

SECONDS = 300


async def observe(site: Any, seconds: int = SECONDS) -> None:
    """The node opens and is confirmed second by second, a batch for each."""
    await site.opened()
    for _ in range(seconds):
        await site.second()


async def test_a_change_is_pushed_well_within_two_seconds(site: Any, run: Callable[[], Any]) -> None:
    run()
    await observe(site, 1)
    await site.told(1)
    begun = asyncio.get_running_loop().time()
    await site.second()
    envelope = await site.told(2)
    assert asyncio.get_running_loop().time() - begun < 1.0
    assert envelope.data["nodes"][0]["country"] == "NL"


async def test_jobs_that_are_killed_again_and_again_store_all_once(site: Any, run: Callable[[], Any]) -> None:
    rng = random.Random(5)
    observing = asyncio.create_task(observe(site))
    for _ in range(12):
        jobs = run()
        await asyncio.wait_for(jobs.jobs.leading.wait(), 10)
        # At some point of its work: which, is up to the servers.
        await asyncio.wait([observing], timeout=rng.uniform(0.0, 0.06))
        await jobs.kill()
    await observing
    run()
    await site.drained()
    assert await site.confirmed() == (SECONDS, SECONDS)
    await asyncio.wait_for(site.told(SECONDS), 5)


async def test_two_jobs_processes_take_turns_and_store_all_once(site: Any, run: Callable[[], Any]) -> None:
    first, second = run(), run()
    await eventually(lambda: _either(first, second))
    leader, other = (first, second) if first.jobs.leading.is_set() else (second, first)
    observing = asyncio.create_task(observe(site))
    await site.told(3)
    await leader.kill()
    await asyncio.wait_for(other.jobs.leading.wait(), 10)
    await observing
    await site.drained()
    assert await site.confirmed() == (SECONDS, SECONDS)


async def test_connections_to_the_database_that_break_cost_nothing(site: Any, run: Callable[[], Any]) -> None:
    run()
    observing = asyncio.create_task(observe(site))
    while not observing.done():
        await asyncio.wait([observing], timeout=0.05)
        try:
            await site.pool.fetchrow(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        except StorageUnavailable:
            continue
    await observing
    await site.drained()
    assert await site.confirmed() == (SECONDS, SECONDS)
    await asyncio.wait_for(site.told(SECONDS), 10)


async def test_a_redis_that_is_restarted_costs_nothing(
    site: Any, run: Callable[[], Any], valkey: EmbeddedValkey
) -> None:
    run()
    observing = asyncio.create_task(observe(site))
    for _ in range(2):
        await asyncio.wait([observing], timeout=0.1)
        await valkey.stop()
        await valkey.start()
    await observing
    await site.drained()
    assert await site.confirmed() == (SECONDS, SECONDS)


async def test_an_emptied_redis_costs_only_what_it_held(site: Any, run: Callable[[], Any]) -> None:
    jobs = run()
    await observe(site, 10)
    await site.drained()
    await site.redis.flushall()
    await site.announce()
    for _ in range(5):
        await site.second()
    await asyncio.wait_for(site.told(15), 10)
    assert await site.confirmed() == (15, 15)
    assert jobs.jobs.metrics()["ingest_missing_total"] == 0


async def test_what_is_trimmed_while_the_database_is_away_is_counted(
    site: Any, run: Callable[[], Any]
) -> None:
    await site.opened()
    trimmed = 0
    for number in range(20):
        await site.second()
        if number == 9:
            trimmed = 10
            await site.streams.trim(INGEST_STREAM, await site.streams.last_id(INGEST_STREAM))
    jobs = run()
    await site.drained()
    assert await site.confirmed() == (10, 10)
    # The connection's beginning was among them.
    assert jobs.jobs.metrics()["ingest_missing_total"] == trimmed + 1


async def _either(*running: Any) -> bool:
    return any(each.jobs.leading.is_set() for each in running)
