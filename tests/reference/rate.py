"""`ext.rate.Pace` in plain Python: a bucket of tokens for one connection."""

SECOND = 1_000_000_000


class ReferenceBucket:
    """Holds up to `burst` tokens and gains `rate` a second; a message takes one."""

    def __init__(self, rate: int, burst: int) -> None:
        self._price = SECOND // rate if rate else 0
        self._full = burst * self._price
        self._credit = self._full
        self._now = 0

    def admit(self, now_us: int) -> bool:
        """Whether a message may come now; if it may, it does."""
        self._credit = min(self._full, self._credit + now_us * 1000 - self._now)
        self._now = now_us * 1000
        if self._credit < self._price:
            return False
        self._credit -= self._price
        return True
