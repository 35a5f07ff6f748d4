"""Looking for signs of abuse, rule by rule, and doing what the flags say."""

from datetime import timedelta
from time import perf_counter

from core.clock import Clock
from core.logs import get_logger
from core.metrics import Metrics
from services.abuse import Abuse
from storage.abuse import KINDS
from storage.base import AbuseStore

# Flags that one look of a rule raises, and nodes that are suspended in one step, at most: the rest have
# their turn with the next.
RAISED_AT_ONCE = 5000
ENFORCED_AT_ONCE = 500
# Longer than any rule looks back.
MOVES_KEPT = timedelta(days=4)

log = get_logger("abuse")


class AbuseWatch:
    """Lets every rule look once in `interval` seconds, and suspends and lets in whom the flags say."""

    name = "abuse"

    def __init__(
        self, *, store: AbuseStore, abuse: Abuse, clock: Clock, interval: float, keep_days: int
    ) -> None:
        """`keep_days` is how long flags that ended are kept."""
        self.interval = interval
        self._store = store
        self._abuse = abuse
        self._clock = clock
        self._kept = timedelta(days=keep_days)
        self._raised = dict.fromkeys(KINDS, 0)
        self._cleared = dict.fromkeys(KINDS, 0)
        self._seconds = dict.fromkeys(KINDS, 0.0)
        self._suspended = 0
        self._let_in = 0
        self._pruned = 0

    async def step(self) -> None:
        """Look once by every rule.

        Raises:
            StorageUnavailable: what was not done is done with the next step.
        """
        for rule in await self._store.rules():
            if rule.name not in KINDS:
                continue
            began = perf_counter()
            judged = await self._store.judge(rule, self._clock.now(), RAISED_AT_ONCE)
            self._seconds[rule.name] = perf_counter() - began
            self._raised[rule.name] += judged.raised
            self._cleared[rule.name] += judged.cleared
            if judged.raised or judged.cleared:
                log.info("abuse", rule=rule.name, raised=judged.raised, cleared=judged.cleared)
        for each in await self._store.unenforced(ENFORCED_AT_ONCE):
            if await self._abuse.enforce(each):
                self._suspended += each.suspend
                self._let_in += not each.suspend
                log.info("suspension", node=str(each.node_id), suspended=each.suspend)
        now = self._clock.now()
        self._pruned += await self._store.prune(now - self._kept, now - MOVES_KEPT)

    def metrics(self) -> Metrics:
        """Flags by rule, how long the last look of each took, and who was suspended."""
        metrics: Metrics = {
            "abuse_suspended_total": self._suspended,
            "abuse_let_in_total": self._let_in,
            "abuse_flags_pruned_total": self._pruned,
        }
        for rule in KINDS:
            metrics[f"abuse_{rule}_raised_total"] = self._raised[rule]
            metrics[f"abuse_{rule}_cleared_total"] = self._cleared[rule]
            metrics[f"abuse_{rule}_seconds"] = self._seconds[rule]
        return metrics
