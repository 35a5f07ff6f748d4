"""Which users this worker announces as connected, so that their events are sent here.

Announcements are written by one task, in order, whatever order the connections come and go in: the
last word about a user is always the true one. They expire by themselves when the worker dies.
"""

import asyncio
from uuid import UUID

from core.backoff import Backoff
from core.errors import StorageUnavailable
from core.logs import get_logger
from storage.base import Presence

CHUNK = 1000

log = get_logger("engine.residents")


class Residents:
    """Counts the connections per user and keeps `Presence` up to date with them."""

    def __init__(self, presence: Presence, worker: str, ttl: float) -> None:
        self._presence = presence
        self._worker = worker
        self._ttl = ttl
        self._counts: dict[UUID, int] = {}
        self._changed: dict[UUID, list[asyncio.Future[None]]] = {}
        self._announced: set[UUID] = set()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._counts)

    def enter(self, user_id: UUID) -> asyncio.Future[None]:
        """A connection of `user_id` wants its events; the future is done once that is announced."""
        self._counts[user_id] = self._counts.get(user_id, 0) + 1
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if user_id in self._announced and user_id not in self._changed:
            done.set_result(None)
        else:
            self._changed.setdefault(user_id, []).append(done)
            self._wake.set()
        return done

    def leave(self, user_id: UUID) -> None:
        """The opposite of `enter`, once for each."""
        left = self._counts[user_id] - 1
        if left:
            self._counts[user_id] = left
        else:
            del self._counts[user_id]
            self._changed.setdefault(user_id, [])
            self._wake.set()

    async def run(self) -> None:
        """Write what changed, and everything again well before it expires, until cancelled."""
        backoff = Backoff(base=0.1, cap=5.0)
        while True:
            try:
                async with asyncio.timeout(self._ttl / 3):
                    await self._wake.wait()
            except TimeoutError:
                for user_id in self._counts:
                    self._changed.setdefault(user_id, [])
            self._wake.clear()
            changed, self._changed = self._changed, {}
            try:
                await self._announce(changed)
            except StorageUnavailable as error:
                for user_id, waiting in changed.items():
                    self._changed.setdefault(user_id, [])[:0] = waiting
                delay = backoff.next()
                log.warning("presence is not written", users=len(changed), error=str(error))
                self._wake.set()
                await asyncio.sleep(delay)
            else:
                backoff.reset()

    async def _announce(self, changed: dict[UUID, list[asyncio.Future[None]]]) -> None:
        here = [user_id for user_id in changed if user_id in self._counts]
        for start in range(0, len(here), CHUNK):
            chunk = here[start : start + CHUNK]
            await self._presence.hold(self._worker, chunk, round(self._ttl * 1000))
            self._announced.update(chunk)
        for user_id in changed:
            if user_id not in self._counts and user_id in self._announced:
                await self._presence.release(self._worker, user_id)
                self._announced.discard(user_id)
        for waiting in changed.values():
            for done in waiting:
                if not done.done():
                    done.set_result(None)
