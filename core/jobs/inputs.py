"""What epochs were computed from, dropped when nobody asks for it any more."""

from datetime import date, timedelta

from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from storage.base import EpochStore

log = get_logger("jobs")


class InputsUpkeep:
    """Drops, once a day, what nodes were measured with in old epochs; their earnings stay by days."""

    name = "inputs"
    interval = 600.0

    def __init__(self, epochs: EpochStore, clock: Clock, *, inputs_days: int, day_days: int) -> None:
        """For how many days inputs are kept, and the days of nodes."""
        self._epochs = epochs
        self._clock = clock
        self._inputs_kept = timedelta(days=inputs_days)
        self._days_kept = timedelta(days=day_days)
        self._done: date | None = None
        self._dropped = self._months = 0

    async def step(self) -> None:
        """Drop what is old enough, unless that was done today.

        Raises:
            StorageUnavailable: the rest waits for the next step.
        """
        now = self._clock.now()
        if self._done == now.date():
            return
        pruned = await self._epochs.prune(now - self._inputs_kept, (now - self._days_kept).date())
        self._dropped += pruned.epochs
        self._months += pruned.months
        if pruned.complete:
            self._done = now.date()
        else:
            log.warning("old inputs of epochs not dropped: they are in use")

    def metrics(self) -> Metrics:
        """Epochs whose inputs were dropped, and months of nodes' earnings by day."""
        return {
            "pruned_epoch_inputs_total": self._dropped,
            "pruned_earned_months_total": self._months,
        }
