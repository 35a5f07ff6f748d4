"""Streams between the tasks of one process."""

import asyncio
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from time import time_ns

from msgspec import Struct, field

from storage.base import Backlog, Claimed

EntryId = tuple[int, int]


class _Group(Struct):
    last: EntryId = (0, 0)
    pending: list[EntryId] = field(default_factory=list)


class _Stream(Struct):
    ids: list[EntryId] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)
    last: EntryId = (0, 0)
    groups: dict[str, _Group] = field(default_factory=dict)

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
        return await self._wait(positions, count, block_ms)

    async def last_id(self, stream: str) -> str:
        log = self._streams.get(stream)
        return _text(log.last) if log else "0-0"

    async def trim(self, stream: str, before: str) -> None:
        log = self._streams.get(stream)
        if log:
            log.trim(bisect_right(log.ids, _parse(before)))

    async def drop(self, stream: str) -> None:
        self._streams.pop(stream, None)

    async def read_group(self, stream: str, group: str, count: int, block_ms: int) -> list[tuple[str, bytes]]:
        reader = self._group(stream, group)
        found = await self._wait({stream: _text(reader.last)}, count, block_ms)
        # Looked up again: the stream may have been dropped meanwhile.
        reader = self._group(stream, group)
        for _, entry, _ in found:
            reader.pending.append(_parse(entry))
            reader.last = _parse(entry)
        return [(entry, payload) for _, entry, payload in found]

    async def claim(self, stream: str, group: str, after: str, count: int) -> Claimed:
        reader = self._group(stream, group)
        log = self._streams[stream]
        handed = [entry for entry in reader.pending if entry > _parse(after)][:count]
        payloads = dict(zip(log.ids, log.payloads, strict=True))
        lost = [entry for entry in handed if entry not in payloads]
        for entry in lost:
            reader.pending.remove(entry)
        return Claimed(
            [(_text(entry), payloads[entry]) for entry in handed if entry in payloads],
            [_text(entry) for entry in lost],
            _text(handed[-1]) if handed else None,
        )

    async def acknowledge(self, stream: str, group: str, ids: Sequence[str]) -> None:
        log = self._streams.get(stream)
        if log is None:
            return
        done = set(map(_parse, ids))
        reader = self._group(stream, group)
        reader.pending = [entry for entry in reader.pending if entry not in done]
        # Every group has done with what lies before its first pending entry.
        least = min(
            (other.pending[0][0], other.pending[0][1] - 1) if other.pending else other.last
            for other in log.groups.values()
        )
        log.trim(bisect_right(log.ids, least))

    async def backlog(self, stream: str) -> Backlog:
        log = self._streams.get(stream)
        return Backlog(len(log.ids), log.ids[0][0]) if log and log.ids else Backlog(0, None)

    def _group(self, stream: str, group: str) -> _Group:
        return self._streams.setdefault(stream, _Stream()).groups.setdefault(group, _Group())

    async def _wait(
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
