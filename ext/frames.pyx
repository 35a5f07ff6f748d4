"""WebSocket frames as a server writes them (RFC 6455 §5.2), masking (§5.3), UTF-8 (RFC 3629 §4) and
compression per message without context takeover (RFC 7692 §7).

No sockets, and no state but what a message has built already.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

import zlib

# What a sender leaves out at the end of every compressed message (RFC 7692 §7.2.1).
cdef bytes TAIL = b"\x00\x00\xff\xff"
# An empty final block: only where a whole message ended does it end the stream.
cdef bytes END = b"\x03\x00"
cdef int DEFLATE_LEVEL = 1
cdef int DEFLATE_MEMORY = 8
cdef int SMALLEST_WINDOW = 9    # zlib makes no smaller one

cdef enum:
    INFLATE_PIECE = 16384       # bytes inflated in one go; what a stream leaves over is copied
    # A new stream costs about as much as inflating a few hundred bytes: beyond the first few they
    # must hold something.
    FREE_STREAMS = 64
    STREAM_BYTES = 64

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


cdef bytes deflate(bytes payload, int window):
    """`payload` compressed on its own, for a window of 2**`window` bytes (8 to 15)."""
    # With its smallest window of 512 bytes zlib looks back 250: that fits the 256 of 2**8 too.
    packer = zlib.compressobj(DEFLATE_LEVEL, zlib.DEFLATED, -max(window, SMALLEST_WINDOW), DEFLATE_MEMORY)
    cdef bytes packed = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    return packed[: len(packed) - len(TAIL)]


cdef object inflate(const uint8_t* data, size_t size, size_t limit):
    """The message behind compressed bytes, or None if it has more than `limit` bytes.

    Never makes more than `limit` + 1 bytes, whatever the input promises.

    Raises:
        zlib.error: the bytes are not a whole compressed message.
    """
    cdef bytes ending = TAIL + END
    cdef bytes rest
    cdef list parts = []
    cdef size_t made = 0
    cdef size_t streams = 1
    cdef size_t start = 0
    cdef bint last = False
    unpacker = zlib.decompressobj(-15)
    while not last:
        last = size - start < INFLATE_PIECE
        rest = PyBytes_FromStringAndSize(<char*>data + start, size - start if last else INFLATE_PIECE)
        start += INFLATE_PIECE
        if last:
            rest += ending
        while rest:
            if unpacker.eof:
                # A sender may end a block as the final one; what follows begins anew (§7.2.1).
                if last and rest == ending:
                    break
                streams += 1
                if streams > FREE_STREAMS + size // STREAM_BYTES:
                    raise zlib.error("too many streams in a message")
                unpacker = zlib.decompressobj(-15)
            part = unpacker.decompress(rest, limit + 1 - made)
            parts.append(part)
            made += len(part)
            if made > limit:
                return None
            rest = unpacker.unused_data
    if not unpacker.eof:
        raise zlib.error("the message is cut")
    return b"".join(parts)


cdef class Message:
    """A message to any number of receivers: encoded, framed and compressed at most once a kind.

    `encode_text` and `encode_binary` make the payload of text and binary frames from `value`, when
    somebody first needs it. Payloads above `deflate_above` bytes are compressed for receivers that agreed
    to it, unless that would not make them shorter; below 0 none is.
    """

    def __init__(self, value, encode_text, encode_binary, Py_ssize_t deflate_above=-1):
        self._value = value
        self._encode_text = encode_text
        self._encode_binary = encode_binary
        self._deflate_above = deflate_above
        self._payloads = [None, None]
        self._frames = [None, None, None, None]

    cdef bytes frame(self, int kind):
        """The whole frame for receivers of this `Kind`."""
        cdef int binary = kind & Kind.KIND_BINARY
        cdef int opcode = Opcode.BINARY if binary else Opcode.TEXT
        cdef bytes payload
        cdef bytes packed
        if self._frames[kind] is not None:
            return self._frames[kind]
        if self._payloads[binary] is None:
            encode = self._encode_binary if binary else self._encode_text
            self._payloads[binary] = encode(self._value)
        payload = self._payloads[binary]
        if kind & Kind.KIND_DEFLATED:
            if self._deflate_above < 0 or len(payload) <= self._deflate_above:
                self._frames[kind] = self.frame(binary)
            else:
                packed = deflate(payload, 15)
                if len(packed) < len(payload):
                    self._frames[kind] = build(opcode | RSV1, packed)
                else:
                    self._frames[kind] = self.frame(binary)
        else:
            self._frames[kind] = build(opcode, payload)
        return self._frames[kind]

    def built(self, bint binary, bint deflated):
        """The frame for receivers of that kind."""
        return self.frame((Kind.KIND_BINARY if binary else 0) | (Kind.KIND_DEFLATED if deflated else 0))


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


def deflate_payload(bytes payload, int window=15):
    """`payload` as a compressed message's payload; `window` is the logarithm of the window, 8 to 15."""
    return deflate(payload, window)


def inflate_payload(bytes payload, size_t limit):
    """The message behind a compressed payload, or None if it is longer than `limit`.

    Raises:
        zlib.error: `payload` is not one, or only the beginning of one.
    """
    return inflate(<const uint8_t*>PyBytes_AS_STRING(payload), len(payload), limit)


def utf8_state(bytes data, uint32_t state=0):
    """The state after `data`: 0 is complete and valid, 0xFFFFFFFF invalid, any other unfinished."""
    return utf8_feed(state, <const uint8_t*>PyBytes_AS_STRING(data), len(data))
