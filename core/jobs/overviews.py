"""Telling people what changed for them."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from core.errors import StorageUnavailable
from core.metrics import Metrics
from services.earnings import Earnings
from services.events import Events
from storage.base import Presence

# People whose overviews are computed and published together; bounds a query and a message.
CHUNK = 500


class Overviews:
    """Publishes overviews on channel ``me``, each at least once after it was asked for.

    Whose nodes changed their status is told at once; whose sums grew, at most once in `interval`
    seconds; whom no worker holds, never. A task of its own repeats `step`: whoever asks for it does
    not wait, and what is asked for again before it was done is done once.
    """

    def __init__(self, earnings: Earnings, events: Events, presence: Presence, interval: float) -> None:
        self._earnings = earnings
        self._events = events
        self._presence = presence
        self._interval = interval
        self._changed: set[UUID] = set()
        self._grown: set[UUID] = set()
        # Of those who grew: the ones whose turn it is.
        self._due: set[UUID] = set()
        # Where the walk over everybody stands, None while there is none; whether one was asked for since.
        self._walk: int | None = None
        self._walk_wanted = False
        self._next_turn = 0.0
        self._wake = asyncio.Event()
        self._published = 0
        self._absent = 0

    def changed(self, user_ids: Iterable[UUID]) -> None:
        """Tell these people at once."""
        self._changed.update(user_ids)
        self._wake.set()

    def grown(self, user_ids: Iterable[UUID]) -> None:
        """Tell these people soon."""
        self._grown.update(user_ids)
        self._wake.set()

    def everybody(self) -> None:
        """Tell all who are held: somebody may have missed something."""
        self._walk_wanted = True
        self._wake.set()

    @contextmanager
    def told(self) -> Iterator[None]:
        """Around a change of the store: if its answer is lost, whom it concerned is not known."""
        try:
            yield
        except StorageUnavailable:
            self.everybody()
            raise

    async def step(self) -> None:
        """Wait for somebody who is to be told, and publish to as many of them as fit a chunk.

        Raises:
            StorageUnavailable: they stay remembered, call it again.
        """
        now = asyncio.get_running_loop().time()
        if self._changed:
            await self._publish(self._changed)
        elif self._due:
            await self._publish(self._due)
        elif self._walk is not None:
            await self._go_on(self._walk)
        elif self._walk_wanted:
            self._walk, self._walk_wanted = 0, False
        elif self._grown and now >= self._next_turn:
            self._due, self._grown = self._grown, set()
            self._next_turn = now + self._interval
        else:
            await self._rest(self._next_turn - now if self._grown else None)

    def metrics(self) -> Metrics:
        """How many overviews went out, how many nobody was there for, and how many wait."""
        return {
            "overviews_published_total": self._published,
            "overviews_unwanted_total": self._absent,
            "overviews_pending": len(self._changed) + len(self._due) + len(self._grown),
        }

    async def _rest(self, seconds: float | None) -> None:
        """Wait for more to do, or that long."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
                self._wake.clear()
        except TimeoutError:
            pass

    async def _go_on(self, walk: int) -> None:
        following, users = await self._presence.held(walk)
        self._due.update(users)
        self._walk = following or None

    async def _publish(self, waiting: set[UUID]) -> None:
        chunk = [waiting.pop() for _ in range(min(CHUNK, len(waiting)))]
        # What is asked for from here on is asked for again.
        for others in (self._changed, self._due, self._grown):
            others.difference_update(chunk)
        try:
            present = await self._events.publish_to_present("me", chunk, self._news)
        except BaseException:
            self._changed.update(chunk)
            raise
        self._published += present
        self._absent += len(chunk) - present

    async def _news(self, user_ids: Sequence[UUID]) -> Mapping[UUID, tuple[int, Any]]:
        overviews = await self._earnings.overviews(user_ids)
        return {user_id: (overview.revision, overview) for user_id, overview in overviews.items()}
