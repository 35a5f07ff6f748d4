"""Sockets and epoll as the kernel has them: a listening socket, and who is at the other end of one.

The `.pxd` declares the system calls that Cython's own headers leave out.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.errno cimport EMFILE, ENFILE, ENOBUFS, ENOMEM, errno
from posix.fcntl cimport O_CLOEXEC, O_RDONLY
from posix.fcntl cimport open as open_fd
from posix.unistd cimport close as close_fd

import os

cdef enum:
    UNHEARD = 65536             # bytes of a request that nobody will read

cdef bytes SORRY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: 89\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
    b'{"type":"about:blank","status":503,"code":"full","detail":"This worker is out of files."}'
)


cdef class Listener:
    """A listening socket in an epoll set. It says so to those who come when the process is out of files."""

    def __cinit__(self):
        self._fd = -1
        self._spare = open_fd(b"/dev/null", O_RDONLY | O_CLOEXEC)

    def __dealloc__(self):
        if self._spare >= 0:
            close_fd(self._spare)

    cdef int watch(self, int epoll, uint64_t name, int fd) except -1:
        """Have `epoll` tell by an event with `name` when somebody waits at `fd`, which stays the caller's."""
        cdef epoll_event event
        self._epoll = epoll
        event.events = EPOLLIN
        event.data.u64 = name
        if epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            raise OSError(errno, os.strerror(errno))
        self._name = name
        self._fd = fd
        return 0

    cdef void leave(self) noexcept:
        """Take nobody any more."""
        cdef epoll_event event
        if self._fd >= 0:
            epoll_ctl(self._epoll, EPOLL_CTL_DEL, self._fd, &event)
            self._fd = -1

    cdef int take(self) noexcept:
        """The descriptor of the next who waits, non-blocking, or one of the answers below 0."""
        cdef int fd = accept4(self._fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        cdef int error = errno
        if fd >= 0:
            return fd
        if error == EMFILE and self._turn_away():
            return TURNED_AWAY
        if error in (EMFILE, ENFILE, ENOBUFS, ENOMEM):
            self._heed(False)
        return NOBODY

    cdef bint _turn_away(self) noexcept:
        """The process has no descriptor left: give up the spare one for as long as it takes to say so."""
        cdef int fd
        cdef bytes sorry = SORRY
        if self._spare < 0:
            return False
        close_fd(self._spare)
        fd = accept4(self._fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd >= 0:
            self.exhausted += 1
            send(fd, PyBytes_AS_STRING(sorry), len(sorry), MSG_DONTWAIT | MSG_NOSIGNAL)
            # Closing with bytes unread would reset the answer away.
            recv(fd, NULL, UNHEARD, MSG_DONTWAIT | MSG_TRUNC)
            shutdown(fd, SHUT_WR)
            close_fd(fd)
        self._spare = open_fd(b"/dev/null", O_RDONLY | O_CLOEXEC)
        return fd >= 0

    cdef void wake(self) noexcept:
        """Look again, should it have stopped looking for want of descriptors or memory."""
        if self._resting and self._fd >= 0:
            self._heed(True)

    cdef void _heed(self, bint accepting) noexcept:
        cdef epoll_event event
        self._resting = not accepting
        event.events = EPOLLIN if accepting else 0
        event.data.u64 = self._name
        epoll_ctl(self._epoll, EPOLL_CTL_MOD, self._fd, &event)


cdef str address_of(int fd):
    """The IP address of a connected socket's peer; empty if it has none."""
    cdef sockaddr_storage address
    cdef socklen_t length = sizeof(address)
    cdef char text[INET6_ADDRSTRLEN]
    cdef const void* source
    if getpeername(fd, <sockaddr*>&address, &length) < 0:
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
