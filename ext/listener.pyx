"""From the handshake to the hub.

picows reads and answers the upgrade request on a transport of the event loop. As soon as its answer
is on the wire, the socket is duplicated, the transport is dropped and the hub owns the duplicate: the
transport, the protocol, the request and this listener are garbage, the connection is a slot.

Reading is paused in between, so that what a client sends after the answer waits in the kernel. A client
may not send frames before it has seen the answer (RFC 6455 §4.1); one that does is refused.
"""

from picows.picows cimport WSFrame, WSListener, WSTransport

from ext.hub cimport Hub

import asyncio
import fcntl

# The reason of a hand-over that failed because the process has no descriptor left.
NO_DESCRIPTOR = "descriptors"

cdef enum:
    # Loop rounds to wait for the answer to leave; the socket of a living client takes it at once.
    PATIENCE = 50


cdef class Listener(WSListener):
    """Hands one upgraded connection from picows to the hub.

    `binary`, `window` and `echo` are for `Hub.adopt`; `token` is what the client presented with the
    handshake, if anything. `opened(handle, listener)` is called once the hub owns the socket,
    `failed(reason)` when it never came to that.
    """

    cdef Hub _hub
    cdef object _opened
    cdef object _failed
    cdef object _loop
    cdef bint _early
    cdef int _rounds
    cdef bint _binary
    cdef int _window
    cdef readonly bint echo
    cdef readonly object token
    cdef readonly str address

    def __init__(self, Hub hub, bint binary, int window, bint echo, token, opened, failed):
        self._hub = hub
        self._binary = binary
        self._window = window
        self.echo = echo
        self.token = token
        self._opened = opened
        self._failed = failed
        self.address = ""

    cpdef on_ws_connected(self, WSTransport transport):
        peer = transport.underlying_transport.get_extra_info("peername")
        if isinstance(peer, tuple) and peer:
            self.address = peer[0]
        transport.underlying_transport.pause_reading()
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._hand_over, transport)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        self._early = True

    cpdef on_ws_disconnected(self, WSTransport transport):
        pass

    def _hand_over(self, WSTransport transport):
        underlying = transport.underlying_transport
        if transport.is_disconnected or underlying.is_closing():
            self._failed("gone")
            return
        if underlying.get_write_buffer_size():
            self._rounds += 1
            if self._rounds < PATIENCE:
                self._loop.call_soon(self._hand_over, transport)
            else:
                underlying.abort()
                self._failed("stalled")
            return
        try:
            fd = fcntl.fcntl(transport._socket, fcntl.F_DUPFD_CLOEXEC, 0)
        except OSError:
            underlying.abort()
            self._failed(NO_DESCRIPTOR)
            return
        underlying.abort()
        handle = self._hub.adopt(fd, self._binary, self._window, self.echo)
        if handle is None:
            self._failed("full")
            return
        if self._early:
            self._hub.close(handle, 1002, "frame before the handshake ended")
        self._opened(handle, self)
