from libc.stdint cimport int64_t, uint32_t, uint64_t

from ext.outlet cimport Outlet
from ext.rate cimport Pace
from ext.wheel cimport Wheel

# RFC 6455 §7.4.1: reported, never sent. The connection ended without a close frame.
cdef enum:
    ABNORMAL = 1006


cdef struct Ended:
    uint64_t closed
    uint64_t upgrade_timeouts
    uint64_t auth_timeouts
    uint64_t expired
    uint64_t pings
    uint64_t lost_pongs
    uint64_t slow_consumers
    uint64_t late_ticks
    uint64_t failures


cdef class Lifetimes(Outlet):
    cdef object _handler
    cdef Wheel _wheel
    cdef Pace _pace
    cdef int64_t _ping_interval
    cdef int64_t _pong_timeout
    cdef int64_t _upgrade_timeout
    cdef int64_t _auth_timeout
    cdef int64_t _close_timeout
    cdef int64_t _expiry_notice
    cdef int64_t _now_us
    cdef int64_t _ticked_ms             # when `tick` ran last
    cdef int64_t _woken_ms              # when we ran again after a stall; deadlines start anew from there
    cdef int64_t _reading               # the slot whose bytes are being parsed, or -1
    cdef bint _doomed                   # that slot is to be destroyed once the parser has returned
    cdef bytes _secret                  # what the payloads of pings are made with
    cdef Ended _ended

    cdef void _look_at_clock(self) noexcept
    cdef void _tick(self) noexcept
    cdef void _send_ping(self, uint32_t slot, int64_t now_us) noexcept
    cdef uint64_t _token(self, uint32_t slot) noexcept
    cdef int64_t _ends_at(self, uint32_t slot) noexcept
    cdef int64_t _look_at(self, uint32_t slot) noexcept
    cdef void _visit(self, uint32_t slot) noexcept
    cdef void _say_close(self, uint32_t slot, int code, bytes frame, int flags) noexcept
    cdef void _destroy(self, uint32_t slot, int code) noexcept
    cdef void _failed(self, uint64_t handle, object error) noexcept


cdef int64_t monotonic_us() noexcept
