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

cpdef bytes build(int opcode, const uint8_t[::1] payload)
cpdef bytes build_close(int code, str reason)
