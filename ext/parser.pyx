"""A strict, incremental parser of client frames (RFC 6455 §5), without I/O.

It takes the bytes of one read, unmasks them in place and hands every whole message and control
frame to a sink, which is told of every fragment too. A message that lies whole within one read is
handed over where it is; only what is unfinished at the end of a read is kept, in a `Partial` that
exists just as long.

Checked as early as the bytes allow: reserved bits and opcodes, masking, minimal lengths, control
frames' size and finality, the order of fragments, a limit on the *message*, UTF-8 of texts and close
reasons while they arrive, close codes.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy

from ext.frames cimport (
    RSV1,
    UTF8_ACCEPT,
    UTF8_REJECT,
    Opcode,
    apply_mask,
    close_code_allowed,
    utf8_feed,
)

cdef enum:
    MAX_CONTROL = 125
    FIRST_CAPACITY = 128  # bytes of a message buffer at first

# Twice this still fits the sizes of a `Partial`.
cdef size_t MAX_MESSAGE = 1 << 30

cdef Verdict OK = Verdict(0, NULL)


cdef inline Verdict refuse(int code, const char* reason) noexcept:
    cdef Verdict verdict
    verdict.code = code
    verdict.reason = reason
    return verdict


cdef void forget(Partial** partial) noexcept:
    """Free what is kept of an unfinished frame or message."""
    if partial[0] != NULL:
        free(partial[0].message)
        free(partial[0].control)
        free(partial[0])
        partial[0] = NULL


cdef size_t frame_progress(const Partial* partial) noexcept:
    """How many bytes of an unfinished frame, header included, have come; 0 between frames."""
    if partial == NULL:
        return 0
    return partial.header_size + (partial.received if partial.in_payload else 0)


cdef Verdict check_first(uint8_t first, int message_opcode, bint deflate) noexcept:
    """Judge a frame's first byte; `message_opcode` is that of the open message, or 0.

    With `deflate` agreed, the first frame of a message may say that it is compressed.
    """
    cdef int opcode = first & 0x0F
    cdef bint may_deflate = deflate and (opcode == Opcode.TEXT or opcode == Opcode.BINARY)
    if first & (0x30 if may_deflate else 0x70):
        return refuse(1002, b"reserved bits are set")
    if opcode >= 8:
        if opcode > Opcode.PONG:
            return refuse(1002, b"unknown opcode")
        if not first & 0x80:
            return refuse(1002, b"control frame is fragmented")
    elif opcode > Opcode.BINARY:
        return refuse(1002, b"unknown opcode")
    elif opcode == Opcode.CONTINUATION:
        if message_opcode == 0:
            return refuse(1002, b"continuation without a message")
    elif message_opcode != 0:
        return refuse(1002, b"new message within a message")
    return OK


cdef Verdict check_second(uint8_t first, uint8_t second) noexcept:
    if not second & 0x80:
        return refuse(1002, b"frame is not masked")
    if first & 0x08 and second & 0x7F > 125:
        return refuse(1002, b"control frame is too long")
    return OK


cdef inline size_t header_length(uint8_t second) noexcept:
    cdef int length = second & 0x7F
    return 14 if length == 127 else 8 if length == 126 else 6


cdef Verdict read_length(const uint8_t* header, uint64_t* length) noexcept:
    """Read the payload's length from a complete header."""
    cdef int short = header[1] & 0x7F
    cdef int i
    length[0] = short
    if short == 126:
        length[0] = (<uint64_t>header[2] << 8) | header[3]
        if length[0] < 126:
            return refuse(1002, b"length is not minimal")
    elif short == 127:
        length[0] = 0
        for i in range(8):
            length[0] = (length[0] << 8) | header[2 + i]
        if length[0] >> 63:
            return refuse(1002, b"length is too large")
        if length[0] < 65536:
            return refuse(1002, b"length is not minimal")
    return OK


cdef Verdict check_close(const uint8_t* payload, size_t size) noexcept:
    """Judge a close frame's payload (RFC 6455 §5.5.1, §7.4)."""
    if size == 0:
        return OK
    if size == 1:
        return refuse(1002, b"close code is cut")
    if not close_code_allowed((payload[0] << 8) | payload[1]):
        return refuse(1002, b"close code is not allowed")
    if utf8_feed(UTF8_ACCEPT, payload + 2, size - 2) != UTF8_ACCEPT:
        return refuse(1007, b"close reason is not UTF-8")
    return OK


cdef bint append(Partial* state, const uint8_t* data, uint32_t size) noexcept:
    """Add bytes to the message; false when memory runs out."""
    cdef uint32_t needed = state.message_size + size
    cdef uint32_t capacity = state.message_capacity
    cdef uint8_t* grown
    if needed > capacity:
        if capacity == 0:
            capacity = FIRST_CAPACITY
        while capacity < needed:
            capacity *= 2
        grown = <uint8_t*>realloc(state.message, capacity)
        if grown == NULL:
            return False
        state.message = grown
        state.message_capacity = capacity
    memcpy(state.message + state.message_size, data, size)
    state.message_size = needed
    return True


cdef bint keep(Partial** partial, const uint8_t* data, uint32_t size) noexcept:
    """Add bytes to what is kept, as they are; false when memory runs out."""
    if partial[0] == NULL:
        partial[0] = <Partial*>calloc(1, sizeof(Partial))
        if partial[0] == NULL:
            return False
    return append(partial[0], data, size)


cdef Verdict begin_frame(Partial* state, size_t max_message) noexcept:
    """Take the complete header in `state` and prepare for the payload."""
    cdef uint64_t length = 0
    cdef Verdict verdict = read_length(state.header, &length)
    if verdict.code:
        return verdict
    state.opcode = state.header[0] & 0x0F
    state.final = state.header[0] >> 7
    if state.opcode < 8:
        if length > max_message or length + state.message_size > max_message:
            return refuse(1009, b"message is too big")
        if state.opcode != Opcode.CONTINUATION:
            state.message_opcode = state.opcode
            state.compressed = (state.header[0] & RSV1) != 0
            state.utf8 = UTF8_ACCEPT
    elif state.control == NULL:
        state.control = <uint8_t*>malloc(MAX_CONTROL)
        if state.control == NULL:
            return refuse(1011, b"out of memory")
    memcpy(state.key, state.header + state.header_size - 4, 4)
    state.remaining = <uint32_t>length
    state.received = 0
    state.control_size = 0
    state.in_payload = True
    return OK


cdef Verdict end_frame(Partial* state, Sink sink, void* context, bint* stop) noexcept:
    """The current frame is complete: hand over what is complete with it."""
    cdef Verdict verdict
    cdef uint8_t opcode
    state.in_payload = False
    state.header_size = 0
    if state.opcode >= 8:
        if state.opcode == Opcode.CLOSE:
            verdict = check_close(state.control, state.control_size)
            if verdict.code:
                return verdict
        stop[0] = sink(context, state.opcode, state.control, state.control_size)
        free(state.control)
        state.control = NULL
    elif state.final:
        if state.message_opcode == Opcode.TEXT and not state.compressed and state.utf8 != UTF8_ACCEPT:
            return refuse(1007, b"text is not UTF-8")
        opcode = state.message_opcode | (RSV1 if state.compressed else 0)
        state.message_opcode = 0
        stop[0] = sink(context, opcode, state.message, state.message_size)
        free(state.message)
        state.message = NULL
        state.message_size = 0
        state.message_capacity = 0
    else:
        stop[0] = sink(context, Opcode.CONTINUATION, NULL, 0)
    return OK


cdef size_t whole_frame(
    uint8_t* data, size_t size, size_t max_message, bint deflate, Sink sink, void* context,
    Verdict* verdict, bint* stop,
) noexcept:
    """Parse one frame that is a whole message and lies whole in `data`, without keeping anything.

    Returns how many bytes it took; 0 when the frame is not of that kind, or on a violation.
    """
    cdef uint64_t length = 0
    cdef size_t header
    cdef int opcode
    cdef uint8_t* payload
    if size < 6 or not data[0] & 0x80:
        return 0
    verdict[0] = check_first(data[0], 0, deflate)
    if verdict.code == 0:
        verdict[0] = check_second(data[0], data[1])
    if verdict.code:
        return 0
    header = header_length(data[1])
    if size < header:
        return 0
    verdict[0] = read_length(data, &length)
    if verdict.code:
        return 0
    opcode = data[0] & 0x0F
    if opcode < 8 and length > max_message:
        verdict[0] = refuse(1009, b"message is too big")
        return 0
    if size - header < length:
        return 0
    payload = data + header
    apply_mask(payload, length, payload - 4, 0)
    if data[0] & RSV1:
        opcode |= RSV1
    elif opcode == Opcode.TEXT:
        if utf8_feed(UTF8_ACCEPT, payload, length) != UTF8_ACCEPT:
            verdict[0] = refuse(1007, b"text is not UTF-8")
            return 0
    elif opcode == Opcode.CLOSE:
        verdict[0] = check_close(payload, length)
        if verdict.code:
            return 0
    stop[0] = sink(context, opcode, payload, length)
    return header + length


cdef Verdict parse(
    Partial** partial, uint8_t* data, size_t size, size_t max_message, bint deflate, Sink sink, void* context
) noexcept:
    """Parse `size` bytes of a client, changing them in place.

    `partial` points to NULL at first and is NULL again whenever nothing is unfinished. After a
    violation, or once the sink has stopped it, the parser must not be called again.
    """
    cdef Partial* state
    cdef Verdict verdict = OK
    cdef bint stop = False
    cdef size_t taken
    cdef uint32_t wanted
    while size and not stop:
        if partial[0] == NULL:
            taken = whole_frame(data, size, max_message, deflate, sink, context, &verdict, &stop)
            if verdict.code:
                return verdict
            if taken:
                data += taken
                size -= taken
                continue
            partial[0] = <Partial*>calloc(1, sizeof(Partial))
            if partial[0] == NULL:
                return refuse(1011, b"out of memory")
        state = partial[0]
        if not state.in_payload:
            # The header, byte by byte at first: what is wrong is refused as soon as it is seen.
            state.header[state.header_size] = data[0]
            state.header_size += 1
            data += 1
            size -= 1
            if state.header_size == 1:
                verdict = check_first(state.header[0], state.message_opcode, deflate)
            elif state.header_size == 2:
                verdict = check_second(state.header[0], state.header[1])
            if verdict.code:
                return verdict
            if state.header_size < 2 or state.header_size < header_length(state.header[1]):
                continue
            verdict = begin_frame(state, max_message)
            if verdict.code:
                return verdict
        if state.remaining:
            wanted = <uint32_t>size if size < state.remaining else state.remaining
            if wanted:
                apply_mask(data, wanted, state.key, state.received & 3)
                if state.opcode >= 8:
                    memcpy(state.control + state.control_size, data, wanted)
                    state.control_size += <uint8_t>wanted
                else:
                    if state.message_opcode == Opcode.TEXT and not state.compressed:
                        state.utf8 = utf8_feed(state.utf8, data, wanted)
                        if state.utf8 == UTF8_REJECT:
                            return refuse(1007, b"text is not UTF-8")
                    if not append(state, data, wanted):
                        return refuse(1011, b"out of memory")
                data += wanted
                size -= wanted
                state.remaining -= wanted
                state.received += wanted
        if state.remaining == 0:
            verdict = end_frame(state, sink, context, &stop)
            if verdict.code:
                return verdict
            if state.message_opcode == 0:
                forget(partial)
    return OK


cdef bint collect(void* context, int opcode, uint8_t* payload, size_t size) noexcept:
    if opcode != Opcode.CONTINUATION:
        (<list>context).append((opcode, PyBytes_FromStringAndSize(<char*>payload, size)))
    return opcode == Opcode.CLOSE


cdef class Parser:
    """The strict server-side parser over one connection's bytes.

    `feed` returns the (opcode, payload) pairs that became complete. After a close frame or a
    violation everything is ignored; `violation` then holds (close code, reason).
    """

    cdef Partial* _partial
    cdef size_t _max_message
    cdef bint _deflate
    cdef bint _ended
    cdef readonly object violation

    def __init__(self, size_t max_message, bint deflate=False):
        if max_message > MAX_MESSAGE:
            raise ValueError("messages must be below 1 GiB")
        self._max_message = max_message
        self._deflate = deflate

    def __dealloc__(self):
        forget(&self._partial)

    @property
    def idle(self):
        """Whether nothing is unfinished, so that nothing is kept."""
        return self._partial == NULL

    def feed(self, bytes data):
        """Parse the next bytes of the connection."""
        cdef list messages = []
        cdef bytearray scratch = bytearray(data)
        cdef uint8_t* start = <uint8_t*><char*>scratch
        cdef Verdict verdict
        if self._ended:
            return messages
        verdict = parse(
            &self._partial, start, len(scratch), self._max_message, self._deflate, collect, <void*>messages
        )
        if verdict.code:
            self.violation = (verdict.code, verdict.reason.decode())
        self._ended = verdict.code != 0 or any(opcode == Opcode.CLOSE for opcode, _ in messages)
        return messages
