"""Limits on calls, within one process."""

from collections.abc import Callable

from core.clock import monotonic_ms
from storage.base import Limit, Verdict

# Keys up to which nothing is swept out.
_FEW = 1024


class MemoryThrottle:
    """`Throttle` in memory. `now_ms` is a clock in milliseconds."""

    def __init__(self, now_ms: Callable[[], int] = monotonic_ms) -> None:
        self._now_ms = now_ms
        # When everything counted under a key will have run off.
        self._full: dict[str, int] = {}
        self._sweep_at = _FEW

    def __len__(self) -> int:
        """The keys that are remembered."""
        return len(self._full)

    async def hit(self, key: str, limit: Limit) -> Verdict:
        now = self._now_ms()
        verdict = self._verdict(key, limit, now)
        if verdict.allowed:
            self._full[key] = now + verdict.reset_ms
            self._sweep(now)
        return verdict

    async def peek(self, key: str, limit: Limit) -> Verdict:
        return self._verdict(key, limit, self._now_ms())

    async def forgive(self, key: str) -> None:
        self._full.pop(key, None)

    def _verdict(self, key: str, limit: Limit, now: int) -> Verdict:
        burst = limit.burst * limit.interval_ms
        full = min(max(self._full.get(key, now), now), now + burst)
        next_full = full + limit.interval_ms
        over = next_full - now - burst
        if over > 0:
            return Verdict(False, 0, over, full - now)
        return Verdict(True, -over // limit.interval_ms, 0, next_full - now)

    def _sweep(self, now: int) -> None:
        """Forget what has run off, whenever there is twice as much as the last time left."""
        if len(self._full) >= self._sweep_at:
            self._full = {key: full for key, full in self._full.items() if full > now}
            self._sweep_at = max(_FEW, 2 * len(self._full))
