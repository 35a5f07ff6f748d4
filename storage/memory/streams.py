"""Streams between the tasks of one process."""

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from time import time_ns

from msgspec import Struct, field

EntryId = tuple[int, int]


class _Stream(Struct):
    ids: list[EntryId] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    last: EntryId = (0, 0)

    def trim(self, count: int) -> None:
        del self.ids[:count], self.payloads[:count]


class MemoryStreams:
    """`StreamLog` in memory. Ids look like those of Redis: milliseconds, a dash, a number."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {}
        self._newest: EntryId = (0, 0)
        self._news = asyncio.Event()

    async def append(self, stream: str, payload: bytes, max_length: int | None = None) -> str:
        entry = self._append(stream, payload, max_length)
        self._wake()
        return _text(entry)

    async def append_many(self, entries: Sequence[tuple[str, bytes]], max_length: int) -> None:
        for stream, payload in entries:
            self._append(stream, payload, max_length)
        self._wake()

    async def read(
        self, positions: Mapping[str, str], count: int, block_ms: int
    ) -> list[tuple[str, str, bytes]]:
        found = self._behind(positions, count)
        try:
            async with asyncio.timeout(block_ms / 1000):
                while positions and not found:
                    await self._news.wait()
                    found = self._behind(positions, count)
        except TimeoutError:
            pass
        return found

    async def last_id(self, stream: str) -> str:
        log = self._streams.get(stream)
        return _text(log.last) if log else "0-0"

    async def trim(self, stream: str, before: str) -> None:
        log = self._streams.get(stream)
        if log:
            log.trim(bisect_right(log.ids, _parse(before)))

    async def drop(self, stream: str) -> None:
        self._streams.pop(stream, None)

    def _append(self, stream: str, payload: bytes, max_length: int | None) -> EntryId:
        # A clock that steps back must not make ids shrink.
        self._newest = max((time_ns() // 1_000_000, 0), (self._newest[0], self._newest[1] + 1))
        log = self._streams.setdefault(stream, _Stream())
        log.ids.append(self._newest)
        log.payloads.append(payload)
        log.last = self._newest
        if max_length is not None:
            log.trim(max(0, len(log.ids) - max_length))
        return self._newest

    def _behind(self, positions: Mapping[str, str], count: int) -> list[tuple[str, str, bytes]]:
        found = []
        for stream, position in positions.items():
            log = self._streams.get(stream)
            if log:
                start = bisect_right(log.ids, _parse(position))
                for index in range(start, min(start + count, len(log.ids))):
                    found.append((stream, _text(log.ids[index]), log.payloads[index]))
        return found

    def _wake(self) -> None:
        """Let every waiting reader look again; those who come later wait for the next news."""
        self._news.set()
        self._news = asyncio.Event()


def _text(entry: EntryId) -> str:
    return f"{entry[0]}-{entry[1]}"


def _parse(text: str) -> EntryId:
    milliseconds, _, number = text.partition("-")
    return int(milliseconds), int(number)
