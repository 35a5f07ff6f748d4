from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uint64_t

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
        MSG_TRUNC
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


# What `Listener.take` answers besides a descriptor.
cdef enum:
    NOBODY = -1                 # nobody waits, or nobody can be taken for now
    TURNED_AWAY = -2            # somebody was, for want of descriptors; there may be others


cdef class Listener:
    cdef uint64_t exhausted             # how many were turned away
    cdef int _epoll
    cdef uint64_t _name                 # of its events
    cdef int _fd                        # the listening socket, or -1
    cdef int _spare                     # a descriptor kept for telling people that there is none left
    cdef bint _resting                  # not even that was to be had

    cdef int watch(self, int epoll, uint64_t name, int fd) except -1
    cdef void leave(self) noexcept
    cdef int take(self) noexcept
    cdef void wake(self) noexcept
    cdef bint _turn_away(self) noexcept
    cdef void _heed(self, bint accepting) noexcept


cdef str address_of(int fd)
