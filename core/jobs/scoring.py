"""The scores of all nodes, computed anew again and again."""

from time import monotonic

from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from services.score import Scores

log = get_logger("jobs")


class Scoring:
    """Computes all scores every `interval` seconds."""

    name = "scoring"

    def __init__(self, scores: Scores, clock: Clock, interval: float) -> None:
        self.interval = interval
        self._scores = scores
        self._clock = clock
        self._runs = 0
        self._nodes = 0
        self._seconds = 0.0

    async def step(self) -> None:
        """Compute them once.

        Raises:
            StorageUnavailable: the former ones stay.
        """
        began = monotonic()
        self._nodes = await self._scores.recompute(self._clock.now())
        self._seconds = monotonic() - began
        self._runs += 1
        log.debug("scores computed", nodes=self._nodes, seconds=round(self._seconds, 3))

    def metrics(self) -> Metrics:
        """How often they were computed; of the last time, how many and in what time."""
        return {
            "score_runs_total": self._runs,
            "score_nodes": self._nodes,
            "score_seconds": round(self._seconds, 3),
        }
