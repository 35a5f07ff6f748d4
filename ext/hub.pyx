"""The hub: the sockets of all connections of one worker, in one epoll set.

A connection is a slot of the table and a kernel socket. There is no Python object for it, so idle
connections cost neither memory beyond their slot nor time of the garbage collector. The event loop
watches the epoll set's own descriptor (`fileno`) and calls `poll` when any socket has news, and
`tick` from one timer; everything else is called by the handler's side.

Reading uses one buffer for all connections. What is sent to a connection waits until the end of the loop's
tick, so that several messages leave in one write; a broadcast is written at once. What the socket
does not take waits in a buffer of the connection's own, bounded, until the socket is writable again,
and all that comes later queues behind it: order per connection always holds.

A connection begins as an HTTP request, whose head goes to the door as it came; the door upgrades it,
or answers it and that is its end. The answer and what is sent next leave in one write.

An upgraded connection ends in one of four ways: the peer closes (its close frame is answered, then the
socket is closed); we close (close frame, then the peer's answer, its end of stream or the deadline);
the peer breaks the protocol or reads too slowly (close frame, our direction shut, what still arrives
thrown away, until its end of stream or the deadline); or the socket dies (1006). `on_closed` is told
once, whichever it is.

Not safe for use from more than one thread.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, errno
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove
from posix.fcntl cimport O_CLOEXEC, O_RDONLY
from posix.fcntl cimport open as open_fd
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport close as close_fd

from ext.frames cimport (
    MAX_HEADER,
    RSV1,
    UTF8_ACCEPT,
    Kind,
    Opcode,
    build,
    build_close,
    deflate,
    inflate,
    utf8_feed,
    write_header,
)
from ext.memory cimport give_back, reserve
from ext.parser cimport Partial, Verdict, forget, keep, parse
from ext.table cimport WINDOW_MASK, WINDOW_SHIFT, Flag, Pending, read_id

import os
import zlib

cdef extern from "sys/epoll.h" nogil:
    enum:
        EPOLLIN
        EPOLLOUT
        EPOLL_CTL_ADD
        EPOLL_CTL_DEL
        EPOLL_CTL_MOD
        EPOLL_CLOEXEC
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event* event)
    int epoll_wait(int epfd, epoll_event* events, int maxevents, int timeout)

cdef extern from "sys/socket.h" nogil:
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL
        SHUT_WR
        SOCK_NONBLOCK
        SOCK_CLOEXEC
        AF_INET
        AF_INET6
    ctypedef uint32_t socklen_t
    struct sockaddr:
        uint16_t sa_family
    struct sockaddr_storage:
        uint16_t ss_family
    int accept4(int fd, sockaddr* address, socklen_t* length, int flags)
    int getpeername(int fd, sockaddr* address, socklen_t* length)
    ssize_t recv(int fd, void* buffer, size_t size, int flags)
    ssize_t send(int fd, const void* buffer, size_t size, int flags)
    int shutdown(int fd, int how)

cdef extern from "netinet/in.h" nogil:
    enum:
        INET6_ADDRSTRLEN
    struct in_addr:
        pass
    struct in6_addr:
        pass
    struct sockaddr_in:
        in_addr sin_addr
    struct sockaddr_in6:
        in6_addr sin6_addr

cdef extern from "arpa/inet.h" nogil:
    const char* inet_ntop(int family, const void* source, char* target, socklen_t size)

cdef extern from "string.h" nogil:
    void* memmem(const void* haystack, size_t size, const void* needle, size_t length)

cdef enum:
    READ_BUFFER = 65536
    MAX_HEAD = 16384            # bytes of an HTTP request's line and headers
    ACCEPTS = 64                # connections accepted in one go
    EVENTS = 256                # sockets looked at in one call of epoll_wait
    FIRST_QUEUE = 512           # bytes of a connection's write buffer at first
    CLOSE_FRAME_ROOM = 256      # what a full queue still takes for the close frame
    TICK = 100                  # milliseconds between two calls of `tick`
    FOREVER = 0x7FFFFFFFFFFFFFFF
    LISTENER = 0xFFFFFFFFFFFFFFFF  # among the handles of events: the listening socket
    STALL = 1000                # a tick this late: we were not running, the peers were not silent

# RFC 6455 §7.4.1: what is reported, never sent.
cdef enum:
    NO_STATUS = 1005
    ABNORMAL = 1006


cdef bytes SORRY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: 89\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
    b'{"type":"about:blank","status":503,"code":"full","detail":"This worker is out of files."}'
)


cdef inline int64_t monotonic_us() noexcept:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000


cdef inline int kind_of(int flags) noexcept:
    """The `Kind` of frames for a connection; those with a small window are sent uncompressed ones."""
    cdef int kind = Kind.KIND_BINARY if flags & Flag.BINARY else 0
    if flags & Flag.DEFLATE and (flags >> WINDOW_SHIFT) & WINDOW_MASK == 0:
        kind |= Kind.KIND_DEFLATED
    return kind


cdef bytes join_frames(list messages, uint32_t joined, int kind):
    """The frames of a kind of all messages on the `joined` channels, one behind the other."""
    return b"".join([(<Message>message).frame(kind) for channel, message in messages if channel & joined])


cdef bint is_utf8(bytes text) noexcept:
    return utf8_feed(UTF8_ACCEPT, <const uint8_t*>PyBytes_AS_STRING(text), len(text)) == UTF8_ACCEPT


cdef bint deliver(void* context, int opcode, uint8_t* payload, size_t size) noexcept:
    return (<Hub>context)._take(opcode, payload, size)


cdef class Hub:
    """Owns the sockets of all connections of a worker, in one epoll set. Times are in milliseconds."""

    def __cinit__(
        self, handler, *, uint32_t capacity, size_t max_message, size_t max_queue, int64_t ping_interval,
        int64_t pong_timeout, int64_t upgrade_timeout, int64_t auth_timeout, int64_t close_timeout,
        int64_t expiry_notice, Py_ssize_t deflate_above, call_soon,
    ):
        self._epoll = -1
        self._listener = -1
        self._spare = -1
        self._now_us = monotonic_us()
        self._ticked_ms = self._now_us // 1000
        self._woken_ms = 0
        self._reading = -1
        self._handler = handler
        self._call_soon = call_soon
        self._deflate_above = deflate_above
        self._corked = <uint64_t*>reserve(capacity, sizeof(uint64_t))
        self.table = ConnectionTable(capacity)
        self._wheel = Wheel(capacity, self._ticked_ms, TICK)
        self._max_message = max_message
        self._max_queue = max_queue
        self._ping_interval = ping_interval
        self._pong_timeout = pong_timeout
        self._upgrade_timeout = upgrade_timeout
        self._auth_timeout = auth_timeout
        self._close_timeout = close_timeout
        self._expiry_notice = expiry_notice
        self._buffer = <uint8_t*>malloc(READ_BUFFER)
        if self._buffer == NULL:
            raise MemoryError
        self._spare = open_fd(b"/dev/null", O_RDONLY | O_CLOEXEC)
        self._epoll = epoll_create1(EPOLL_CLOEXEC)
        if self._epoll < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self):
        cdef uint32_t slot
        if self.table is not None:
            give_back(self._corked, self.table.capacity, sizeof(uint64_t))
            for slot in range(self.table.used):
                if self.table.flags[slot] & Flag.ALIVE:
                    close_fd(self.table.fd[slot])
                    forget(&self.table.partial[slot])
                    free(self.table.pending[slot])
        if self._spare >= 0:
            close_fd(self._spare)
        if self._epoll >= 0:
            close_fd(self._epoll)
        free(self._buffer)

    def __len__(self):
        return self.table.size

    def fileno(self):
        """The epoll set's descriptor: readable when `poll` has something to do."""
        return self._epoll

    def now_ms(self):
        """The hub's clock: monotonic milliseconds."""
        return monotonic_us() // 1000

    # --- connections come -----------------------------------------------------------------------

    def listen(self, int fd, door):
        """Accept connections from a listening socket, which stays the caller's to close.

        `door` is asked about their requests. The sockets inherit the listener's options.
        """
        cdef epoll_event event
        self._door = door
        self._listener = fd
        event.events = EPOLLIN
        event.data.u64 = LISTENER
        if epoll_ctl(self._epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))

    def stop_listening(self):
        """Accept nobody any more."""
        cdef epoll_event event
        if self._listener >= 0:
            epoll_ctl(self._epoll, EPOLL_CTL_DEL, self._listener, &event)
            self._listener = -1

    cdef void _watch_listener(self, bint accepting) noexcept:
        cdef epoll_event event
        self._exhausted = not accepting
        event.events = EPOLLIN if accepting else 0
        event.data.u64 = LISTENER
        epoll_ctl(self._epoll, EPOLL_CTL_MOD, self._listener, &event)

    cdef void _accept(self) noexcept:
        """Take those who knock, some at a time so that the others are served in between."""
        cdef int fd
        cdef int64_t slot
        for _ in range(ACCEPTS):
            fd = accept4(self._listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
            if fd < 0:
                if errno == EMFILE and self._turn_away():
                    continue
                if errno in (EMFILE, ENFILE, ENOBUFS, ENOMEM):
                    self._watch_listener(False)
                return
            slot = self._take_in(fd)
            if slot >= 0:
                # With luck the request is here already.
                self._read(<uint32_t>slot)

    cdef bint _turn_away(self) noexcept:
        """The process has no descriptor left: give up the spare one for as long as it takes to say so."""
        cdef int fd
        cdef bytes sorry = SORRY
        if self._spare < 0:
            return False
        close_fd(self._spare)
        fd = accept4(self._listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd >= 0:
            self._counters.exhausted += 1
            send(fd, PyBytes_AS_STRING(sorry), len(sorry), MSG_DONTWAIT | MSG_NOSIGNAL)
            # Closing with bytes unread would reset the answer away.
            recv(fd, self._buffer, READ_BUFFER, MSG_DONTWAIT)
            shutdown(fd, SHUT_WR)
            close_fd(fd)
        self._spare = open_fd(b"/dev/null", O_RDONLY | O_CLOEXEC)
        return fd >= 0

    cdef int64_t _take_in(self, int fd) noexcept:
        """Give a connected socket a slot and watch it; -1, and `fd` closed, if that cannot be."""
        cdef epoll_event event
        cdef int64_t slot = self.table.insert(fd)
        if slot < 0:
            close_fd(fd)
            self._counters.refused_full += 1
            return -1
        self.table.flags[slot] |= Flag.UPGRADING
        self.table.seen_ms[slot] = self._now_us // 1000
        self.table.since_ms[slot] = self._now_us // 1000
        event.events = EPOLLIN
        event.data.u64 = self.table.handle(<uint32_t>slot)
        if epoll_ctl(self._epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            self.table.remove(<uint32_t>slot)
            close_fd(fd)
            self._counters.refused_full += 1
            return -1
        self._counters.accepted += 1
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

        `window` is the logarithm of the compression window that was agreed to (9 to 15), 0 for none.
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
        self._counters.upgraded += 1
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
        cdef sockaddr_storage address
        cdef socklen_t length = sizeof(address)
        cdef char text[INET6_ADDRSTRLEN]
        cdef const void* source
        if slot < 0 or getpeername(self.table.fd[slot], <sockaddr*>&address, &length) < 0:
            return ""
        if address.ss_family == AF_INET:
            source = &(<sockaddr_in*>&address).sin_addr
        elif address.ss_family == AF_INET6:
            source = &(<sockaddr_in6*>&address).sin6_addr
        else:
            return ""
        if inet_ntop(address.ss_family, source, text, sizeof(text)) == NULL:
            return ""
        return (<bytes>text).decode()

    def bind(self, uint64_t handle, user, node, session, int64_t expires_ms):
        """Mark a connection as authenticated until `expires_ms`; ids have 16 bytes, no node is zeros.

        False if it is gone or closing.
        """
        cdef int64_t slot = self.table.find(handle)
        if slot < 0 or self.table.flags[slot] & Flag.CLOSING:
            return False
        self.table.bind(<uint32_t>slot, read_id(user), read_id(node), read_id(session))
        return self.renew(handle, expires_ms)

    def renew(self, uint64_t handle, int64_t expires_ms):
        """Let the connection live until `expires_ms`; false if it is gone or closing."""
        cdef int64_t slot = self.table.find(handle)
        if slot < 0 or self.table.flags[slot] & Flag.CLOSING:
            return False
        self.table.expires_ms[slot] = expires_ms
        self.table.flags[slot] &= ~Flag.NOTIFIED
        self._wheel.schedule(<uint32_t>slot, self._look_at(<uint32_t>slot))
        return True

    def expires_in_ms(self, uint64_t handle):
        """Milliseconds until the connection's token ends; 0 if it is gone."""
        cdef int64_t slot = self.table.find(handle)
        return 0 if slot < 0 else max(self.table.expires_ms[slot] - monotonic_us() // 1000, 0)

    def set_alarm(self, uint64_t handle, int64_t at_ms):
        """Have `on_alarm` called at `at_ms` or at most a tick later, 0 for never; one per connection."""
        cdef int64_t slot = self.table.find(handle)
        if slot < 0 or self.table.flags[slot] & Flag.CLOSING:
            return False
        self.table.alarm_ms[slot] = at_ms
        self._wheel.schedule(<uint32_t>slot, self._look_at(<uint32_t>slot))
        return True

    def subscribe(self, uint64_t handle, uint32_t channel):
        """Add a channel's bit; returns the connection's bits, or None if it is gone."""
        cdef int64_t slot = self.table.find(handle)
        if slot < 0:
            return None
        self.table.channels[slot] |= channel
        return self.table.channels[slot]

    def unsubscribe(self, uint64_t handle, uint32_t channel):
        """Take a channel's bit away; returns the connection's bits, or None if it is gone."""
        cdef int64_t slot = self.table.find(handle)
        if slot < 0:
            return None
        self.table.channels[slot] &= ~channel
        return self.table.channels[slot]

    def channels(self, uint64_t handle):
        """The bits of the channels a connection has joined; 0 if it is gone."""
        cdef int64_t slot = self.table.find(handle)
        return 0 if slot < 0 else self.table.channels[slot]

    def is_binary(self, uint64_t handle):
        """Whether the connection speaks msgpack in binary frames."""
        cdef int64_t slot = self.table.find(handle)
        return slot >= 0 and (self.table.flags[slot] & Flag.BINARY) != 0

    def rtt_us(self, uint64_t handle):
        """Microseconds from the last answered ping to its pong; None if none was answered."""
        cdef int64_t slot = self.table.find(handle)
        return None if slot < 0 or self.table.rtt_us[slot] == 0 else self.table.rtt_us[slot]

    # --- time -----------------------------------------------------------------------------------

    cdef int64_t _look_at(self, uint32_t slot) noexcept:
        """When the connection's nearest deadline is."""
        cdef ConnectionTable table = self.table
        cdef int flags = table.flags[slot]
        cdef int64_t at
        cdef int64_t other
        if flags & Flag.CLOSING:
            return table.since_ms[slot] + self._close_timeout
        if flags & Flag.UPGRADING:
            return table.since_ms[slot] + self._upgrade_timeout
        if not flags & (Flag.BOUND | Flag.ECHO):
            return max(table.since_ms[slot], self._woken_ms) + self._auth_timeout
        if flags & Flag.PINGED:
            at = max(table.pinged_us[slot] // 1000, self._woken_ms) + self._pong_timeout
        else:
            at = table.seen_ms[slot] + self._ping_interval
        other = table.expires_ms[slot]
        if not flags & Flag.NOTIFIED:
            other -= self._expiry_notice
        if other < at:
            at = other
        other = table.alarm_ms[slot]
        if 0 < other < at:
            at = other
        return at

    def tick(self):
        """Look at every connection that has come due; to be called every 100 ms."""
        cdef uint32_t link
        cdef int64_t now
        self._now_us = monotonic_us()
        now = self._now_us // 1000
        if now - self._ticked_ms > STALL:
            # Their bytes may be waiting unread: nobody is late before we have looked.
            self._woken_ms = now
            self._counters.late_ticks += 1
        self._ticked_ms = now
        write_header(self._ping, Opcode.PING, 8)
        memcpy(self._ping + 2, &self._now_us, 8)
        if self._exhausted and self._listener >= 0:
            self._watch_listener(True)
        self._wheel.turn(now)
        link = self._wheel.take()
        while link:
            self._visit(link - 1)
            link = self._wheel.take()

    cdef void _visit(self, uint32_t slot) noexcept:
        """Act on the deadlines of a connection that have passed and schedule the next."""
        cdef ConnectionTable table = self.table
        cdef int64_t now = self._now_us // 1000
        cdef int flags = table.flags[slot]
        cdef uint64_t handle = table.handle(slot)
        if self._look_at(slot) > now:
            self._wheel.schedule(slot, self._look_at(slot))
            return
        if flags & Flag.CLOSING:
            self._destroy(slot, table.code[slot])
            return
        if flags & Flag.UPGRADING:
            self._counters.upgrade_timeouts += 1
            self._destroy(slot, ABNORMAL)
            return
        if not flags & (Flag.BOUND | Flag.ECHO):
            self._counters.auth_timeouts += 1
            self._say_close(slot, 4502, build_close(4502, "not authenticated in time"), 0)
            return
        if table.expires_ms[slot] <= now:
            self._counters.expired += 1
            self._say_close(slot, 4503, build_close(4503, "token expired"), 0)
            return
        if flags & Flag.PINGED:
            if max(table.pinged_us[slot] // 1000, self._woken_ms) + self._pong_timeout <= now:
                self._counters.lost_pongs += 1
                self._say_close(slot, 4012, build_close(4012, "no sign of life"), Flag.DISCARD)
                return
        elif table.seen_ms[slot] + self._ping_interval <= now:
            table.flags[slot] |= Flag.PINGED
            table.pinged_us[slot] = self._now_us
            self._counters.pings += 1
            self._write(slot, self._ping, 10, False)
        try:
            if not flags & Flag.NOTIFIED and table.expires_ms[slot] - self._expiry_notice <= now:
                table.flags[slot] |= Flag.NOTIFIED
                self._handler.on_expiring(handle)
            if table.find(handle) >= 0 and 0 < table.alarm_ms[slot] <= now:
                table.alarm_ms[slot] = 0
                self._handler.on_alarm(handle)
        except Exception as error:
            self._failed(handle, error)
        if table.find(handle) >= 0:
            self._wheel.schedule(slot, self._look_at(slot))

    # --- bytes come -----------------------------------------------------------------------------

    def poll(self):
        """Read from and write to the sockets that are ready, each once."""
        cdef epoll_event events[EVENTS]
        cdef int count
        cdef int i
        cdef int64_t slot
        self._corking = True
        count = epoll_wait(self._epoll, events, EVENTS, 0)
        self._now_us = monotonic_us()
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
        self.flush()

    cdef void _read(self, uint32_t slot) noexcept:
        cdef ConnectionTable table = self.table
        cdef Verdict verdict
        cdef ssize_t size = recv(table.fd[slot], self._buffer, READ_BUFFER, MSG_DONTWAIT)
        if size <= 0:
            if size == 0 or (errno != EAGAIN and errno != EINTR):
                self._destroy(slot, table.code[slot] if table.flags[slot] & Flag.CLOSING else ABNORMAL)
            return
        self._counters.bytes_in += size
        table.seen_ms[slot] = self._now_us // 1000
        table.flags[slot] &= ~Flag.PINGED
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
        if self._doomed:
            self._destroy(slot, table.code[slot])
        elif verdict.code and not table.flags[slot] & Flag.DISCARD:
            self._counters.violations += 1
            forget(&table.partial[slot])
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
        cdef int64_t sent_us
        cdef uint8_t pong[MAX_HEADER + 125]
        cdef size_t header
        cdef int code
        if opcode == Opcode.PING:
            if not flags & Flag.CLOSING:
                header = write_header(pong, Opcode.PONG, size)
                memcpy(pong + header, payload, size)
                self._write(slot, pong, header + size, False)
        elif opcode == Opcode.PONG:
            self._counters.pongs += 1
            if size == 8:
                memcpy(&sent_us, payload, 8)
                # Only the ping that is out measures: a made-up time stamp measures nothing.
                if sent_us == table.pinged_us[slot] and sent_us:
                    table.rtt_us[slot] = <uint32_t>min(max(self._now_us - sent_us, 1), 0xFFFFFFFF)
                    table.pinged_us[slot] = 0
        elif opcode == Opcode.CLOSE:
            if flags & Flag.CLOSING:
                self._doomed = True
                return True
            code = NO_STATUS if size < 2 else (payload[0] << 8) | payload[1]
            frame = build(Opcode.CLOSE, PyBytes_FromStringAndSize(<char*>payload, 2 if size else 0))
            self._say_close(slot, code, frame, Flag.DISCARD | Flag.PARTED)
            return True
        elif not flags & Flag.CLOSING:
            self._counters.messages_in += 1
            self._take_message(slot, opcode, payload, size)
        return self._doomed or (table.flags[slot] & Flag.DISCARD) != 0

    cdef void _take_message(self, uint32_t slot, int opcode, uint8_t* payload, size_t size) noexcept:
        cdef int flags = self.table.flags[slot]
        cdef uint64_t handle = self.table.handle(slot)
        cdef object message
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
                self._handler.on_message(handle, message)
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
        self._counters.violations += 1
        self._say_close(slot, code, build_close(code, reason), Flag.DISCARD)
        return None

    cdef void _echo(self, uint32_t slot, int opcode, object payload) noexcept:
        cdef int flags = self.table.flags[slot]
        cdef bytes packed
        if flags & Flag.DEFLATE and 0 <= self._deflate_above < len(payload):
            packed = deflate(payload, 15 - ((flags >> WINDOW_SHIFT) & WINDOW_MASK))
            self._send_frame(slot, build(opcode | RSV1, packed))
        else:
            self._send_frame(slot, build(opcode, payload))

    # --- bytes go -------------------------------------------------------------------------------

    cdef bint _write(self, uint32_t slot, const uint8_t* data, size_t size, bint last) noexcept:
        """Send bytes, or queue what the socket does not take or what waits; `last` is a close frame."""
        cdef ssize_t sent = 0
        self._counters.frames_out += 1
        if self.table.pending[slot] == NULL and not self._corking:
            self._counters.writes += 1
            sent = send(self.table.fd[slot], data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent == <ssize_t>size:
                self._counters.bytes_out += size
                return True
            if sent < 0:
                if errno != EAGAIN and errno != EINTR:
                    return False  # the socket is dead; reading from it will say so
                sent = 0
            self._counters.bytes_out += sent
        return self._queue(slot, data + sent, size - sent, last)

    cdef bint _queue(self, uint32_t slot, const uint8_t* data, size_t size, bint last) noexcept:
        cdef Pending* pending = self.table.pending[slot]
        cdef size_t waiting = 0 if pending == NULL else pending.end - pending.start
        cdef size_t capacity
        if waiting + size > self._max_queue and not last:
            self._counters.slow_consumers += 1
            self._say_close(slot, 4008, build_close(4008, "reads too slowly"), Flag.DISCARD)
            return False
        if pending != NULL and pending.start:
            memmove(pending.data, pending.data + pending.start, waiting)
            pending.start = 0
            pending.end = <uint32_t>waiting
        if pending == NULL or waiting + size > pending.capacity:
            capacity = FIRST_QUEUE if pending == NULL else pending.capacity * 2
            while capacity < waiting + size:
                capacity *= 2
            if capacity > self._max_queue + CLOSE_FRAME_ROOM:
                capacity = self._max_queue + CLOSE_FRAME_ROOM
            pending = <Pending*>realloc(pending, sizeof(Pending) + capacity)
            if pending == NULL:
                return False
            if self.table.pending[slot] == NULL:
                pending.start = 0
                pending.end = 0
                if self._corking:
                    self._cork(slot)
                else:
                    self._watch(slot, True)
            pending.capacity = <uint32_t>capacity
            self.table.pending[slot] = pending
        memcpy(pending.data + pending.end, data, size)
        pending.end += <uint32_t>size
        self.queued_bytes += size
        return True

    cdef void _cork(self, uint32_t slot) noexcept:
        """Let what is queued for the connection leave with `flush`."""
        if self._corked_count == self.table.capacity:
            self._watch(slot, True)
            return
        self.table.flags[slot] |= Flag.CORKED
        self._corked[self._corked_count] = self.table.handle(slot)
        self._corked_count += 1

    def flush(self):
        """The tick ends: send what waited for that, one write a connection."""
        cdef uint32_t i
        cdef int64_t found
        cdef uint32_t slot
        self._corking = False
        self._flush_due = False
        for i in range(self._corked_count):
            found = self.table.find(self._corked[i])
            if found < 0:
                continue
            slot = <uint32_t>found
            self.table.flags[slot] &= ~Flag.CORKED
            self._flush(slot)
            if self.table.find(self._corked[i]) >= 0 and self.table.pending[slot] != NULL:
                self._watch(slot, True)
        self._corked_count = 0

    cdef void _flush(self, uint32_t slot) noexcept:
        """Send what waits, as far as the socket takes it."""
        cdef Pending* pending = self.table.pending[slot]
        cdef ssize_t sent
        if pending == NULL:
            return
        self._counters.writes += 1
        sent = send(
            self.table.fd[slot], pending.data + pending.start, pending.end - pending.start,
            MSG_DONTWAIT | MSG_NOSIGNAL,
        )
        if sent < 0:
            return
        pending.start += <uint32_t>sent
        self.queued_bytes -= sent
        self._counters.bytes_out += sent
        if pending.start == pending.end:
            free(pending)
            self.table.pending[slot] = NULL
            if self.table.flags[slot] & Flag.WATCHED:
                self._watch(slot, False)
            self._flushed(slot)

    cdef void _flushed(self, uint32_t slot) noexcept:
        """Everything is out: what a closing connection does next."""
        cdef int flags = self.table.flags[slot]
        if flags & Flag.PARTED:
            self._destroy(slot, self.table.code[slot])
        elif flags & Flag.CLOSING and flags & Flag.DISCARD:
            shutdown(self.table.fd[slot], SHUT_WR)

    cdef void _watch(self, uint32_t slot, bint writable) noexcept:
        cdef epoll_event event
        if writable:
            self.table.flags[slot] |= Flag.WATCHED
        else:
            self.table.flags[slot] &= ~Flag.WATCHED
        event.events = (EPOLLIN | EPOLLOUT) if writable else EPOLLIN
        event.data.u64 = self.table.handle(slot)
        epoll_ctl(self._epoll, EPOLL_CTL_MOD, self.table.fd[slot], &event)

    cdef bint _send_frame(self, uint32_t slot, bytes frame) noexcept:
        return self._write(slot, <const uint8_t*>PyBytes_AS_STRING(frame), len(frame), False)

    cdef void _cork_this_tick(self) noexcept:
        """Let everything that is sent from now on wait for the end of the tick."""
        if not self._corking:
            self._corking = True
            if not self._flush_due:
                self._flush_due = True
                self._call_soon(self.flush)

    def send(self, uint64_t handle, bytes payload):
        """Send a message of the connection's own kind; false if it is gone, closing or too slow."""
        cdef int64_t slot = self.table.find(handle)
        if slot < 0 or self.table.flags[slot] & (Flag.CLOSING | Flag.UPGRADING):
            return False
        opcode = Opcode.BINARY if self.table.flags[slot] & Flag.BINARY else Opcode.TEXT
        self._cork_this_tick()
        return self._send_frame(<uint32_t>slot, build(opcode, payload))

    def send_user(self, user, uint32_t channel, Message message):
        """Send a message to a user's connections on `channel` (a bit); returns how many took it."""
        cdef ConnectionTable table = self.table
        cdef uint32_t link = table.first_of(read_id(user))
        cdef uint32_t slot
        cdef uint32_t reached = 0
        self._cork_this_tick()
        while link:
            slot = link - 1
            link = table.next_of(slot)
            if table.channels[slot] & channel and not table.flags[slot] & Flag.CLOSING:
                reached += self._send_frame(slot, message.frame(kind_of(table.flags[slot])))
        return reached

    def broadcast(self, list messages):
        """Send every (channel, message) to everybody on the channel (a bit); returns how many got any.

        They leave at once, all that a connection gets in one write.
        """
        cdef ConnectionTable table = self.table
        cdef uint32_t slot
        cdef uint32_t union = 0
        cdef uint32_t reached = 0
        cdef uint32_t joined
        cdef uint64_t key
        cdef uint64_t last_key = FOREVER
        cdef bytes frame = b""
        cdef dict frames = {}
        cdef bint corking = self._corking
        for channel, _ in messages:
            union |= <uint32_t>channel
        self._corking = False
        for slot in range(table.used):
            joined = table.channels[slot] & union
            if joined == 0 or table.flags[slot] & (Flag.ALIVE | Flag.CLOSING) != Flag.ALIVE:
                continue
            key = (<uint64_t>joined << 2) | kind_of(table.flags[slot])
            if key != last_key:
                last_key = key
                frame = frames.get(key)
                if frame is None:
                    frame = join_frames(messages, joined, kind_of(table.flags[slot]))
                    frames[key] = frame
            reached += self._send_frame(slot, frame)
        self._corking = corking
        return reached

    # --- connections go -------------------------------------------------------------------------

    def close(self, uint64_t handle, int code, str reason):
        """Send a close frame and wait for the peer's; false if it is gone or already closing.

        One that was not upgraded is dropped.
        """
        cdef int64_t slot = self.table.find(handle)
        if slot < 0 or self.table.flags[slot] & Flag.CLOSING:
            return False
        if self.table.flags[slot] & Flag.UPGRADING:
            self._destroy(<uint32_t>slot, code)
        else:
            self._say_close(<uint32_t>slot, code, build_close(code, reason), 0)
        return True

    def abort_all(self):
        """Drop every connection at once, without a close frame."""
        cdef uint32_t slot
        for slot in range(self.table.used):
            if self.table.flags[slot] & Flag.ALIVE:
                self._destroy(slot, self.table.code[slot] or ABNORMAL)

    cdef void _say_close(self, uint32_t slot, int code, bytes frame, int flags) noexcept:
        """Enter the closing state with a close frame; `flags` are added to the connection's."""
        cdef ConnectionTable table = self.table
        table.flags[slot] |= Flag.CLOSING | flags
        table.code[slot] = <uint16_t>code
        table.since_ms[slot] = self._now_us // 1000
        self._wheel.schedule(slot, self._look_at(slot))
        self._write(slot, <const uint8_t*>PyBytes_AS_STRING(frame), len(frame), True)
        if table.pending[slot] == NULL:
            self._flushed(slot)

    cdef void _destroy(self, uint32_t slot, int code) noexcept:
        """Tell the handler, close the socket and give the slot back."""
        cdef ConnectionTable table = self.table
        cdef Pending* pending
        cdef uint64_t handle = table.handle(slot)
        if self._reading == slot:
            # The parser is at work on it: `_read` comes back here when it has returned.
            table.code[slot] = <uint16_t>code
            self._doomed = True
            return
        table.flags[slot] |= Flag.CLOSING | Flag.DISCARD
        if not table.flags[slot] & Flag.UPGRADING:
            try:
                self._handler.on_closed(handle, code)
            except Exception as error:
                self._failed(handle, error)
        pending = table.pending[slot]
        if pending != NULL:
            self.queued_bytes -= pending.end - pending.start
            free(pending)
            table.pending[slot] = NULL
        forget(&table.partial[slot])
        self._wheel.cancel(slot)
        # The descriptor has no duplicate: closing it takes it out of the epoll set.
        close_fd(table.fd[slot])
        table.remove(slot)
        self._counters.closed += 1

    cdef void _failed(self, uint64_t handle, object error) noexcept:
        """The handler raised: that ends this connection and nothing else."""
        cdef int64_t slot = self.table.find(handle)
        self._counters.failures += 1
        try:
            self._handler.on_failure(handle, error)
        except Exception:  # there is nobody left to tell
            self._counters.failures += 1
        if slot < 0 or self.table.flags[slot] & Flag.CLOSING:
            return
        if self.table.flags[slot] & Flag.UPGRADING:
            self._destroy(<uint32_t>slot, ABNORMAL)
        else:
            self._say_close(<uint32_t>slot, 1011, build_close(1011, "internal error"), Flag.DISCARD)

    def counters(self):
        """What happened so far, by name."""
        return self._counters
