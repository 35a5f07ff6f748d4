"""Ended sessions and nodes: telling the other processes, and hearing of them.

Whoever ends one has it durable in the database first. Then the other processes are told through
Redis, at once; while Redis is away that waits, and each process reads up in the database what it was
not told, when Redis is back and every `LOOK_INTERVAL` seconds.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from core.backoff import Backoff
from core.bus import Bus
from core.errors import StorageUnavailable
from core.logs import get_logger
from core.metrics import Metrics
from core.tasks import end
from services.events import SESSIONS_CHANNEL, SESSIONS_STREAM, Envelope, Events, read_revoked
from services.revocations import Revocations, Revoked
from storage.base import StreamLog

LOOK_INTERVAL = 10.0
# Announcements that wait for Redis at most; what comes on top is left to reading up.
WAITING = 10_000

log = get_logger("endings")


class Announcer:
    """Tells the other processes of sessions that ended in this one, without anybody waiting for it."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._waiting: deque[Revoked] = deque()
        self._wake = asyncio.Event()

    def put(self, revoked: Revoked) -> None:
        """Have this told."""
        if len(self._waiting) < WAITING:
            self._waiting.append(revoked)
            self._wake.set()

    async def run(self) -> None:
        """Tell, in order, until cancelled; what does not get through is tried again."""
        backoff = Backoff(base=0.1, cap=5.0)
        while True:
            await self._wake.wait()
            try:
                await self.flush()
            except StorageUnavailable as error:
                delay = backoff.next()
                log.warning("ended sessions are not announced", waiting=len(self._waiting), error=str(error))
                await asyncio.sleep(delay)
            else:
                backoff.reset()

    async def flush(self) -> None:
        """Tell what waits.

        Raises:
            StorageUnavailable: Redis is away; what was not told still waits.
        """
        while self._waiting:
            await self._events.publish_revoked(self._waiting[0])
            self._waiting.popleft()
        self._wake.clear()

    def metrics(self) -> Metrics:
        """How many announcements wait."""
        return {"endings_waiting": len(self._waiting)}


class Endings:
    """Keeps the `Revocations` of this process up to date; `ended` is told what is news."""

    def __init__(
        self, revocations: Revocations, ended: Callable[[Revoked], None] = lambda revoked: None
    ) -> None:
        self._revocations = revocations
        self._ended = ended
        self._wake = asyncio.Event()

    async def open(self) -> None:
        """Learn what ended before this process began.

        Raises:
            StorageUnavailable: the database does not answer.
        """
        for news in await self._revocations.read_up():
            self._ended(news)

    def on_events(self, envelopes: Sequence[Envelope]) -> None:
        """Take what the bus brings; other channels are ignored."""
        for envelope in envelopes:
            if envelope.channel != SESSIONS_CHANNEL:
                continue
            try:
                revoked = read_revoked(envelope)
            except msgspec.ValidationError as error:
                log.warning("unreadable end of a session", error=str(error))
                continue
            news = self._revocations.take(revoked)
            if news is not None:
                self._ended(news)

    def look(self) -> None:
        """Something may have been missed: read it up now."""
        self._wake.set()

    async def run(self) -> None:
        """Read up until cancelled."""
        backoff = Backoff(base=0.1, cap=LOOK_INTERVAL)
        while True:
            try:
                async with asyncio.timeout(LOOK_INTERVAL):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self.open()
            except StorageUnavailable as error:
                delay = backoff.next()
                log.warning("ended sessions are not read up", retry_in=round(delay, 2), error=str(error))
                await asyncio.sleep(delay)
                self._wake.set()
            else:
                backoff.reset()


@asynccontextmanager
async def exchange(streams: StreamLog, endings: Endings, announcer: Announcer) -> AsyncIterator[None]:
    """Hear and tell of ended sessions within the block, in a process that follows no other events.

    Raises:
        StorageUnavailable: the database or Redis does not answer.
    """
    bus = Bus(streams, endings.on_events, whole=[SESSIONS_STREAM], returned=endings.look)
    # First the bus, then the database: what ends in between comes twice, not never.
    await bus.open()
    await endings.open()
    tasks = [asyncio.create_task(part.run()) for part in (bus, endings, announcer)]
    try:
        yield
    finally:
        await end(tasks)
        with suppress(StorageUnavailable):
            await announcer.flush()
