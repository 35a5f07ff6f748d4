from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t


cdef enum Opcode:
    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


# Decoder states of `utf8_feed`; any other value is "in the middle of a character".
cdef enum:
    UTF8_ACCEPT = 0
    UTF8_REJECT = 0xFFFFFFFF

# The longest header a server sends: no mask.
cdef enum:
    MAX_HEADER = 10

cdef size_t write_header(uint8_t* out, int opcode, size_t size) noexcept nogil
cdef void apply_mask(uint8_t* data, size_t size, const uint8_t* key, size_t offset) noexcept nogil
cdef uint32_t utf8_feed(uint32_t state, const uint8_t* data, size_t size) noexcept nogil
cdef bint close_code_allowed(int code) noexcept nogil

# Kinds of frames that a message can be asked for, to be combined.
cdef enum Kind:
    KIND_BINARY = 1             # msgpack in a binary frame, not JSON in a text frame
    KIND_DEFLATED = 2           # compressed (RFC 7692), for receivers that agreed to it

# The first bit of a frame that RFC 7692 uses to mark a compressed message.
cdef enum:
    RSV1 = 0x40


cdef class Message:
    cdef object _value
    cdef object _encode_text
    cdef object _encode_binary
    cdef Py_ssize_t _deflate_above
    cdef list _payloads         # of text and of binary frames, None until somebody needs it
    cdef list _frames           # by kind, likewise

    cdef bytes frame(self, int kind)


cdef bytes deflate(bytes payload, int window)
cdef object inflate(const uint8_t* data, size_t size, size_t limit)

cpdef bytes build(int opcode, const uint8_t[::1] payload)
cpdef bytes build_close(int code, str reason)
