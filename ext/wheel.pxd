from libc.stdint cimport int64_t, uint32_t


cdef class Wheel:
    cdef readonly uint32_t capacity
    cdef readonly uint32_t tick_ms
    cdef readonly uint32_t size         # buckets
    cdef int64_t _tick                  # the last tick that was turned to
    cdef uint32_t* _next                # in its bucket, as slot + 1
    cdef uint32_t* _prev
    cdef uint32_t* _bucket              # bucket + 1 of a scheduled slot, 0 of any other
    cdef uint32_t* _heads
    cdef uint32_t _due                  # the bucket of what came due and was not taken yet

    cdef void schedule(self, uint32_t slot, int64_t at_ms) noexcept
    cdef void cancel(self, uint32_t slot) noexcept
    cdef void turn(self, int64_t now_ms) noexcept
    cdef uint32_t take(self) noexcept
    cdef void _link(self, uint32_t slot, uint32_t bucket) noexcept
