"""One factory per adapter: every test of this folder runs against each of them."""

from collections.abc import AsyncIterator

import pytest
from support.servers import Databases
from support.stores import Stores, memory_stores, postgres_stores

from storage.base import Presence, StreamLog
from storage.memory import MemoryPresence, MemoryStreams
from storage.postgres import connect
from storage.redis import RedisPresence, RedisStreams
from storage.redis import connect as connect_redis

REDIS_TIMEOUT = 5.0


@pytest.fixture(params=["memory", "postgres"])
async def stores(request: pytest.FixtureRequest, databases: Databases) -> AsyncIterator[Stores]:
    if request.param == "memory":
        yield memory_stores()
        return
    dsn = await databases.create()
    pool = await connect(dsn)
    yield postgres_stores(pool)
    await pool.close()
    await databases.drop(dsn)


@pytest.fixture(params=["memory", "redis"])
async def streams(
    request: pytest.FixtureRequest, redis_url: str, redis_prefix: str
) -> AsyncIterator[StreamLog]:
    if request.param == "memory":
        yield MemoryStreams()
        return
    client = await connect_redis(redis_url, REDIS_TIMEOUT)
    yield RedisStreams(client, redis_prefix)
    await client.aclose()


@pytest.fixture(params=["memory", "redis"])
async def presence(
    request: pytest.FixtureRequest, redis_url: str, redis_prefix: str
) -> AsyncIterator[Presence]:
    if request.param == "memory":
        yield MemoryPresence()
        return
    client = await connect_redis(redis_url, REDIS_TIMEOUT)
    yield RedisPresence(client, redis_prefix)
    await client.aclose()
