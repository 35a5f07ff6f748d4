"""How often a connection may send: the generic cell rate algorithm (ITU-T I.371, annex A).

All that is kept of a connection is one number, the *theoretical arrival time* of its next message if it
sent at the steady rate. Whoever is early is ahead of it by so much, and may be by a fixed allowance; whoever
was silent has earned no more than that. So there is no window, and nothing has to be reset when one ends.

Not safe for use from more than one thread.
"""

cdef enum:
    SECOND = 1000000000


cdef class Pace:
    """The pace of all connections: `rate` messages a second over time (0: no limit), `burst` at once.

    Between two calls of `look` all messages count as having come at the same time.
    """

    def __init__(self, int64_t rate, int64_t burst):
        if not 0 <= rate <= SECOND or not 1 <= burst <= SECOND:
            raise ValueError("impossible rate or burst")
        # Without an interval nobody ever gets ahead.
        self._interval = SECOND // rate if rate else 0
        self._allowance = self._interval * (burst - 1)

    cdef void look(self, int64_t now_us) noexcept:
        """It is `now_us` by a clock that never goes back."""
        self._now = now_us * 1000
        self._earliest = self._now if self._now >= self._forgiving_until else self._stalled_at
        self._latest = self._now + self._allowance

    cdef void forgive(self, int64_t stalled_us) noexcept:
        """Nobody was listened to for so long until now: what came meanwhile is read at once.

        For as long again, messages may count as having come from then on.
        """
        if self._now >= self._forgiving_until:
            self._stalled_at = self._now - stalled_us * 1000
        self._forgiving_until = self._now + stalled_us * 1000
        self._earliest = self._stalled_at

    cdef bint admits(self, int64_t* arrival) noexcept:
        """Take one message into account, unless it comes too early; `arrival` is 0 at first."""
        if arrival[0] > self._latest:
            return False
        arrival[0] = max(arrival[0], self._earliest) + self._interval
        return True

    # From Python: the same, for tests.

    def at(self, int64_t now_us):
        """It is `now_us`."""
        self.look(now_us)

    def stalled(self, int64_t us):
        """Nobody was listened to for so long."""
        self.forgive(us)

    def admit(self, int64_t arrival):
        """The new theoretical arrival time, or None if the message comes too early."""
        return arrival if self.admits(&arrival) else None
