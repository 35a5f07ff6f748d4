"""WebSocket frames as a server writes them (RFC 6455 §5.2), masking (§5.3) and UTF-8 (RFC 3629 §4).

Functions over bytes: no state, no sockets.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

globals().update(
    CONTINUATION=Opcode.CONTINUATION,
    TEXT=Opcode.TEXT,
    BINARY=Opcode.BINARY,
    CLOSE=Opcode.CLOSE,
    PING=Opcode.PING,
    PONG=Opcode.PONG,
)


cdef size_t write_header(uint8_t* out, int opcode, size_t size) noexcept nogil:
    """Write the header of a whole, unmasked message; returns its length, at most MAX_HEADER."""
    cdef int shift
    out[0] = <uint8_t>(0x80 | opcode)
    if size < 126:
        out[1] = <uint8_t>size
        return 2
    if size < 65536:
        out[1] = 126
        out[2] = <uint8_t>(size >> 8)
        out[3] = <uint8_t>size
        return 4
    out[1] = 127
    for shift in range(8):
        out[2 + shift] = <uint8_t>(size >> (56 - 8 * shift))
    return 10


cdef void apply_mask(uint8_t* data, size_t size, const uint8_t* key, size_t offset) noexcept nogil:
    """XOR `data` in place with the 4-byte `key`, beginning at its byte `offset` mod 4."""
    cdef uint8_t rotated[8]
    cdef uint64_t wide, word
    cdef size_t i
    for i in range(8):
        rotated[i] = key[(offset + i) & 3]
    memcpy(&wide, rotated, 8)
    i = 0
    while i + 8 <= size:
        memcpy(&word, data + i, 8)
        word ^= wide
        memcpy(data + i, &word, 8)
        i += 8
    while i < size:
        data[i] ^= rotated[i & 7]
        i += 1


cdef uint32_t utf8_feed(uint32_t state, const uint8_t* data, size_t size) noexcept nogil:
    """Continue checking UTF-8 from `state`; returns the new state, UTF8_REJECT once it is invalid.

    A state holds how many continuation bytes are owed and the range allowed for the next one.
    """
    cdef uint32_t owed = state & 0xFF
    cdef uint8_t low = <uint8_t>(state >> 8)
    cdef uint8_t high = <uint8_t>(state >> 16)
    cdef size_t i = 0
    cdef uint64_t word
    cdef uint8_t byte
    if state == UTF8_REJECT:
        return UTF8_REJECT
    while i < size:
        if owed == 0:
            while i + 8 <= size:
                memcpy(&word, data + i, 8)
                if word & <uint64_t>0x8080808080808080:
                    break
                i += 8
            if i == size:
                break
        byte = data[i]
        i += 1
        if owed:
            if byte < low or byte > high:
                return UTF8_REJECT
            owed -= 1
            low = 0x80
            high = 0xBF
        elif byte >= 0x80:
            low = 0x80
            high = 0xBF
            if 0xC2 <= byte <= 0xDF:
                owed = 1
            elif 0xE0 <= byte <= 0xEF:
                owed = 2
                if byte == 0xE0:
                    low = 0xA0
                elif byte == 0xED:
                    high = 0x9F
            elif 0xF0 <= byte <= 0xF4:
                owed = 3
                if byte == 0xF0:
                    low = 0x90
                elif byte == 0xF4:
                    high = 0x8F
            else:
                return UTF8_REJECT
    if owed == 0:
        return UTF8_ACCEPT
    return owed | (<uint32_t>low << 8) | (<uint32_t>high << 16)


cdef bint close_code_allowed(int code) noexcept nogil:
    """Whether a peer may send `code` (RFC 6455 §7.4 and the IANA registry)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


cpdef bytes build(int opcode, const uint8_t[::1] payload):
    """A whole, unmasked frame: header and payload in one object, for any number of receivers."""
    cdef size_t size = payload.shape[0]
    cdef uint8_t header[MAX_HEADER]
    cdef size_t length = write_header(header, opcode, size)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, length + size)
    cdef char* out = PyBytes_AS_STRING(frame)
    memcpy(out, header, length)
    if size:
        memcpy(out + length, &payload[0], size)
    return frame


cpdef bytes build_close(int code, str reason):
    """A close frame. `reason` is cut at 123 bytes, never within a character."""
    cdef bytes text = reason.encode()[:123].decode("utf-8", "ignore").encode()
    return build(Opcode.CLOSE, code.to_bytes(2, "big") + text)


def mask(bytes data, bytes key, size_t offset=0):
    """`data` XORed with the 4-byte `key` from its byte `offset` mod 4 on.

    Raises:
        ValueError: if the key is not 4 bytes long.
    """
    if len(key) != 4:
        raise ValueError("a masking key has 4 bytes")
    # Allocated first and filled then: one-byte objects made from contents are shared.
    cdef bytes out = PyBytes_FromStringAndSize(NULL, len(data))
    memcpy(PyBytes_AS_STRING(out), PyBytes_AS_STRING(data), len(data))
    apply_mask(<uint8_t*>PyBytes_AS_STRING(out), len(data), <const uint8_t*>PyBytes_AS_STRING(key), offset)
    return out


def utf8_state(bytes data, uint32_t state=0):
    """The state after `data`: 0 is complete and valid, 0xFFFFFFFF invalid, any other unfinished."""
    return utf8_feed(state, <const uint8_t*>PyBytes_AS_STRING(data), len(data))
