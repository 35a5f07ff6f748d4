"""Following the streams that carry events to this process."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from core.backoff import Backoff
from core.errors import StorageUnavailable
from core.logs import get_logger
from services.events import Envelope, decode_envelope
from storage.base import StreamLog

BATCH = 512
BLOCK_MS = 2000

log = get_logger("bus")


class Bus:
    """Reads streams and hands all events of a read on together, in order per stream.

    Of the `news` it reads what comes from now on, of the `whole` ones what they still hold too: all of
    that is delivered before `open` returns. `own` is one of this process alone, removed in the end.
    After a lost connection it goes on behind the last entry it has seen, and calls `returned` first.
    """

    def __init__(
        self,
        streams: StreamLog,
        deliver: Callable[[list[Envelope]], None],
        *,
        news: Sequence[str] = (),
        whole: Sequence[str] = (),
        own: str | None = None,
        returned: Callable[[], None] | None = None,
    ) -> None:
        self._streams = streams
        self._deliver = deliver
        self._news = news
        self._whole = whole
        self._own = own
        self._returned = returned
        self._positions: dict[str, str] = {}
        self.connected = False
        self.received = 0
        self.unreadable = 0
        self.failures = 0

    async def open(self) -> None:
        """Find the present end of the news, and read the whole streams up to theirs.

        Raises:
            StorageUnavailable: if Redis does not answer.
        """
        own = [] if self._own is None else [self._own]
        self._positions = dict.fromkeys([*self._whole, *own], "0-0")
        if self._whole:
            while entries := await self._streams.read(self._positions, BATCH, 0):
                self._take(entries)
        for stream in self._news:
            self._positions[stream] = await self._streams.last_id(stream)
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
            if not self.connected and self._returned is not None:
                self._returned()
            self.connected = True
            backoff.reset()
            self._take(entries)

    async def close(self) -> None:
        """Remove the process's own stream; nobody reads it after this."""
        if self._own is not None:
            await self._streams.drop(self._own)

    def _take(self, entries: Sequence[tuple[str, str, bytes]]) -> None:
        envelopes = [envelope for entry in entries if (envelope := self._decode(entry[2]))]
        for stream, entry_id, _ in entries:
            self._positions[stream] = entry_id
        self.received += len(envelopes)
        self._deliver(envelopes)

    def _decode(self, payload: bytes) -> Envelope | None:
        try:
            return decode_envelope(payload)
        except (msgspec.MsgspecError, ValueError):
            self.unreadable += 1
            log.warning("unreadable event", bytes=len(payload))
            return None
