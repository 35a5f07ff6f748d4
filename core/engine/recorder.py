"""What a worker observed of its nodes, on its way to the ingest stream.

Observations are gathered for a moment and appended as one numbered batch. A batch that could not be
appended, or of which that is not known, is appended again under the same number; whoever reads the
stream applies each number once, so nothing is lost and nothing doubled while Redis comes and goes.

Each batch promises up to when all is told. So that the promise goes on where nothing happens, there is a
batch without records now and then.
"""

import asyncio
import contextlib
from collections import deque
from time import monotonic
from typing import Protocol

import msgspec

from core.backoff import Backoff
from core.errors import StorageUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from services.events import INGEST_STREAM
from storage.base import Batch, Record, StreamLog

MAX_BATCH = 1000
# Seconds after a batch in which one follows even if there is nothing to tell.
PROMISE_INTERVAL = 1.0

log = get_logger("engine.recorder")
_encode = msgspec.msgpack.Encoder().encode


class Source(Protocol):
    """What keeps sums for whoever asks; while nobody does they only grow."""

    def __len__(self) -> int:
        """How many it follows: with none there is nothing to ask for."""
        ...

    def due(self, limit: int) -> list[Record]:
        """About `limit` records at most of what is due by now; none if nothing is."""
        ...

    def settled_ms(self) -> int:
        """No second before this will be in what comes later, in milliseconds since the epoch."""
        ...


class Recorder:
    """Gathers records and appends them; holds at most `backlog`, then drops the oldest.

    `source`, once set, is asked for what is due every `interval` seconds while it follows anybody, but not
    while what was gathered before cannot be appended. The stream keeps about `length` batches.
    """

    def __init__(
        self, streams: StreamLog, worker: str, *, interval: float, backlog: int, length: int
    ) -> None:
        self.source: Source | None = None
        self._streams = streams
        self._worker = worker
        self._interval = interval
        self._records: deque[Record] = deque()
        self._backlog = backlog
        self._length = length
        self._sequence = 0
        self._batch: Batch | None = None
        self._settled_ms = 0
        self._promise_at = monotonic()
        self._wake = asyncio.Event()
        self.appended = 0
        self.dropped = 0
        self.failures = 0

    def __len__(self) -> int:
        """How many records wait."""
        return len(self._records) + (len(self._batch.records) if self._batch else 0)

    def add(self, record: Record) -> None:
        """Take one observation; never blocks."""
        if len(self._records) >= self._backlog:
            self._records.popleft()
            self.dropped += 1
        self._records.append(record)
        self._wake.set()

    async def run(self) -> None:
        """Append what comes until cancelled."""
        backoff = Backoff(base=0.1, cap=5.0)
        while True:
            if not self.source:
                await self._woken()
            try:
                await self.flush()
            except StorageUnavailable as error:
                self.failures += 1
                self._wake.set()
                delay = backoff.next()
                log.warning(
                    "observations wait", waiting=len(self), retry_in=round(delay, 2), error=str(error)
                )
                await asyncio.sleep(delay)
            else:
                backoff.reset()
                await asyncio.sleep(self._interval)

    async def flush(self) -> None:
        """Append everything that waits or is due now.

        Raises:
            StorageUnavailable: what was not appended is kept.
        """
        # First: what comes while this waits for the stream wakes the loop again.
        self._wake.clear()
        while self._batch is not None or self._fill() or self._owes_promise():
            if self._batch is None:
                self._batch = self._cut()
            await self._streams.append(INGEST_STREAM, _encode(self._batch), self._length)
            self.appended += len(self._batch.records)
            self._batch = None

    async def _woken(self) -> None:
        """Wait for a record, or until a promise is owed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if self.source is None else self._promise_at - monotonic()):
                await self._wake.wait()

    def _owes_promise(self) -> bool:
        return self.source is not None and monotonic() >= self._promise_at

    def _cut(self) -> Batch:
        """The next batch, of what was gathered first."""
        self._sequence += 1
        size = min(len(self._records), MAX_BATCH)
        records = [self._records.popleft() for _ in range(size)]
        # While more waits, what was promised before still holds.
        if not self._records and self.source is not None:
            self._settled_ms = self.source.settled_ms()
            self._promise_at = monotonic() + PROMISE_INTERVAL
        return Batch(self._worker, self._sequence, records, self._settled_ms)

    def _fill(self) -> bool:
        """Ask for what is due until it makes a batch; false if there is nothing at all."""
        if self.source is not None and len(self._records) < MAX_BATCH:
            self._records += self.source.due(MAX_BATCH - len(self._records))
        return bool(self._records)

    def metrics(self) -> Metrics:
        """What happened so far and how it stands."""
        return {
            "records_waiting": len(self),
            "records_appended_total": self.appended,
            "records_dropped_total": self.dropped,
            "records_failures_total": self.failures,
        }
