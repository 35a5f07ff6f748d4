"""Streams between processes."""

import math
from collections.abc import Mapping, Sequence
from time import monotonic

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from storage.base import Backlog, Claimed
from storage.redis.client import call, storage_errors

_FIELD = b"p"
# Whoever reads for a group goes by one name: that is how it has what its predecessor left.
_CONSUMER = "reader"
# Ids of one script call: bounded by what Lua can unpack.
_CHUNK = 1000

# KEYS: stream. ARGV: group, ids. Drops what all groups have done with.
_ACKNOWLEDGE = """
redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, 2))
local function less(a, b)
  local ams, an = string.match(a, '(%d+)-(%d+)')
  local bms, bn = string.match(b, '(%d+)-(%d+)')
  if #ams ~= #bms then return #ams < #bms end
  if ams ~= bms then return ams < bms end
  return tonumber(an) < tonumber(bn)
end
local least
for _, fields in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #fields, 2 do group[fields[i]] = fields[i + 1] end
  local first
  if group['pending'] > 0 then
    first = redis.call('XPENDING', KEYS[1], group['name'])[2]
  else
    local ms, n = string.match(group['last-delivered-id'], '(%d+)-(%d+)')
    first = ms .. '-' .. string.format('%.0f', tonumber(n) + 1)
  end
  if not least or less(first, least) then least = first end
end
if least then redis.call('XTRIM', KEYS[1], 'MINID', least) end
"""

# KEYS: stream. ARGV: group, consumer, the least id, count. Returns the ids that are pending and the
# entries of those that are still there; the others are acknowledged.
_CLAIM = """
local ids = {}
for i, entry in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[4])) do
  ids[i] = entry[1]
end
local found, there = {}, {}
if #ids > 0 then
  for _, entry in ipairs(redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids))) do
    if entry then
      found[#found + 1] = entry
      there[entry[1]] = true
    end
  end
end
for _, id in ipairs(ids) do
  if not there[id] then redis.call('XACK', KEYS[1], ARGV[1], id) end
end
return {ids, found}
"""

# KEYS: stream. Returns the number of entries and the id of the first.
_BACKLOG = """
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
return {redis.call('XLEN', KEYS[1]), first and first[1] or ''}
"""


class RedisStreams:
    """`StreamLog` on Redis streams. Every entry has one field, ``p``, with the payload.

    A waiting `read` has a connection to itself. It waits in turns of at most half the client's
    socket time-out, so a dead server is noticed however long `block_ms` is.
    """

    def __init__(self, client: Redis, prefix: str) -> None:
        self._client = client
        self._prefix = f"{prefix}:"
        timeout = client.connection_pool.connection_kwargs.get("socket_timeout")
        self._turn_ms = max(1, int(timeout * 500)) if timeout else 5_000

    async def append(self, stream: str, payload: bytes, max_length: int | None = None) -> str:
        bound = () if max_length is None else ("MAXLEN", "~", max_length)
        entry = await call(self._client, "XADD", self._prefix + stream, *bound, "*", _FIELD, payload)
        return _text(entry)

    async def append_many(self, entries: Sequence[tuple[str, bytes]], max_length: int) -> None:
        # A transaction, so that a lost connection leaves all of it or nothing.
        pipeline = self._client.pipeline(transaction=True)
        for stream, payload in entries:
            pipeline.execute_command(
                "XADD", self._prefix + stream, "MAXLEN", "~", max_length, "*", _FIELD, payload
            )
        with storage_errors():
            await pipeline.execute()

    async def read(
        self, positions: Mapping[str, str], count: int, block_ms: int
    ) -> list[tuple[str, str, bytes]]:
        if not positions:
            return []
        streams = [self._prefix + stream for stream in positions]
        found = await self._wait(block_ms, ("XREAD", "COUNT", count), streams, list(positions.values()))
        return [
            (_text(stream)[len(self._prefix) :], _text(entry), fields.get(_FIELD, b""))
            for stream, entries in found
            for entry, fields in entries
        ]

    async def last_id(self, stream: str) -> str:
        with storage_errors():
            try:
                information = await self._client.xinfo_stream(self._prefix + stream)
            except ResponseError as error:
                if "no such key" in str(error):
                    return "0-0"
                raise
        return _text(information["last-generated-id"])

    async def trim(self, stream: str, before: str) -> None:
        milliseconds, _, number = before.partition("-")
        least = f"{milliseconds}-{int(number) + 1}"
        await call(self._client, "XTRIM", self._prefix + stream, "MINID", least)

    async def drop(self, stream: str) -> None:
        await call(self._client, "DEL", self._prefix + stream)

    async def read_group(self, stream: str, group: str, count: int, block_ms: int) -> list[tuple[str, bytes]]:
        key = self._prefix + stream
        command = ("XREADGROUP", "GROUP", group, _CONSUMER, "COUNT", count)
        try:
            found = await self._wait(block_ms, command, [key], [">"])
        except ResponseError as error:
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            await self._create(key, group)
            found = await self._wait(block_ms, command, [key], [">"])
        return [(_text(entry), fields.get(_FIELD, b"")) for _, entries in found for entry, fields in entries]

    async def claim(self, stream: str, group: str, after: str, count: int) -> Claimed:
        try:
            ids, entries = await call(
                self._client, "EVAL", _CLAIM, 1, self._prefix + stream, group, _CONSUMER, f"({after}", count
            )
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            return Claimed([], [], None)
        found = {_text(entry): dict(zip(fields[::2], fields[1::2], strict=True)) for entry, fields in entries}
        handed = [_text(entry) for entry in ids]
        return Claimed(
            [(entry, found[entry].get(_FIELD, b"")) for entry in handed if entry in found],
            [entry for entry in handed if entry not in found],
            handed[-1] if handed else None,
        )

    async def acknowledge(self, stream: str, group: str, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _CHUNK):
            chunk = ids[start : start + _CHUNK]
            try:
                await call(self._client, "EVAL", _ACKNOWLEDGE, 1, self._prefix + stream, group, *chunk)
            except ResponseError as error:
                # The server lost its memory: there is nothing to acknowledge.
                if "no such key" not in str(error):
                    raise

    async def backlog(self, stream: str) -> Backlog:
        entries, first = await call(self._client, "EVAL", _BACKLOG, 1, self._prefix + stream)
        return Backlog(entries, int(_text(first).partition("-")[0]) if first else None)

    async def _create(self, key: str, group: str) -> None:
        try:
            await call(self._client, "XGROUP", "CREATE", key, group, "0", "MKSTREAM")
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _wait(
        self, block_ms: int, command: Sequence[str | int], keys: Sequence[str], positions: Sequence[str]
    ) -> list[tuple[bytes | str, list[tuple[bytes, dict[bytes, bytes]]]]]:
        """Read, and wait up to `block_ms` for something to read."""
        deadline = monotonic() + block_ms / 1000
        while True:
            left = min(self._turn_ms, math.ceil((deadline - monotonic()) * 1000))
            # BLOCK 0 would wait for ever.
            block = ("BLOCK", left) if left > 0 else ()
            found = await call(self._client, *command, *block, "STREAMS", *keys, *positions)
            if found or left <= 0:
                return found or []


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
