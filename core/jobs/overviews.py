"""Telling people what changed for them."""

from collections.abc import Iterable
from uuid import UUID

from core.metrics import Metrics
from services.earnings import Earnings
from services.events import Events

# People whose overviews are computed and published together; bounds a query and a message.
CHUNK = 500


class Overviews:
    """Publishes overviews on channel ``me``, each at least once after it was asked for.

    Whom a failure left out is remembered and tried again with the next call.
    """

    def __init__(self, earnings: Earnings, events: Events) -> None:
        self._earnings = earnings
        self._events = events
        self._pending: set[UUID] = set()
        self._published = 0

    async def publish(self, user_ids: Iterable[UUID]) -> None:
        """Send each of these people their newest overview.

        Raises:
            StorageUnavailable: some may not have theirs; they stay remembered.
        """
        self._pending.update(user_ids)
        waiting = sorted(self._pending)
        for start in range(0, len(waiting), CHUNK):
            chunk = waiting[start : start + CHUNK]
            overviews = await self._earnings.overviews(chunk)
            news = {user_id: (overview.revision, overview) for user_id, overview in overviews.items()}
            await self._events.publish_to_users("me", news)
            self._pending.difference_update(chunk)
            self._published += len(chunk)

    def metrics(self) -> Metrics:
        """How many overviews went out and how many wait for another try."""
        return {"overviews_published_total": self._published, "overviews_pending": len(self._pending)}
