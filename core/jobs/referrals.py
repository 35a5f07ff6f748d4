"""Who of those that were brought is active, and what of people need not be known any longer."""

from datetime import timedelta

from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from storage.base import ReferralStore

log = get_logger("jobs")


class ReferralUpkeep:
    """Activates referrals and forgets old traces, every minute."""

    name = "referrals"
    interval = 60.0

    def __init__(self, store: ReferralStore, clock: Clock, *, active_seconds: int, traces_days: int) -> None:
        """Somebody counts with `active_seconds` confirmed; traces are addresses and browsers."""
        self._store = store
        self._clock = clock
        self._active_seconds = active_seconds
        self._kept = timedelta(days=traces_days)
        self._activated = 0
        self._forgotten = 0

    async def step(self) -> None:
        """Do both once.

        Raises:
            StorageUnavailable: it is done with the next step.
        """
        now = self._clock.now()
        activated = await self._store.activate(now, self._active_seconds)
        self._activated += activated
        self._forgotten += await self._store.prune(now - self._kept)
        if activated:
            log.info("referrals became active", people=activated)

    def metrics(self) -> Metrics:
        """How many became active, and how many traces were forgotten."""
        return {
            "referrals_activated_total": self._activated,
            "pruned_traces_total": self._forgotten,
        }
