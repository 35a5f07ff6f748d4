from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from ext.lifetime cimport Lifetimes
from ext.sockets cimport Listener


cdef struct Received:
    uint64_t accepted
    uint64_t refused_full
    uint64_t upgraded
    uint64_t messages_in
    uint64_t bytes_in
    uint64_t pongs
    uint64_t violations
    uint64_t rate_limited


cdef class Hub(Lifetimes):
    cdef object _door
    cdef Listener _listener
    cdef uint8_t* _buffer
    cdef size_t _max_message
    cdef Py_ssize_t _deflate_above
    cdef Received _received

    cdef void _accept(self) noexcept
    cdef int64_t _take_in(self, int fd) noexcept
    cdef void _touch(self, uint32_t slot) noexcept
    cdef void _read(self, uint32_t slot) noexcept
    cdef void _read_request(self, uint32_t slot, ssize_t size) noexcept
    cdef bint _take(self, int opcode, uint8_t* payload, size_t size) noexcept
    cdef void _take_pong(self, uint32_t slot, uint8_t* payload) noexcept
    cdef void _sends_too_often(self, uint32_t slot) noexcept
    cdef void _take_message(self, uint32_t slot, int opcode, uint8_t* payload, size_t size) noexcept
    cdef object _unpack(self, uint32_t slot, int opcode, uint8_t* payload, size_t size)
    cdef void _echo(self, uint32_t slot, int opcode, bytes payload) noexcept
