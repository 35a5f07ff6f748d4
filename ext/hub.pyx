"""The hub: the sockets of all connections of one worker, in one epoll set.

A connection is a slot of the table and a kernel socket. There is no Python object for it, so idle
connections cost neither memory beyond their slot nor time of the garbage collector. The event loop
watches the epoll set's own descriptor (`fileno`) and calls `poll` when any socket has news, and
`tick` from one timer; everything else is called by the handler's side.

Reading uses one buffer for all connections; what goes out is the outlet's affair (`ext.outlet`). Whoever
sends more often than the pace allows (`ext.rate`), in messages, fragments or control frames, is let go.

A connection begins as an HTTP request, whose head goes to the door as it came; the door upgrades it,
or answers it and that is its end. The answer and what is sent next leave in one write.

Not safe for use from more than one thread.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy
from posix.unistd cimport close as close_fd

from ext.frames cimport (
    RSV1,
    UTF8_ACCEPT,
    Opcode,
    build,
    build_close,
    deflate,
    inflate,
    utf8_feed,
)
from ext.lifetime cimport ABNORMAL, Lifetimes, monotonic_us
from ext.parser cimport Partial, Verdict, forget, frame_progress, keep, parse
from ext.sockets cimport (
    EPOLL_CTL_ADD,
    EPOLLIN,
    EPOLLOUT,
    MSG_DONTWAIT,
    NOBODY,
    Listener,
    address_of,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    recv,
)
from ext.table cimport WINDOW_MASK, WINDOW_SHIFT, ConnectionTable, Flag

import zlib

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t size, const void* needle, size_t length)

cdef enum:
    READ_BUFFER = 65536
    MAX_HEAD = 16384            # bytes of an HTTP request's line and headers
    ACCEPTS = 64                # connections accepted in one go
    EVENTS = 256                # sockets looked at in one call of epoll_wait
    FOREVER = 0x7FFFFFFFFFFFFFFF
    MAX_RTT = 0x7FFFFFFF        # microseconds: what four bytes with a sign hold
    LISTENER = 0xFFFFFFFFFFFFFFFF  # among the handles of events: the listening socket

# RFC 6455 §7.4.1. Without a status: reported, never sent. From 4000 on the codes are our own.
cdef enum:
    NORMAL = 1000
    NO_STATUS = 1005
    PRIVATE = 4000


cdef bint is_utf8(bytes text) noexcept:
    return utf8_feed(UTF8_ACCEPT, <const uint8_t*>PyBytes_AS_STRING(text), len(text)) == UTF8_ACCEPT


cdef bint deliver(void* context, int opcode, uint8_t* payload, size_t size) noexcept:
    return (<Hub>context)._take(opcode, payload, size)


@cython.no_gc_clear  # as the outlet
cdef class Hub(Lifetimes):
    """Owns the sockets of all connections of a worker, in one epoll set. Times are in milliseconds."""

    def __cinit__(self, handler, *, size_t max_message, Py_ssize_t deflate_above, **_):
        self._listener = Listener()
        self._max_message = max_message
        self._deflate_above = deflate_above
        self._buffer = <uint8_t*>malloc(READ_BUFFER)
        if self._buffer == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._buffer)

    def __len__(self):
        return self.table.size

    def fileno(self):
        """The epoll set's descriptor: readable when `poll` has something to do."""
        return self._epoll

    # --- connections come -----------------------------------------------------------------------

    def listen(self, int fd, door):
        """Accept connections from a listening socket, which stays the caller's to close.

        `door` is asked about their requests. The sockets inherit the listener's options.
        """
        self._door = door
        self._listener.watch(self._epoll, LISTENER, fd)

    def stop_listening(self):
        """Accept nobody any more."""
        self._listener.leave()

    cdef void _accept(self) noexcept:
        """Take those who knock, some at a time so that the others are served in between."""
        cdef int fd
        cdef int64_t slot
        for _ in range(ACCEPTS):
            fd = self._listener.take()
            if fd == NOBODY:
                return
            slot = self._take_in(fd) if fd >= 0 else -1
            if slot >= 0:
                # With luck the request is here already.
                self._read(<uint32_t>slot)

    cdef int64_t _take_in(self, int fd) noexcept:
        """Give a connected socket a slot and watch it; -1, and `fd` closed, if that cannot be."""
        cdef epoll_event event
        cdef int64_t slot = self.table.insert(fd)
        if slot < 0:
            close_fd(fd)
            self._received.refused_full += 1
            return -1
        self.table.flags[slot] |= Flag.UPGRADING
        self.table.seen_ms[slot] = self._now_us // 1000
        self.table.since_ms[slot] = self._now_us // 1000
        event.events = EPOLLIN
        event.data.u64 = self.table.handle(<uint32_t>slot)
        if epoll_ctl(self._epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            self.table.remove(<uint32_t>slot)
            close_fd(fd)
            self._received.refused_full += 1
            return -1
        self._received.accepted += 1
        self._wheel.schedule(<uint32_t>slot, self._look_at(<uint32_t>slot))
        return slot

    def adopt(self, int fd):
        """Take over a connected, non-blocking socket; the descriptor is the hub's from now on.

        Returns the connection's handle, or None when there is no room (`fd` is closed then). It has the
        upgrade timeout from now on to send a request.
        """
        self._now_us = monotonic_us()
        cdef int64_t slot = self._take_in(fd)
        return None if slot < 0 else self.table.handle(<uint32_t>slot)

    def upgrade(self, uint64_t handle, bytes answer, bint binary=False, int window=0, bint echo=False):
        """Answer a request with `answer` and go on with WebSocket frames; false if it is gone.

        `window` is the logarithm of the compression window that was agreed to (8 to 15), 0 for none.
        Whatever an `echo` connection sends is sent back. Others have the auth timeout until `bind`.
        """
        cdef int64_t found = self.table.find(handle)
        cdef uint32_t slot
        if found < 0 or self.table.flags[found] & (Flag.UPGRADING | Flag.CLOSING) != Flag.UPGRADING:
            return False
        slot = <uint32_t>found
        self.table.flags[slot] &= ~<int>Flag.UPGRADING
        if binary:
            self.table.flags[slot] |= Flag.BINARY
        if window:
            self.table.flags[slot] |= Flag.DEFLATE | ((15 - window) << WINDOW_SHIFT)
        if echo:
            self.table.flags[slot] |= Flag.ECHO
            self.table.expires_ms[slot] = FOREVER
        self.table.since_ms[slot] = self._now_us // 1000
        self._received.upgraded += 1
        self._wheel.schedule(slot, self._look_at(slot))
        self._cork_this_tick()
        self._send_frame(slot, answer)
        return True

    def answer(self, uint64_t handle, bytes response):
        """Answer a request with `response` and end; false if it is gone.

        Our direction is shut after it. What still arrives is thrown away until the peer's end of stream
        or the close timeout: closing at once would reset the answer away from a peer who still sends.
        """
        cdef int64_t slot = self.table.find(handle)
        if slot < 0 or self.table.flags[slot] & (Flag.UPGRADING | Flag.CLOSING) != Flag.UPGRADING:
            return False
        self._say_close(<uint32_t>slot, ABNORMAL, response, Flag.DISCARD)
        return True

    def peer(self, uint64_t handle):
        """The peer's IP address; empty if it is gone or has none."""
        cdef int64_t slot = self.table.find(handle)
        return "" if slot < 0 else address_of(self.table.fd[slot])

    # --- bytes come -----------------------------------------------------------------------------

    def tick(self):
        """Look at every connection that has come due; to be called every 100 ms."""
        self._listener.wake()
        self._tick()

    def poll(self):
        """Read from and write to the sockets that are ready, each once."""
        cdef epoll_event events[EVENTS]
        cdef int count
        cdef int i
        cdef int64_t slot
        self._corking = True
        count = epoll_wait(self._epoll, events, EVENTS, 0)
        self._look_at_clock()
        for i in range(count):
            if events[i].data.u64 == LISTENER:
                self._accept()
                continue
            slot = self.table.find(events[i].data.u64)
            if slot >= 0 and events[i].events & EPOLLOUT:
                self._flush(<uint32_t>slot)
                slot = self.table.find(events[i].data.u64)
            if slot >= 0 and events[i].events & ~<uint32_t>EPOLLOUT:
                self._read(<uint32_t>slot)
        self._uncork()

    cdef void _touch(self, uint32_t slot) noexcept:
        """The peer gave a sign of life."""
        self.table.seen_ms[slot] = self._now_us // 1000
        self.table.flags[slot] &= ~Flag.PINGED

    cdef void _read(self, uint32_t slot) noexcept:
        cdef ConnectionTable table = self.table
        cdef Verdict verdict
        cdef size_t begun
        cdef ssize_t size = recv(table.fd[slot], self._buffer, READ_BUFFER, MSG_DONTWAIT)
        if size <= 0:
            if size == 0 or (errno != EAGAIN and errno != EINTR):
                self._destroy(slot, table.code[slot] if table.flags[slot] & Flag.CLOSING else ABNORMAL)
            return
        self._received.bytes_in += size
        begun = frame_progress(table.partial[slot])
        if begun == 0:
            self._touch(slot)
        if table.flags[slot] & Flag.DISCARD:
            return
        self._reading = slot
        self._doomed = False
        if table.flags[slot] & Flag.UPGRADING:
            self._read_request(slot, size)
            self._reading = -1
            if self._doomed:
                self._destroy(slot, table.code[slot])
            return
        verdict = parse(
            &table.partial[slot], self._buffer, size, self._max_message,
            table.flags[slot] & Flag.DEFLATE, deliver, <void*>self,
        )
        self._reading = -1
        # More of a frame is no sign of life until it ends: bytes that dribble must not keep it for ever.
        if begun and frame_progress(table.partial[slot]) != begun + size:
            self._touch(slot)
        if self._doomed:
            self._destroy(slot, table.code[slot])
        elif verdict.code or table.flags[slot] & Flag.DISCARD:
            forget(&table.partial[slot])
            if table.flags[slot] & Flag.DISCARD:
                return
            self._received.violations += 1
            if table.flags[slot] & Flag.CLOSING:
                table.flags[slot] |= Flag.DISCARD
            else:
                reason = verdict.reason.decode()
                self._say_close(slot, verdict.code, build_close(verdict.code, reason), Flag.DISCARD)

    cdef void _read_request(self, uint32_t slot, ssize_t size) noexcept:
        """Gather an HTTP request's head and hand it over once it is complete."""
        cdef Partial** partial = &self.table.partial[slot]
        cdef uint8_t* data = self._buffer
        cdef uint64_t handle = self.table.handle(slot)
        cdef uint8_t* end
        cdef bytes head
        if partial[0] != NULL or memmem(data, size, b"\r\n\r\n", 4) == NULL:
            if not keep(partial, data, <uint32_t>size):
                self._destroy(slot, ABNORMAL)
                return
            data = partial[0].message
            size = partial[0].message_size
        end = <uint8_t*>memmem(data, size, b"\r\n\r\n", 4)
        if end == NULL and size < MAX_HEAD:
            return
        try:
            if end == NULL or end - data >= MAX_HEAD:
                self._door.on_long_request(handle)
            else:
                size -= end + 4 - data
                head = PyBytes_FromStringAndSize(<char*>data, end - data)
                self._door.on_request(handle, head)
                if size and not self.table.flags[slot] & Flag.CLOSING:
                    # A client must have seen the answer before it sends frames (RFC 6455 §4.1).
                    frame = build_close(1002, "frame before the handshake ended")
                    self._say_close(slot, 1002, frame, Flag.DISCARD)
        except Exception as error:
            self._failed(handle, error)
        forget(partial)

    cdef bint _take(self, int opcode, uint8_t* payload, size_t size) noexcept:
        """Take a message or control frame of the slot being read; true stops the parser."""
        cdef ConnectionTable table = self.table
        cdef uint32_t slot = <uint32_t>self._reading
        cdef int flags = table.flags[slot]
        cdef int code
        cdef bint paced = opcode != Opcode.CLOSE and not flags & Flag.ECHO
        if paced and not self._pace.admits(&table.arrival_ns[slot]):
            self._sends_too_often(slot)
            return True
        if opcode == Opcode.PING:
            if not flags & Flag.CLOSING:
                self._send_small(slot, Opcode.PONG, payload, size)
        elif opcode == Opcode.PONG:
            self._received.pongs += 1
            if size == sizeof(uint64_t):
                self._take_pong(slot, payload)
        elif opcode == Opcode.CLOSE:
            if flags & Flag.CLOSING:
                self._doomed = True
                return True
            code = NO_STATUS if size < 2 else (payload[0] << 8) | payload[1]
            frame = build(Opcode.CLOSE, PyBytes_FromStringAndSize(<char*>payload, 2 if size else 0))
            # Said by a peer they do not tell of what we did.
            self._say_close(slot, NORMAL if code >= PRIVATE else code, frame, Flag.DISCARD | Flag.PARTED)
            return True
        elif opcode != Opcode.CONTINUATION and not flags & Flag.CLOSING:
            self._received.messages_in += 1
            self._take_message(slot, opcode, payload, size)
        return self._doomed or (table.flags[slot] & Flag.DISCARD) != 0

    cdef void _take_pong(self, uint32_t slot, uint8_t* payload) noexcept:
        """Measure the round trip, if this answers the ping that is out."""
        cdef ConnectionTable table = self.table
        cdef int64_t sent_us = table.pinged_us[slot]
        cdef uint64_t token
        memcpy(&token, payload, sizeof(token))
        if sent_us == 0 or token != self._token(slot):
            return
        table.pinged_us[slot] = 0
        # What waited for us to wake up measures us.
        if sent_us // 1000 > self._woken_ms:
            table.rtt_us[slot] = <uint32_t>min(max(self._now_us - sent_us, 1), MAX_RTT)

    cdef void _sends_too_often(self, uint32_t slot) noexcept:
        if self.table.flags[slot] & Flag.CLOSING:
            self.table.flags[slot] |= Flag.DISCARD
        else:
            self._received.rate_limited += 1
            self._say_close(slot, 4506, build_close(4506, "sends too often"), Flag.DISCARD)

    cdef void _take_message(self, uint32_t slot, int opcode, uint8_t* payload, size_t size) noexcept:
        cdef int flags = self.table.flags[slot]
        cdef uint64_t handle = self.table.handle(slot)
        cdef bytes message
        if opcode & RSV1:
            message = self._unpack(slot, opcode ^ RSV1, payload, size)
            if message is None:
                return
        else:
            message = PyBytes_FromStringAndSize(<char*>payload, size)
        opcode &= ~RSV1
        if flags & Flag.ECHO:
            self._echo(slot, opcode, message)
        elif (opcode == Opcode.BINARY) != ((flags & Flag.BINARY) != 0):
            frame = build_close(1003, "wrong kind of frame for the subprotocol")
            self._say_close(slot, 1003, frame, Flag.DISCARD)
        else:
            try:
                self._handler.on_message(handle, message, opcode == Opcode.BINARY)
            except Exception as error:
                self._failed(handle, error)

    cdef object _unpack(self, uint32_t slot, int opcode, uint8_t* payload, size_t size):
        """The inflated message; None, and the connection closes, if it cannot be had."""
        cdef int code
        cdef str reason
        try:
            message = inflate(payload, size, self._max_message)
        except zlib.error:
            code, reason = 1007, "message cannot be inflated"
        else:
            if message is None:
                code, reason = 1009, "message is too big"
            elif opcode == Opcode.TEXT and not is_utf8(message):
                code, reason = 1007, "text is not UTF-8"
            else:
                return message
        self._received.violations += 1
        self._say_close(slot, code, build_close(code, reason), Flag.DISCARD)
        return None

    cdef void _echo(self, uint32_t slot, int opcode, bytes payload) noexcept:
        cdef int flags = self.table.flags[slot]
        cdef bytes packed
        if flags & Flag.DEFLATE and 0 <= self._deflate_above < len(payload):
            packed = deflate(payload, 15 - ((flags >> WINDOW_SHIFT) & WINDOW_MASK))
            self._send_payload(slot, opcode | RSV1, packed)
        else:
            self._send_payload(slot, opcode, payload)

    def counters(self):
        """What happened so far, by name."""
        return {**self._received, **self._sent, **self._ended, "exhausted": self._listener.exhausted}
