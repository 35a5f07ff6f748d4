from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from ext.parser cimport Partial


cdef enum Flag:
    ALIVE = 1           # the slot holds a connection
    BINARY = 2          # its messages are msgpack in binary frames, not JSON in text frames
    BOUND = 4           # it is authenticated: user, node and session are set
    CLOSING = 8         # our close frame was sent or is queued
    DISCARD = 16        # what still arrives is thrown away: the peer broke the protocol
    NOTIFIED = 32       # it was told that its token expires
    PINGED = 64         # a ping is out, since pinged_us
    PARTED = 128        # the peer's close frame came and was answered
    WATCHED = 512       # what it is due waits until the socket is writable
    DEFLATE = 1024      # compression was agreed to, with a window as below
    ECHO = 2048         # whatever it sends comes back; it needs no authentication

    UPGRADING = 32768   # it has not been upgraded to WebSocket, and perhaps never will

# Where the flags hold 15 minus the logarithm of the compression window, in three bits.
cdef enum:
    WINDOW_SHIFT = 12
    WINDOW_MASK = 7

# Bytes that wait for a socket that could not take them.
cdef struct Pending:
    uint32_t capacity
    uint32_t start
    uint32_t end
    uint8_t data[1]

cdef struct Id:
    uint64_t high
    uint64_t low


cdef class ConnectionTable:
    cdef readonly uint32_t capacity
    cdef readonly uint32_t size         # living connections
    cdef uint32_t used                  # slots ever used: iterate below this
    cdef uint32_t free                  # head of the free list, as slot + 1
    cdef uint32_t buckets               # of the user index, a power of two

    cdef uint32_t* generation
    cdef int32_t* fd
    cdef uint16_t* flags
    cdef uint16_t* code                 # the close code, once closing
    cdef uint32_t* channels
    cdef uint32_t* rtt_us
    cdef int64_t* seen_ms
    cdef int64_t* since_ms              # opened, then: closing began
    cdef int64_t* pinged_us
    cdef int64_t* expires_ms
    cdef int64_t* alarm_ms
    cdef int64_t* arrival_ns            # of its next message, in theory: see `ext.rate`
    cdef Id* user
    cdef Id* node
    cdef Id* session
    cdef uint64_t* sign_in              # what its token came from: half of a sign-in's id, 0 for none
    cdef Partial** partial
    cdef Pending** pending
    cdef uint32_t* next                 # in the free list, or in the user's bucket, as slot + 1
    cdef uint32_t* prev
    cdef uint32_t* heads                # of the buckets, as slot + 1

    cdef int64_t insert(self, int fd) noexcept
    cdef void remove(self, uint32_t slot) noexcept
    cdef int64_t find(self, uint64_t handle) noexcept
    cdef uint64_t handle(self, uint32_t slot) noexcept
    cdef void bind(self, uint32_t slot, Id user, Id node, Id session) noexcept
    cdef uint32_t first_of(self, Id user) noexcept
    cdef uint32_t next_of(self, uint32_t slot) noexcept
    cdef uint32_t _bucket(self, Id user) noexcept
    cdef uint32_t _same_user(self, uint32_t link, Id user) noexcept
    cdef void _unlink(self, uint32_t slot) noexcept


cdef Id read_id(bytes value) except *
cdef bytes write_id(Id value)
