"""Waiting longer after every failure, at random, so that a crowd does not come back in step."""

import random


class Backoff:
    """Exponential back-off with full jitter.

    The n-th delay (n from 0) is drawn evenly from [0, min(`cap`, `base` * 2**n)], in seconds.
    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    def __init__(self, base: float, cap: float, rng: random.Random | None = None) -> None:
        self._base = base
        self._cap = cap
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self.attempts = 0

    @property
    def bound(self) -> float:
        """The longest that the next delay can be, in seconds."""
        # 2**64 times any base is beyond any cap; the exponent must not grow without end.
        return min(self._cap, self._base * 2.0 ** min(self.attempts, 64))

    def next(self) -> float:
        """The seconds to wait after one more failure."""
        delay = self._rng.uniform(0.0, self.bound)
        self.attempts += 1
        return delay

    def reset(self) -> None:
        """Begin from the shortest delay again: all is well."""
        self.attempts = 0
