"""What a worker observed of its nodes, on its way to the ingest stream.

Observations are gathered for a moment and appended as one numbered batch. A batch that could not be
appended, or of which that is not known, is appended again under the same number; whoever reads the
stream applies each number once, so nothing is lost and nothing doubled while Redis comes and goes.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from core.backoff import Backoff
from core.errors import StorageUnavailable
from core.logs import get_logger
from services.events import INGEST_STREAM
from storage.base import Batch, Record, StreamLog

MAX_BATCH = 1000
# Batches the stream keeps: days of them, unless whoever reads it is gone.
STREAM_LENGTH = 1_000_000

log = get_logger("engine.recorder")
_encode = msgspec.msgpack.Encoder().encode


class Recorder:
    """Gathers records and appends them; holds at most `backlog`, then drops the oldest.

    `gather`, once set, is asked for further records whenever what was gathered is appended.
    """

    def __init__(self, streams: StreamLog, worker: str, interval: float, backlog: int) -> None:
        self.gather: Callable[[], Iterable[Record]] = tuple
        self._streams = streams
        self._worker = worker
        self._interval = interval
        self._records: deque[Record] = deque()
        self._backlog = backlog
        self._sequence = 0
        self._batch: Batch | None = None
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

    def wake(self) -> None:
        """`gather` has something."""
        self._wake.set()

    async def run(self) -> None:
        """Append what comes until cancelled."""
        backoff = Backoff(base=0.1, cap=5.0)
        while True:
            await self._wake.wait()
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
        """Append everything that waits now.

        Raises:
            StorageUnavailable: what was not appended is kept.
        """
        # First: what comes while this waits for the stream wakes the loop again.
        self._wake.clear()
        for record in self.gather():
            self.add(record)
        while self._batch is not None or self._records:
            if self._batch is None:
                self._sequence += 1
                size = min(len(self._records), MAX_BATCH)
                records = [self._records.popleft() for _ in range(size)]
                self._batch = Batch(self._worker, self._sequence, records)
            await self._streams.append(INGEST_STREAM, _encode(self._batch), STREAM_LENGTH)
            self.appended += len(self._batch.records)
            self._batch = None
