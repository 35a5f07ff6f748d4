"""The whole network's numbers, for everybody."""

import msgspec

from core.messages import NetworkSummary
from core.metrics import Metrics
from services.events import Events
from services.networks import Networks

# Seconds after which an unchanged summary is sent again, for those who missed it.
REPEAT_AFTER = 10.0


class Summary:
    """Publishes `NetworkSummary` on channel ``network`` when it changed, and now and then anyway."""

    def __init__(self, networks: Networks, events: Events) -> None:
        self._networks = networks
        self._events = events
        self._last: NetworkSummary | None = None
        self._sent_at = 0.0
        self._published = 0

    async def step(self, now: float) -> None:
        """Look once; `now` is in seconds on a clock that never goes back.

        Raises:
            StorageUnavailable: a server is away.
        """
        summary = await self._networks.summary()
        if self._known(summary) and now - self._sent_at < REPEAT_AFTER:
            return
        await self._events.publish("network", summary.revision, summary)
        self._last, self._sent_at = summary, now
        self._published += 1

    def _known(self, summary: NetworkSummary) -> bool:
        # The revision also grows by what does not show here.
        last = self._last
        return last is not None and msgspec.structs.replace(summary, revision=last.revision) == last

    def metrics(self) -> Metrics:
        """How many summaries went out."""
        return {"summaries_published_total": self._published}
