from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from ext.table cimport ConnectionTable


cdef struct Sent:
    uint64_t frames_out
    uint64_t writes
    uint64_t bytes_out


cdef class Outlet:
    cdef readonly ConnectionTable table
    cdef readonly uint64_t queued_bytes
    cdef size_t _max_queue
    cdef object _call_soon
    cdef int _epoll
    cdef bint _corking                  # what is sent now waits for `flush`
    cdef bint _flush_due                # `flush` is going to be called
    cdef uint64_t* _corked              # handles of the connections that wait for it
    cdef uint32_t _corked_count
    cdef Sent _sent

    cdef void _overflows(self, uint32_t slot) noexcept
    cdef void _emptied(self, uint32_t slot) noexcept

    cdef bint _send_frame(self, uint32_t slot, bytes frame) noexcept
    cdef bint _send_payload(self, uint32_t slot, int opcode, bytes payload) noexcept
    cdef bint _send_small(self, uint32_t slot, int opcode, const uint8_t* payload, size_t size) noexcept
    cdef bint _write(self, uint32_t slot, const uint8_t* data, size_t size, bint last) noexcept
    cdef bint _queue(self, uint32_t slot, const uint8_t* data, size_t size, bint last) noexcept
    cdef void _drop_queue(self, uint32_t slot) noexcept
    cdef void _watch(self, uint32_t slot, bint writable) noexcept
    cdef void _cork_this_tick(self) noexcept
    cdef void _cork(self, uint32_t slot) noexcept
    cdef void _uncork(self) noexcept
    cdef void _flush(self, uint32_t slot) noexcept
