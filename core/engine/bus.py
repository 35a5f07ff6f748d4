"""Following the streams that carry events to this worker."""

import asyncio
from collections.abc import Callable

import msgspec

from core.backoff import Backoff
from core.errors import StorageUnavailable
from core.logs import get_logger
from services.events import GLOBAL_STREAM, Envelope, decode_envelope, worker_stream
from storage.base import StreamLog

BATCH = 512
BLOCK_MS = 2000

log = get_logger("engine.bus")


class Bus:
    """Reads the global stream and the worker's own, and hands all events of a read on together, in order per
    stream.

    After a lost connection it goes on behind the last entry it has seen.
    """

    def __init__(self, streams: StreamLog, worker: str, deliver: Callable[[list[Envelope]], None]) -> None:
        self._streams = streams
        self._own = worker_stream(worker)
        self._deliver = deliver
        self._positions: dict[str, str] = {}
        self.connected = False
        self.received = 0
        self.unreadable = 0
        self.failures = 0

    async def open(self) -> None:
        """Find the present end of the global stream: news begin there.

        Raises:
            StorageUnavailable: if Redis does not answer.
        """
        self._positions = {GLOBAL_STREAM: await self._streams.last_id(GLOBAL_STREAM), self._own: "0-0"}
        self.connected = True

    async def run(self) -> None:
        """Deliver until cancelled."""
        backoff = Backoff(base=0.1, cap=5.0)
        while True:
            try:
                entries = await self._streams.read(self._positions, BATCH, BLOCK_MS)
            except StorageUnavailable as error:
                self.connected = False
                self.failures += 1
                delay = backoff.next()
                log.warning("bus is away", retry_in=round(delay, 2), error=str(error))
                await asyncio.sleep(delay)
                continue
            self.connected = True
            backoff.reset()
            envelopes = [envelope for entry in entries if (envelope := self._decode(entry[2]))]
            for stream, entry_id, _ in entries:
                self._positions[stream] = entry_id
            self.received += len(envelopes)
            self._deliver(envelopes)

    async def close(self) -> None:
        """Remove the worker's own stream; nobody reads it after this."""
        await self._streams.drop(self._own)

    def _decode(self, payload: bytes) -> Envelope | None:
        try:
            return decode_envelope(payload)
        except (msgspec.MsgspecError, ValueError):
            self.unreadable += 1
            log.warning("unreadable event", bytes=len(payload))
            return None
