from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ext.frames cimport Message
from ext.table cimport ConnectionTable, Id
from ext.wheel cimport Wheel


cdef struct Counters:
    uint64_t accepted
    uint64_t closed
    uint64_t refused_full
    uint64_t exhausted
    uint64_t upgraded
    uint64_t upgrade_timeouts
    uint64_t messages_in
    uint64_t frames_out
    uint64_t writes
    uint64_t bytes_in
    uint64_t bytes_out
    uint64_t pings
    uint64_t pongs
    uint64_t violations
    uint64_t slow_consumers
    uint64_t lost_pongs
    uint64_t auth_timeouts
    uint64_t expired
    uint64_t late_ticks
    uint64_t failures


cdef class Hub:
    cdef readonly ConnectionTable table
    cdef readonly uint64_t queued_bytes
    cdef Wheel _wheel
    cdef object _handler
    cdef object _door
    cdef object _call_soon
    cdef int _epoll
    cdef uint8_t* _buffer
    cdef size_t _max_message
    cdef size_t _max_queue
    cdef Py_ssize_t _deflate_above
    cdef int64_t _ping_interval
    cdef int64_t _pong_timeout
    cdef int64_t _upgrade_timeout
    cdef int64_t _auth_timeout
    cdef int64_t _close_timeout
    cdef int64_t _expiry_notice
    cdef int64_t _now_us
    cdef int64_t _ticked_ms             # when `tick` ran last
    cdef int64_t _woken_ms              # when it last ran after a stall; deadlines start anew from there
    cdef int _listener                  # the listening socket, or -1
    cdef int _spare                     # a descriptor kept for telling people that there is none left
    cdef bint _exhausted                # not even that was to be had: look again with the next tick
    cdef int64_t _reading               # the slot whose bytes are being parsed, or -1
    cdef bint _doomed                   # that slot is to be destroyed once the parser has returned
    cdef bint _corking                  # what is sent now waits for `flush`
    cdef bint _flush_due                # `flush` is going to be called
    cdef uint64_t* _corked              # handles of the connections that wait for it
    cdef uint32_t _corked_count
    cdef uint8_t _ping[10]              # the shared ping frame of the current tick
    cdef Counters _counters

    cdef int64_t _look_at(self, uint32_t slot) noexcept
    cdef void _visit(self, uint32_t slot) noexcept
    cdef void _accept(self) noexcept
    cdef int64_t _take_in(self, int fd) noexcept
    cdef bint _turn_away(self) noexcept
    cdef void _watch_listener(self, bint accepting) noexcept
    cdef void _read(self, uint32_t slot) noexcept
    cdef void _read_request(self, uint32_t slot, ssize_t size) noexcept
    cdef object _unpack(self, uint32_t slot, int opcode, uint8_t* payload, size_t size)
    cdef void _echo(self, uint32_t slot, int opcode, object payload) noexcept
    cdef void _take_message(self, uint32_t slot, int opcode, uint8_t* payload, size_t size) noexcept
    cdef void _cork_this_tick(self) noexcept
    cdef bint _take(self, int opcode, uint8_t* payload, size_t size) noexcept
    cdef bint _write(self, uint32_t slot, const uint8_t* data, size_t size, bint last) noexcept
    cdef bint _queue(self, uint32_t slot, const uint8_t* data, size_t size, bint last) noexcept
    cdef void _cork(self, uint32_t slot) noexcept
    cdef void _flush(self, uint32_t slot) noexcept
    cdef void _flushed(self, uint32_t slot) noexcept
    cdef void _watch(self, uint32_t slot, bint writable) noexcept
    cdef void _say_close(self, uint32_t slot, int code, bytes frame, int flags) noexcept
    cdef void _destroy(self, uint32_t slot, int code) noexcept
    cdef void _failed(self, uint64_t handle, object error) noexcept
    cdef bint _send_frame(self, uint32_t slot, bytes frame) noexcept
