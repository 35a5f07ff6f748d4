"""Redis out of reach, wrong, stopped or stuck."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from support.processes import frozen, silent_server
from support.waiting import eventually

from core.clock import new_id
from core.errors import StartupError, StorageUnavailable
from storage.embedded import EmbeddedValkey
from storage.redis import RedisPresence, RedisStreams, connect
from storage.redis.client import call

TIMEOUT = 1.0


@pytest.fixture
async def client(valkey: EmbeddedValkey) -> AsyncIterator[Redis]:
    """A client of a server of this test's own."""
    client = await connect(await valkey.start(), TIMEOUT)
    yield client
    await client.aclose()


async def test_a_wrong_password_is_told_without_it(redis_url: str) -> None:
    wrong = redis_url.replace(str(urlsplit(redis_url).password), "hunter2")
    with pytest.raises(StartupError, match=r"Redis at 127\.0\.0\.1:\d+/0: .*[Pp]ass") as caught:
        await connect(wrong, TIMEOUT)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@127.0.0.1:1/0",
        "redis://:hunter2@127.0.0.1:99999/0",
        "redis://:hunter2@127.0.0.1:port/0",
        "redis://:hunter2@no-such-host.invalid/0",
        "unix:///no/such/socket?password=hunter2",
        "redis://:hunter2@127.0.0.1:1/0?socket_timeout=hunter2",
        "hunter2",
    ],
)
async def test_an_address_that_leads_nowhere_is_told_without_its_password(url: str) -> None:
    with pytest.raises(StartupError) as caught:
        await connect(url, 2)
    assert "hunter2" not in str(caught.value)


async def test_a_server_that_never_answers_is_given_up() -> None:
    with silent_server() as port, pytest.raises(StartupError, match=f"Redis at 127.0.0.1:{port}"):
        await connect(f"redis://127.0.0.1:{port}", 0.2)


async def test_an_error_that_only_a_bug_can_cause_is_not_dressed_up(client: Redis) -> None:
    await call(client, "SET", "x:text", "1")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await RedisStreams(client, "x").append("text", b"")


async def test_a_stop_is_told_to_everyone_and_passes(valkey: EmbeddedValkey, client: Redis) -> None:
    streams, presence = RedisStreams(client, "x"), RedisPresence(client, "x")
    position = await streams.append("log", b"before")
    reader = asyncio.ensure_future(streams.read({"log": position}, 10, 60_000))
    await asyncio.sleep(0)
    await valkey.stop()
    with pytest.raises(StorageUnavailable) as caught:
        await asyncio.wait_for(reader, 5)
    assert isinstance(caught.value.__cause__, RedisConnectionError)
    user_id = new_id()
    for failing in (
        streams.append("log", b"lost"),
        streams.append_many([("log", b"lost")], 10),
        streams.last_id("log"),
        presence.processes(),
        presence.hold("w", [user_id], 1000),
        presence.holders([user_id]),
        presence.leave("worker", "w"),
    ):
        with pytest.raises(StorageUnavailable):
            await failing
    await valkey.start()
    await streams.append("log", b"after")
    entries = await streams.read({"log": "0-0"}, 10, 0)
    assert [payload for _, _, payload in entries] == [b"before", b"after"]


async def test_a_killed_server_loses_nothing_that_it_had_synced(
    valkey: EmbeddedValkey, client: Redis
) -> None:
    streams = RedisStreams(client, "x")
    await streams.append("log", b"kept")
    await call(client, "WAITAOF", 1, 0, 300)
    assert valkey.pid
    os.kill(valkey.pid, signal.SIGKILL)
    await valkey.wait()
    await valkey.stop()
    await valkey.start()
    assert [payload for _, _, payload in await streams.read({"log": "0-0"}, 10, 0)] == [b"kept"]


async def test_a_stuck_server_is_given_up_and_found_again(valkey: EmbeddedValkey, client: Redis) -> None:
    streams = RedisStreams(client, "x")
    assert valkey.pid
    with frozen(valkey.pid):
        with pytest.raises(StorageUnavailable):
            await asyncio.wait_for(streams.append("log", b"?"), 5)
        with pytest.raises(StorageUnavailable):
            await asyncio.wait_for(streams.read({"log": "0-0"}, 10, 60_000), 5)

    async def answers() -> bool:
        try:
            await streams.last_id("log")
        except StorageUnavailable:
            return False
        return True

    await eventually(answers)


async def test_a_reader_may_wait_longer_than_a_command_may_take(client: Redis) -> None:
    streams, loop = RedisStreams(client, "x"), asyncio.get_running_loop()
    started = loop.time()
    assert await streams.read({"log": "0-0"}, 10, 1_300) == []
    assert loop.time() - started >= 1.3


async def test_a_cancellation_is_never_lost(client: Redis) -> None:
    streams = RedisStreams(client, "x")
    for turns in range(12):
        reader = asyncio.ensure_future(streams.read({"log": "0-0"}, 10, 60_000))
        for _ in range(turns):
            await asyncio.sleep(0)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(reader, 5)


async def test_more_calls_at_once_than_connections_wait_for_their_turn(client: Redis) -> None:
    streams = RedisStreams(client, "x")
    ids = await asyncio.gather(*(streams.append("log", b"") for _ in range(300)))
    assert len(set(ids)) == 300


async def test_every_key_begins_with_the_prefix(client: Redis) -> None:
    await RedisStreams(client, "one").append("log", b"1")
    presence = RedisPresence(client, "one")
    await presence.hold("w", [new_id()], 60_000)
    assert all(key.startswith(b"one:") for key in await client.keys())
    assert await RedisStreams(client, "two").last_id("log") == "0-0"


async def test_what_nobody_announces_any_more_leaves_no_key_behind(client: Redis) -> None:
    await RedisPresence(client, "x").hold("w", [new_id() for _ in range(10)], 50)

    async def empty() -> bool:
        return await client.dbsize() == 0

    await eventually(empty)


async def test_an_entry_that_is_not_ours_comes_as_an_empty_one(client: Redis) -> None:
    streams = RedisStreams(client, "x")
    await client.xadd("x:log", {"foreign": "entry"})
    await streams.append("log", b"ours")
    entries = await streams.read({"log": "0-0"}, 10, 0)
    assert [payload for _, _, payload in entries] == [b"", b"ours"]
