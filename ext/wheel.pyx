"""A hashed timing wheel over slot numbers (Varghese and Lauck, 1987, scheme 6), without rounds.

A slot is scheduled for at most one time. It comes due at that time or, if that lies beyond the wheel's
horizon (`size` × `tick_ms`), when the horizon is reached: whoever takes a due slot looks at its
real deadlines and schedules it anew. So there is no counter of rounds and no second level.
Schedule, cancel and take are O(1); turning costs the number of ticks passed, at most `size`.
"""

from ext.memory cimport give_back, reserve


cdef class Wheel:
    """A wheel for slots below `capacity`, at `now_ms`, with `size` buckets of `tick_ms` milliseconds."""

    def __cinit__(self, uint32_t capacity, int64_t now_ms, uint32_t tick_ms=100, uint32_t size=512):
        if tick_ms == 0 or size < 2:
            raise ValueError("a wheel needs a tick of at least 1 ms and two buckets")
        self.capacity = capacity
        self.tick_ms = tick_ms
        self.size = size
        self._tick = now_ms // tick_ms
        self._next = <uint32_t*>reserve(capacity, sizeof(uint32_t))
        self._prev = <uint32_t*>reserve(capacity, sizeof(uint32_t))
        self._bucket = <uint32_t*>reserve(capacity, sizeof(uint32_t))
        # One more bucket than ticks: the list of what is due and not yet taken.
        self._heads = <uint32_t*>reserve(size + 1, sizeof(uint32_t))
        self._due = size

    def __dealloc__(self):
        give_back(self._next, self.capacity, sizeof(uint32_t))
        give_back(self._prev, self.capacity, sizeof(uint32_t))
        give_back(self._bucket, self.capacity, sizeof(uint32_t))
        give_back(self._heads, self.size + 1, sizeof(uint32_t))

    cdef void _link(self, uint32_t slot, uint32_t bucket) noexcept:
        cdef uint32_t head = self._heads[bucket]
        self._next[slot] = head
        self._prev[slot] = 0
        if head:
            self._prev[head - 1] = slot + 1
        self._heads[bucket] = slot + 1
        self._bucket[slot] = bucket + 1

    cdef void schedule(self, uint32_t slot, int64_t at_ms) noexcept:
        """Let `slot` come due at `at_ms` (not before, at most a tick later), instead of any earlier wish."""
        cdef int64_t tick = (at_ms + self.tick_ms - 1) // self.tick_ms
        self.cancel(slot)
        if tick <= self._tick:
            tick = self._tick + 1
        elif tick >= self._tick + self.size:
            tick = self._tick + self.size - 1
        self._link(slot, <uint32_t>(tick % self.size))

    cdef void cancel(self, uint32_t slot) noexcept:
        """Forget a slot's time, if it has one."""
        if self._bucket[slot] == 0:
            return
        if self._prev[slot]:
            self._next[self._prev[slot] - 1] = self._next[slot]
        else:
            self._heads[self._bucket[slot] - 1] = self._next[slot]
        if self._next[slot]:
            self._prev[self._next[slot] - 1] = self._prev[slot]
        self._bucket[slot] = 0

    cdef void turn(self, int64_t now_ms) noexcept:
        """Move on to `now_ms`; a clock that goes back is ignored. Then `take` until it is empty."""
        cdef int64_t tick = now_ms // self.tick_ms
        cdef int64_t first = self._tick + 1
        cdef uint32_t bucket
        cdef uint32_t link
        cdef uint32_t following
        if tick <= self._tick:
            return
        if tick - self._tick > self.size:
            first = tick - self.size + 1
        self._tick = tick
        while first <= tick:
            bucket = <uint32_t>(first % self.size)
            link = self._heads[bucket]
            self._heads[bucket] = 0
            while link:
                following = self._next[link - 1]
                self._link(link - 1, self._due)
                link = following
            first += 1

    cdef uint32_t take(self) noexcept:
        """A slot that came due, plus 1; 0 when there is none left."""
        cdef uint32_t link = self._heads[self._due]
        if link:
            self.cancel(link - 1)
        return link

    # From Python: the same wheel, for tests.

    def add(self, uint32_t slot, int64_t at_ms):
        """Schedule `slot`, a number below the capacity."""
        if slot >= self.capacity:
            raise IndexError("slot is beyond the capacity")
        self.schedule(slot, at_ms)

    def drop(self, uint32_t slot):
        """Cancel `slot`."""
        if slot >= self.capacity:
            raise IndexError("slot is beyond the capacity")
        self.cancel(slot)

    def due(self, int64_t now_ms):
        """Turn to `now_ms` and take everything that came due."""
        cdef list slots = []
        cdef uint32_t link
        self.turn(now_ms)
        link = self.take()
        while link:
            slots.append(link - 1)
            link = self.take()
        return slots
