"""How long connections live: deadlines, and the ways a connection ends.

An upgraded connection ends in one of four ways: the peer closes (its close frame is answered, then the
socket is closed); we close (close frame, then the peer's answer, its end of stream or the deadline);
the peer breaks the protocol or reads too slowly (close frame, our direction shut, what still arrives
thrown away, until its end of stream or the deadline); or the socket dies (1006). `on_closed` is told
once, whichever it is.

All deadlines ride on one wheel. A worker that was stopped for a while looks at what has come meanwhile before
it calls anybody late.

Not safe for use from more than one thread.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport free
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport close as close_fd

from ext.frames cimport Opcode, build_close
from ext.outlet cimport Outlet
from ext.parser cimport forget
from ext.rate cimport Pace
from ext.sockets cimport SHUT_WR, shutdown
from ext.table cimport ConnectionTable, Flag, read_id
from ext.wheel cimport Wheel

import os

cdef enum:
    TICK = 100                  # milliseconds between two calls of `tick`
    STALL = 1000                # a tick this late: we were not running, the peers were not silent


cdef int64_t monotonic_us() noexcept:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000


@cython.no_gc_clear  # as the outlet
cdef class Lifetimes(Outlet):
    """Keeps the deadlines of connections and closes them. Times are in milliseconds."""

    def __cinit__(
        self, handler, *, uint32_t capacity, int64_t ping_interval, int64_t pong_timeout,
        int64_t upgrade_timeout, int64_t auth_timeout, int64_t close_timeout, int64_t expiry_notice,
        int64_t message_rate, int64_t message_burst, **_,
    ):
        self._handler = handler
        self._now_us = monotonic_us()
        self._ticked_ms = self._now_us // 1000
        self._reading = -1
        self._secret = os.urandom(16)
        self._wheel = Wheel(capacity, self._ticked_ms, TICK)
        self._pace = Pace(message_rate, message_burst)
        self._ping_interval = ping_interval
        self._pong_timeout = pong_timeout
        self._upgrade_timeout = upgrade_timeout
        self._auth_timeout = auth_timeout
        self._close_timeout = close_timeout
        self._expiry_notice = expiry_notice

    def __dealloc__(self):
        cdef uint32_t slot
        if self.table is None:
            return
        for slot in range(self.table.used):
            if self.table.flags[slot] & Flag.ALIVE:
                close_fd(self.table.fd[slot])
                forget(&self.table.partial[slot])
                free(self.table.pending[slot])

    def now_ms(self):
        """The hub's clock: monotonic milliseconds."""
        return monotonic_us() // 1000

    def bind(
        self, uint64_t handle, bytes user, bytes node, bytes session, int64_t expires_ms, uint64_t sign_in=0
    ):
        """Mark a connection as authenticated until `expires_ms`; ids have 16 bytes, no node is zeros.

        `sign_in` is what the token came from, 0 for none. False if the connection is gone or closing.
        """
        cdef int64_t slot = self.table.find(handle)
        if slot < 0 or self.table.flags[slot] & Flag.CLOSING:
            return False
        self.table.bind(<uint32_t>slot, read_id(user), read_id(node), read_id(session))
        return self.renew(handle, expires_ms, sign_in)

    def renew(self, uint64_t handle, int64_t expires_ms, uint64_t sign_in=0):
        """Let the connection live until `expires_ms`, by a token of `sign_in`.

        False if it is gone or closing.
        """
        cdef int64_t slot = self.table.find(handle)
        if slot < 0 or self.table.flags[slot] & Flag.CLOSING:
            return False
        self.table.expires_ms[slot] = expires_ms
        self.table.sign_in[slot] = sign_in
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

    def ping(self, uint64_t handle):
        """Have the round trip measured, without a deadline; false if the connection is gone or closing.

        A ping that is out because the peer was silent serves as well.
        """
        cdef int64_t slot = self.table.find(handle)
        if slot < 0 or self.table.flags[slot] & (Flag.CLOSING | Flag.UPGRADING):
            return False
        if self.table.flags[slot] & Flag.PINGED:
            return True
        self._cork_this_tick()
        # Not the tick's time: others may have been served since.
        self._send_ping(<uint32_t>slot, monotonic_us())
        return True

    def take_rtt_us(self, uint64_t handle):
        """Microseconds from a ping to its pong, each only once; None if none was answered since."""
        cdef int64_t slot = self.table.find(handle)
        cdef uint32_t taken
        if slot < 0 or self.table.rtt_us[slot] == 0:
            return None
        taken = self.table.rtt_us[slot]
        self.table.rtt_us[slot] = 0
        return taken

    cdef void _send_ping(self, uint32_t slot, int64_t now_us) noexcept:
        cdef uint64_t token
        self.table.pinged_us[slot] = now_us
        token = self._token(slot)
        self._ended.pings += 1
        self._send_small(slot, Opcode.PING, <const uint8_t*>&token, sizeof(token))

    cdef uint64_t _token(self, uint32_t slot) noexcept:
        """What the connection's ping that is out carries: nobody else knows it, nor anybody before."""
        cdef uint64_t known[2]
        known[0] = self.table.handle(slot)
        known[1] = <uint64_t>self.table.pinged_us[slot]
        return <uint64_t>hash(self._secret + PyBytes_FromStringAndSize(<char*>known, sizeof(known)))

    # --- time -----------------------------------------------------------------------------------

    cdef int64_t _ends_at(self, uint32_t slot) noexcept:
        """When the connection's token ends; one that ended during a stall can still be renewed."""
        return max(self.table.expires_ms[slot], self._woken_ms + self._auth_timeout)

    cdef int64_t _look_at(self, uint32_t slot) noexcept:
        """When the connection's nearest deadline is."""
        cdef ConnectionTable table = self.table
        cdef int flags = table.flags[slot]
        cdef int64_t at
        cdef int64_t other
        if flags & Flag.CLOSING:
            return table.since_ms[slot] + self._close_timeout
        if flags & Flag.UPGRADING:
            return max(table.since_ms[slot], self._woken_ms) + self._upgrade_timeout
        if not flags & (Flag.BOUND | Flag.ECHO):
            return max(table.since_ms[slot], self._woken_ms) + self._auth_timeout
        if flags & Flag.PINGED:
            at = max(table.pinged_us[slot] // 1000, self._woken_ms) + self._pong_timeout
        else:
            at = table.seen_ms[slot] + self._ping_interval
        other = self._ends_at(slot)
        if not flags & Flag.NOTIFIED:
            other -= self._expiry_notice
        if other < at:
            at = other
        other = table.alarm_ms[slot]
        if 0 < other < at:
            at = other
        return at

    cdef void _look_at_clock(self) noexcept:
        cdef int64_t now
        self._now_us = monotonic_us()
        self._pace.look(self._now_us)
        now = self._now_us // 1000
        if now - self._ticked_ms > STALL:
            # Their bytes may be waiting unread: nobody is late, or too eager, before we have looked.
            self._woken_ms = now
            self._pace.forgive((now - self._ticked_ms) * 1000)
            self._ticked_ms = now
            self._ended.late_ticks += 1

    cdef void _tick(self) noexcept:
        """Look at every connection that has come due."""
        cdef uint32_t link
        cdef int64_t now
        self._look_at_clock()
        now = self._now_us // 1000
        self._ticked_ms = now
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
            self._ended.upgrade_timeouts += 1
            self._destroy(slot, ABNORMAL)
            return
        if not flags & (Flag.BOUND | Flag.ECHO):
            self._ended.auth_timeouts += 1
            self._say_close(slot, 4502, build_close(4502, "not authenticated in time"), 0)
            return
        if self._ends_at(slot) <= now:
            self._ended.expired += 1
            self._say_close(slot, 4503, build_close(4503, "token expired"), 0)
            return
        if flags & Flag.PINGED:
            if max(table.pinged_us[slot] // 1000, self._woken_ms) + self._pong_timeout <= now:
                self._ended.lost_pongs += 1
                self._say_close(slot, 4012, build_close(4012, "no sign of life"), Flag.DISCARD)
                return
        elif table.seen_ms[slot] + self._ping_interval <= now:
            table.flags[slot] |= Flag.PINGED
            self._send_ping(slot, self._now_us)
        try:
            if not flags & Flag.NOTIFIED and table.expires_ms[slot] - self._expiry_notice <= now:
                table.flags[slot] |= Flag.NOTIFIED
                self._handler.on_expiring(handle)
            # After a stall, what came in time is read first.
            if table.find(handle) >= 0 and 0 < table.alarm_ms[slot] <= now and self._woken_ms < now:
                table.alarm_ms[slot] = 0
                self._handler.on_alarm(handle)
        except Exception as error:
            self._failed(handle, error)
        if table.find(handle) >= 0:
            self._wheel.schedule(slot, self._look_at(slot))

    # --- the end -------------------------------------------------------------------------------

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
            self._emptied(slot)

    cdef void _overflows(self, uint32_t slot) noexcept:
        self._ended.slow_consumers += 1
        self._say_close(slot, 4008, build_close(4008, "reads too slowly"), Flag.DISCARD)

    cdef void _emptied(self, uint32_t slot) noexcept:
        """What a closing connection does next."""
        cdef int flags = self.table.flags[slot]
        if flags & Flag.PARTED:
            self._destroy(slot, self.table.code[slot])
        elif flags & Flag.CLOSING and flags & Flag.DISCARD:
            shutdown(self.table.fd[slot], SHUT_WR)

    cdef void _destroy(self, uint32_t slot, int code) noexcept:
        """Tell the handler, close the socket and give the slot back."""
        cdef ConnectionTable table = self.table
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
        self._drop_queue(slot)
        forget(&table.partial[slot])
        self._wheel.cancel(slot)
        # The descriptor has no duplicate: closing it takes it out of the epoll set.
        close_fd(table.fd[slot])
        table.remove(slot)
        self._ended.closed += 1

    cdef void _failed(self, uint64_t handle, object error) noexcept:
        """The handler raised: that ends this connection and nothing else."""
        cdef int64_t slot = self.table.find(handle)
        self._ended.failures += 1
        try:
            self._handler.on_failure(handle, error)
        except Exception:  # there is nobody left to tell
            self._ended.failures += 1
        if slot < 0 or self.table.flags[slot] & Flag.CLOSING:
            return
        if self.table.flags[slot] & Flag.UPGRADING:
            self._destroy(<uint32_t>slot, ABNORMAL)
        else:
            self._say_close(<uint32_t>slot, 1011, build_close(1011, "internal error"), Flag.DISCARD)
