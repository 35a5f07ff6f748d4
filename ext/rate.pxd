from libc.stdint cimport int64_t


cdef class Pace:
    cdef int64_t _interval              # nanoseconds from one message to the next at the steady rate
    cdef int64_t _allowance             # how far ahead of that a connection may be
    cdef int64_t _now
    cdef int64_t _stalled_at            # when we last stopped listening ...
    cdef int64_t _forgiving_until       # ... and how long messages may count as having come since
    cdef int64_t _earliest              # when messages count as having come: now, or that
    cdef int64_t _latest                # the theoretical arrival time that is just still admitted

    cdef void look(self, int64_t now_us) noexcept
    cdef void forgive(self, int64_t stalled_us) noexcept
    cdef bint admits(self, int64_t* arrival) noexcept
