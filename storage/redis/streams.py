"""Streams between processes."""

import math
from collections.abc import Mapping, Sequence
from time import monotonic

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from storage.redis.client import call, storage_errors

_FIELD = b"p"


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
        deadline = monotonic() + block_ms / 1000
        while True:
            left = min(self._turn_ms, math.ceil((deadline - monotonic()) * 1000))
            # BLOCK 0 would wait for ever.
            block = ("BLOCK", left) if left > 0 else ()
            found = await call(
                self._client, "XREAD", "COUNT", count, *block, "STREAMS", *streams, *positions.values()
            )
            if found or left <= 0:
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


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
