"""What goes out: one bounded queue a connection, and who is on which channel.

What is sent to a connection waits until the end of the loop's tick, so that several messages leave in one
write; a broadcast is written at once. What the socket does not take waits in a buffer of the
connection's own, bounded, until the socket is writable again, and all that comes later queues behind
it: order per connection always holds.

Not safe for use from more than one thread.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove
from posix.unistd cimport close as close_fd

from ext.frames cimport MAX_HEADER, Kind, Message, Opcode, build, write_header
from ext.memory cimport give_back, reserve
from ext.sockets cimport (
    EPOLL_CLOEXEC,
    EPOLL_CTL_MOD,
    EPOLLIN,
    EPOLLOUT,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    send,
)
from ext.table cimport WINDOW_MASK, WINDOW_SHIFT, Flag, Pending, read_id

import os

cdef enum:
    FIRST_QUEUE = 512           # bytes of a connection's write buffer at first
    CLOSE_FRAME_ROOM = 256      # what a full queue still takes for the close frame
    SMALL = 1024                # bytes of a message that is framed without an object of its own
    NO_KEY = 0xFFFFFFFFFFFFFFFF


cdef inline int kind_of(int flags) noexcept:
    """The `Kind` of frames for a connection; those with a small window are sent uncompressed ones."""
    cdef int kind = Kind.KIND_BINARY if flags & Flag.BINARY else 0
    if flags & Flag.DEFLATE and (flags >> WINDOW_SHIFT) & WINDOW_MASK == 0:
        kind |= Kind.KIND_DEFLATED
    return kind


cdef bytes join_frames(list messages, uint32_t joined, int kind):
    """The frames of a kind of all messages on the `joined` channels, one behind the other."""
    return b"".join([(<Message>message).frame(kind) for channel, message in messages if channel & joined])


# Its columns outlive a cycle of references that is being broken: whoever ends last still needs them.
@cython.no_gc_clear
cdef class Outlet:
    """Writes to the connections of `table`, whose sockets are in the epoll set `_epoll`."""

    def __cinit__(self, handler, *, uint32_t capacity, size_t max_queue, call_soon, **_):
        self.table = ConnectionTable(capacity)
        self._corked = <uint64_t*>reserve(capacity, sizeof(uint64_t))
        self._max_queue = max_queue
        self._call_soon = call_soon
        self._epoll = epoll_create1(EPOLL_CLOEXEC)
        if self._epoll < 0:
            raise OSError(errno, os.strerror(errno))

    def __dealloc__(self):
        if self._corked != NULL:
            give_back(self._corked, self.table.capacity, sizeof(uint64_t))
            if self._epoll >= 0:
                close_fd(self._epoll)

    # What is told to who closes connections:

    cdef void _overflows(self, uint32_t slot) noexcept:
        """More would have to wait than may: the connection has to go."""

    cdef void _emptied(self, uint32_t slot) noexcept:
        """Everything that waited is out."""

    # --- one connection -------------------------------------------------------------------------

    cdef bint _send_frame(self, uint32_t slot, bytes frame) noexcept:
        return self._write(slot, <const uint8_t*>PyBytes_AS_STRING(frame), len(frame), False)

    cdef bint _send_payload(self, uint32_t slot, int opcode, bytes payload) noexcept:
        """Send a message to this connection alone."""
        if len(payload) > SMALL:
            return self._send_frame(slot, build(opcode, payload))
        return self._send_small(slot, opcode, <const uint8_t*>PyBytes_AS_STRING(payload), len(payload))

    cdef bint _send_small(self, uint32_t slot, int opcode, const uint8_t* payload, size_t size) noexcept:
        """The same with at most SMALL bytes, without an object for the frame."""
        cdef uint8_t frame[MAX_HEADER + SMALL]
        cdef size_t header = write_header(frame, opcode, size)
        memcpy(frame + header, payload, size)
        return self._write(slot, frame, header + size, False)

    cdef bint _write(self, uint32_t slot, const uint8_t* data, size_t size, bint last) noexcept:
        """Send bytes, or queue what the socket does not take or what waits; `last` is a close frame."""
        cdef ssize_t sent = 0
        self._sent.frames_out += 1
        if self.table.pending[slot] == NULL and not self._corking:
            self._sent.writes += 1
            sent = send(self.table.fd[slot], data, size, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent == <ssize_t>size:
                self._sent.bytes_out += size
                return True
            if sent < 0:
                if errno != EAGAIN and errno != EINTR:
                    return False  # the socket is dead; reading from it will say so
                sent = 0
            self._sent.bytes_out += sent
        return self._queue(slot, data + sent, size - sent, last)

    cdef bint _queue(self, uint32_t slot, const uint8_t* data, size_t size, bint last) noexcept:
        cdef Pending* pending = self.table.pending[slot]
        cdef size_t waiting = 0 if pending == NULL else pending.end - pending.start
        cdef size_t capacity
        if waiting + size > self._max_queue and not last:
            self._overflows(slot)
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

    cdef void _drop_queue(self, uint32_t slot) noexcept:
        """Forget what waits."""
        cdef Pending* pending = self.table.pending[slot]
        if pending != NULL:
            self.queued_bytes -= pending.end - pending.start
            free(pending)
            self.table.pending[slot] = NULL

    cdef void _flush(self, uint32_t slot) noexcept:
        """Send what waits, as far as the socket takes it."""
        cdef Pending* pending = self.table.pending[slot]
        cdef ssize_t sent
        if pending == NULL:
            return
        self._sent.writes += 1
        sent = send(
            self.table.fd[slot], pending.data + pending.start, pending.end - pending.start,
            MSG_DONTWAIT | MSG_NOSIGNAL,
        )
        if sent < 0:
            return
        pending.start += <uint32_t>sent
        self.queued_bytes -= sent
        self._sent.bytes_out += sent
        if pending.start == pending.end:
            free(pending)
            self.table.pending[slot] = NULL
            if self.table.flags[slot] & Flag.WATCHED:
                self._watch(slot, False)
            self._emptied(slot)

    cdef void _watch(self, uint32_t slot, bint writable) noexcept:
        """Have the epoll set tell when the socket is readable and, if so asked, `writable`."""
        cdef epoll_event event
        if writable:
            self.table.flags[slot] |= Flag.WATCHED
        else:
            self.table.flags[slot] &= ~Flag.WATCHED
        event.events = (EPOLLIN | EPOLLOUT) if writable else EPOLLIN
        event.data.u64 = self.table.handle(slot)
        epoll_ctl(self._epoll, EPOLL_CTL_MOD, self.table.fd[slot], &event)

    # --- the end of a tick ----------------------------------------------------------------------

    cdef void _cork_this_tick(self) noexcept:
        """Let everything that is sent from now on wait for the end of the tick."""
        if not self._corking:
            self._corking = True
            if not self._flush_due:
                self._flush_due = True
                self._call_soon(self.flush)

    cdef void _cork(self, uint32_t slot) noexcept:
        """Let what is queued for the connection leave with `flush`."""
        if self._corked_count == self.table.capacity:
            self._watch(slot, True)
            return
        self._corked[self._corked_count] = self.table.handle(slot)
        self._corked_count += 1

    cdef void _uncork(self) noexcept:
        cdef uint32_t count = self._corked_count
        cdef uint32_t i
        cdef int64_t found
        cdef uint32_t slot
        self._corking = False
        self._flush_due = False
        for i in range(count):
            found = self.table.find(self._corked[i])
            if found < 0:
                continue
            slot = <uint32_t>found
            self._flush(slot)
            if self.table.find(self._corked[i]) >= 0 and self.table.pending[slot] != NULL:
                self._watch(slot, True)
        # What closing has led others to send meanwhile waits for the next time.
        self._corked_count -= count
        memmove(self._corked, self._corked + count, self._corked_count * sizeof(uint64_t))

    def flush(self):
        """The tick ends: send what waited for that, one write a connection."""
        self._uncork()

    # --- from outside ---------------------------------------------------------------------------

    def send(self, uint64_t handle, bytes payload):
        """Send a message of the connection's own kind; false if it is gone, closing or too slow."""
        cdef int64_t slot = self.table.find(handle)
        if slot < 0 or self.table.flags[slot] & (Flag.CLOSING | Flag.UPGRADING):
            return False
        opcode = Opcode.BINARY if self.table.flags[slot] & Flag.BINARY else Opcode.TEXT
        self._cork_this_tick()
        return self._send_payload(<uint32_t>slot, opcode, payload)

    def send_user(self, bytes user, uint32_t channel, Message message):
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
        cdef uint64_t last_key = NO_KEY
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
