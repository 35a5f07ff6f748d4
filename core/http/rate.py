"""How many requests one caller may send: a limit in memory, told in `RateLimit` headers.

Each process counts for itself: the limit protects the process, and costs no round trip. What must hold
over all processes together (attempts at a password) is counted by `storage.base.Throttle`.
"""

from collections.abc import Hashable
from math import ceil

from msgspec import Struct

from core.errors import TooManyRequests

CAPACITY = 100_000

Headers = list[tuple[bytes, bytes]]


class Verdict(Struct, frozen=True):
    """Whether a request is let through; the times are in seconds.

    `remaining` more would be let through now, after `reset` the whole burst is there again.
    """

    allowed: bool
    remaining: int
    reset: float
    retry: float = 0.0


class RateLimiter:
    """GCRA (ITU-T I.371) per caller: `burst` requests at once, `rate` a second over time.

    It remembers at most `capacity` callers; beyond it those are forgotten who have been quiet longest.
    """

    def __init__(self, rate: float, burst: int, capacity: int = CAPACITY) -> None:
        self._interval = 1 / rate
        self._window = burst * self._interval
        self._capacity = capacity
        # When each caller's burst will be whole again; the quietest come first.
        self._full_at: dict[Hashable, float] = {}
        self._policy = (b"ratelimit-policy", b'"default";q=%d;w=%d' % (burst, ceil(self._window)))
        self.refused = 0

    def __len__(self) -> int:
        return len(self._full_at)

    def hit(self, caller: Hashable, now: float) -> Verdict:
        """Count a request of `caller` at `now` (seconds on a clock that never goes back)."""
        full_at = self._full_at.pop(caller, 0.0)
        if full_at <= now:
            self._make_room(now)
            full_at = now
        debt = full_at - now + self._interval
        if debt > self._window + 1e-9:
            self._full_at[caller] = full_at
            self.refused += 1
            return Verdict(False, 0, full_at - now, debt - self._window)
        self._full_at[caller] = full_at + self._interval
        return Verdict(True, int((self._window - debt) / self._interval + 1e-6), debt)

    def headers(self, verdict: Verdict) -> Headers:
        """What a caller is told of it (draft-ietf-httpapi-ratelimit-headers-10)."""
        return [
            self._policy,
            (b"ratelimit", b'"default";r=%d;t=%d' % (verdict.remaining, _seconds(verdict.reset))),
        ]

    def _make_room(self, now: float) -> None:
        """Forget two who owe nothing any more for each who comes, and the quietest when it is full."""
        for _ in range(2):
            quietest = next(iter(self._full_at), None)
            if quietest is None or (self._full_at[quietest] > now and len(self._full_at) < self._capacity):
                return
            del self._full_at[quietest]


def refusal(verdict: Verdict) -> TooManyRequests:
    """What is answered to a request that is not let through."""
    return TooManyRequests(
        "too_many_requests", "You send requests faster than is allowed.", retry_after=_seconds(verdict.retry)
    )


def _seconds(time: float) -> int:
    """Whole seconds, up; what sums of fractions add is no second."""
    return ceil(time - 1e-6)
