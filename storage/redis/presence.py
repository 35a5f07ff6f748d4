"""Who is alive and who is connected where, among all processes.

Keys, behind the prefix:

- ``process:<kind>:<id>``: the process as JSON, gone when its lease ends
- ``processes``: sorted set of ``<kind>:<id>`` by the end of the lease
- ``holders:<user>``: sorted set of workers by the end of what they announced

Ends are milliseconds of the server's clock, which the scripts read: the clocks of the processes do
not matter.
"""

from collections.abc import Iterator, Sequence
from uuid import UUID

import msgspec
from redis.asyncio import Redis

from storage.base import Process
from storage.redis.client import call, storage_errors

# Keys of one script call: Redis serves nobody else while it runs.
_CHUNK = 500
# Keys that one step of a walk over all of them looks at.
_STEP = 1000

_NOW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
"""

# KEYS: process, processes. ARGV: member, lease in ms, the process as JSON.
_RENEW = f"""{_NOW}
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
"""

# KEYS: processes. Returns the living members.
_LIVING = f"""{_NOW}
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""

# KEYS: holders of users. ARGV: worker, time to live in ms.
_HOLD = f"""{_NOW}
for _, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  redis.call('ZADD', key, now + ARGV[2], ARGV[1])
  if redis.call('PTTL', key) < tonumber(ARGV[2]) then
    redis.call('PEXPIRE', key, ARGV[2])
  end
end
"""

# KEYS: holders of users. Returns the workers of each whose announcement stands.
_HOLDERS = f"""{_NOW}
local found = {{}}
for i, key in ipairs(KEYS) do
  found[i] = redis.call('ZRANGEBYSCORE', key, '(' .. now, '+inf')
end
return found
"""


class RedisPresence:
    """`Presence` on Redis. The number of round trips does not depend on the number of users."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = prefix
        self._processes = f"{prefix}:processes"

    async def renew(self, process: Process, lease_ms: int) -> None:
        member = f"{process.kind}:{process.process_id}"
        value = msgspec.json.encode(process)
        keys = f"{self._prefix}:process:{member}", self._processes
        await call(self._client, "EVAL", _RENEW, 2, *keys, member, lease_ms, value)

    async def leave(self, kind: str, process_id: str) -> None:
        member = f"{kind}:{process_id}"
        pipeline = self._client.pipeline(transaction=True)
        pipeline.execute_command("DEL", f"{self._prefix}:process:{member}")
        pipeline.execute_command("ZREM", self._processes, member)
        with storage_errors():
            await pipeline.execute()

    async def processes(self) -> list[Process]:
        members = await call(self._client, "EVAL", _LIVING, 1, self._processes)
        if not members:
            return []
        keys = [f"{self._prefix}:process:{member.decode()}" for member in members]
        values = await call(self._client, "MGET", *keys)
        found = [msgspec.json.decode(value, type=Process) for value in values if value is not None]
        return sorted(found, key=lambda process: (process.kind, process.process_id))

    async def hold(self, worker: str, users: Sequence[UUID], ttl_ms: int) -> None:
        if not users:
            return
        pipeline = self._client.pipeline(transaction=True)
        for keys in self._chunks(users):
            pipeline.execute_command("EVAL", _HOLD, len(keys), *keys, worker, ttl_ms)
        with storage_errors():
            await pipeline.execute()

    async def release(self, worker: str, user_id: UUID) -> None:
        await call(self._client, "ZREM", self._key(user_id), worker)

    async def holders(self, users: Sequence[UUID]) -> dict[UUID, list[str]]:
        if not users:
            return {}
        pipeline = self._client.pipeline(transaction=True)
        pipeline.execute_command("EVAL", _LIVING, 1, self._processes)
        for keys in self._chunks(users):
            pipeline.execute_command("EVAL", _HOLDERS, len(keys), *keys)
        with storage_errors():
            members, *chunks = await pipeline.execute()
        alive = {member.removeprefix(b"worker:") for member in members if member.startswith(b"worker:")}
        held = [workers for chunk in chunks for workers in chunk]
        found = {
            user_id: sorted(worker.decode() for worker in alive.intersection(workers))
            for user_id, workers in zip(users, held, strict=True)
        }
        return {user_id: workers for user_id, workers in found.items() if workers}

    async def held(self, cursor: int) -> tuple[int, list[UUID]]:
        beginning = f"{self._prefix}:holders:"
        following, keys = await call(
            self._client, "SCAN", cursor, "MATCH", f"{beginning}*", "COUNT", _STEP, "TYPE", "zset"
        )
        return int(following), [UUID(key[len(beginning) :].decode()) for key in keys]

    def _key(self, user_id: UUID) -> str:
        return f"{self._prefix}:holders:{user_id}"

    def _chunks(self, users: Sequence[UUID]) -> Iterator[list[str]]:
        for start in range(0, len(users), _CHUNK):
            yield [self._key(user_id) for user_id in users[start : start + _CHUNK]]
