"""What must hold for any input of the frame parser; `driver.c` hands the inputs in.

The first four bytes of an input choose how the rest is used (see `Setup`). The rest is bytes as a
client sends them, or records from which frames are made, so that a good share of the inputs gets
past the headers. All that is parsed lies in blocks of its exact size, so that AddressSanitizer
sees a byte read too far.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t
from libc.stdio cimport fprintf, stderr
from libc.stdlib cimport abort, free, malloc
from libc.string cimport memcmp, memcpy, memset, strcmp

from ext.frames cimport (
    MAX_HEADER,
    RSV1,
    UTF8_ACCEPT,
    UTF8_REJECT,
    Kind,
    Message,
    Opcode,
    apply_mask,
    build,
    build_close,
    close_code_allowed,
    inflate,
    utf8_feed,
    write_header,
)
from ext.parser cimport Partial, Verdict, forget, parse

import traceback
import zlib

from reference.frames import utf8_verdict
from reference.parser import ReferenceParser

from ext.parser import Parser

cdef extern from "sanitizer/allocator_interface.h" nogil:
    size_t __sanitizer_get_current_allocated_bytes()

cdef enum:
    SETUP = 4               # bytes of an input that choose
    RECORD = 5              # bytes of a record's head in the log: opcode and size
    KEPT = 512              # bytes a connection may hold beyond twice what it sent
    BIG = 65536             # the first payload with a length of eight bytes
    FOR_TWIN = 1024         # bytes of a stream that the twin, which is slow, is shown
    BYTEWISE = 2048         # and of one that is also fed byte by byte

cdef size_t[8] LIMITS = [0, 1, 125, 126, 1000, 65535, 70000, 1 << 30]


cdef struct Setup:
    size_t limit            # of a message
    bint deflate            # was agreed to
    bint framed             # the rest are records, not bytes of a client
    bint thorough           # the slower checks too
    size_t pieces[2]        # sizes of reads, in turn
    uint32_t stop_after     # calls after which the sink stops the parser, 0 for never


# What a sink was given: opcode, size and payload of each, one behind the other.
cdef struct Log:
    uint8_t* data
    size_t size
    size_t capacity
    uint32_t count
    uint32_t stop_after
    size_t limit


cdef struct Outcome:
    Verdict verdict
    bint stopped
    bint idle               # nothing was kept at the end


cdef void violated(const char* rule) noexcept nogil:
    fprintf(stderr, "\nparser fuzzer: this does not hold: %s\n", rule)
    abort()


cdef uint8_t* room(size_t size) noexcept nogil:
    cdef uint8_t* block = <uint8_t*>malloc(size if size else 1)
    if block == NULL:
        violated(b"there is memory")
    return block


cdef bint record(void* context, int opcode, uint8_t* payload, size_t size) noexcept:
    """The sink: note a message or a fragment down."""
    cdef Log* log = <Log*>context
    cdef uint32_t length = <uint32_t>size
    cdef uint8_t kind = <uint8_t>opcode & 0x0F
    if kind >= 8:
        if size > 125 or opcode != kind:
            violated(b"a control frame has at most 125 bytes and no reserved bit")
    elif size > log.limit:
        violated(b"a message is not above the limit")
    if opcode == Opcode.CONTINUATION:
        if size:
            violated(b"of a fragment nothing is delivered")
    elif kind not in (Opcode.TEXT, Opcode.BINARY, Opcode.CLOSE, Opcode.PING, Opcode.PONG):
        violated(b"what is delivered has a known opcode")
    if log.size + RECORD + size > log.capacity:
        violated(b"no more is delivered than was sent")
    log.data[log.size] = <uint8_t>opcode
    memcpy(log.data + log.size + 1, &length, 4)
    if size:
        memcpy(log.data + log.size + RECORD, payload, size)
    log.size += RECORD + size
    log.count += 1
    return opcode == Opcode.CLOSE or log.count == log.stop_after


cdef Outcome feed(
    const uint8_t* stream, size_t size, Setup* setup, size_t even, size_t odd, Log* log
) noexcept:
    """Parse a stream in reads of `even` and `odd` bytes in turn; 0 is all there is."""
    cdef Outcome outcome
    cdef Partial* partial = NULL
    cdef size_t before = __sanitizer_get_current_allocated_bytes()
    cdef size_t sent = 0
    cdef size_t taken
    cdef uint32_t turn = 0
    cdef uint8_t* piece
    outcome.verdict.code = 0
    outcome.verdict.reason = NULL
    outcome.stopped = False
    log.size = 0
    log.count = 0
    while sent < size:
        taken = odd if turn & 1 else even
        turn += 1
        if taken == 0 or taken > size - sent:
            taken = size - sent
        piece = room(taken)
        memcpy(piece, stream + sent, taken)
        outcome.verdict = parse(&partial, piece, taken, setup.limit, setup.deflate, record, log)
        free(piece)
        sent += taken
        if __sanitizer_get_current_allocated_bytes() - before > KEPT + 2 * sent:
            violated(b"what is kept is bounded by what was sent")
        outcome.stopped = ended(log)
        if outcome.verdict.code or outcome.stopped:
            break
    outcome.idle = partial == NULL
    forget(&partial)
    if __sanitizer_get_current_allocated_bytes() != before:
        violated(b"all memory is given back")
    return outcome


cdef bint ended(Log* log) noexcept:
    """Whether the sink has stopped the parser."""
    cdef size_t at = 0
    cdef uint32_t length
    if log.count and log.count == log.stop_after:
        return True
    while at < log.size:
        memcpy(&length, log.data + at + 1, 4)
        if log.data[at] == Opcode.CLOSE:
            if at + RECORD + length != log.size:
                violated(b"nothing is delivered after a close frame")
            return True
        at += RECORD + length
    return False


cdef void same(Outcome* left, Log* left_log, Outcome* right, Log* right_log) noexcept:
    """Two segmentations of one stream must come to the same."""
    if left_log.size != right_log.size or memcmp(left_log.data, right_log.data, left_log.size):
        violated(b"reads of any size deliver the same")
    if left.verdict.code != right.verdict.code or left.stopped != right.stopped:
        violated(b"reads of any size end the same")
    if left.verdict.code and strcmp(left.verdict.reason, right.verdict.reason):
        violated(b"reads of any size end for the same reason")
    if not left.verdict.code and not left.stopped and left.idle != right.idle:
        violated(b"something is kept only while something is unfinished")


cdef list messages(Log* log):
    """The log as `Parser.feed` returns it: without fragments."""
    cdef list found = []
    cdef size_t at = 0
    cdef uint32_t length
    while at < log.size:
        memcpy(&length, log.data + at + 1, 4)
        if log.data[at] != Opcode.CONTINUATION:
            found.append((log.data[at], PyBytes_FromStringAndSize(<char*>log.data + at + RECORD, length)))
        at += RECORD + length
    return found


cdef size_t write_frame(
    uint8_t* out, int first, const uint8_t* payload, size_t size, const uint8_t* key
) noexcept:
    """Write a client's frame with the first byte `first`; returns its length."""
    cdef size_t header = write_header(out, first & 0x0F, size)
    out[0] = <uint8_t>first
    out[1] |= 0x80
    memcpy(out + header, key, 4)
    if size:
        memcpy(out + header + 4, payload, size)
    apply_mask(out + header + 4, size, key, 0)
    return header + 4 + size


cdef uint8_t* make_frames(const uint8_t* data, size_t size, size_t* made) noexcept:
    """Frames from records: first byte, length, key's seed, payload.

    A length of 255 stands for the payload that has eight bytes of length, of one letter; one is made.
    """
    cdef uint8_t* stream = room(size * (MAX_HEADER + 4) + BIG + MAX_HEADER + 4)
    cdef uint8_t* big = room(BIG)
    cdef uint8_t[4] key
    cdef size_t length
    cdef int i
    cdef bint once = False
    made[0] = 0
    while size >= 3:
        length = data[1]
        for i in range(4):
            key[i] = <uint8_t>(data[2] * (2 * i + 1))
        if length == 255 and not once:
            once = True
            memset(big, data[2], BIG)
            made[0] += write_frame(stream + made[0], data[0], big, BIG, key)
            length = 0
        else:
            length = min(length, size - 3)
            made[0] += write_frame(stream + made[0], data[0], data + 3, length, key)
        data += 3 + length
        size -= 3 + length
    free(big)
    return stream


cdef void check_delivered(Log* log, Setup* setup):
    """Texts are UTF-8 to Python as well; compressed messages inflate to the limit at most."""
    for opcode, payload in messages(log):
        if opcode == Opcode.TEXT:
            if utf8_verdict(payload) != "whole":
                violated(b"a text that is delivered is UTF-8 to Python")
        elif opcode & RSV1:
            check_inflate(payload, min(setup.limit, 70_000))


cdef void check_inflate(bytes payload, size_t limit):
    try:
        inflated = inflate(<const uint8_t*>PyBytes_AS_STRING(payload), len(payload), limit)
    except zlib.error:
        return
    if inflated is not None and len(inflated) > limit:
        violated(b"nothing inflates to more than the limit")


cdef void check_utf8(const uint8_t* data, size_t size, size_t cut):
    """The verdict on bytes, in one piece and in two, is Python's."""
    cdef uint32_t state = utf8_feed(UTF8_ACCEPT, data, size)
    if utf8_feed(utf8_feed(UTF8_ACCEPT, data, cut), data + cut, size - cut) != state:
        violated(b"the verdict on UTF-8 does not depend on where it is cut")
    verdict = "whole" if state == UTF8_ACCEPT else "invalid" if state == UTF8_REJECT else "unfinished"
    if verdict != utf8_verdict(PyBytes_FromStringAndSize(<const char*>data, size)):
        violated(b"the verdict on UTF-8 is Python's")


cdef void check_parser(const uint8_t* stream, size_t size, Setup* setup, Outcome* outcome, list expected):
    """`ext.parser.Parser`, and its twin in Python, say the same; after the end nothing comes."""
    cdef bytes data = PyBytes_FromStringAndSize(<const char*>stream, size)
    cdef Py_ssize_t cut = min(setup.pieces[0], size)
    parser = Parser(setup.limit, setup.deflate)
    if parser.feed(data[:cut]) + parser.feed(data[cut:]) != expected:
        violated(b"Parser delivers what parse does")
    if (parser.violation or (0,))[0] != outcome.verdict.code:
        violated(b"Parser has the violation that parse has")
    if outcome.verdict.code or outcome.stopped:
        if parser.feed(b"\x82\x80\x00\x00\x00\x00"):
            violated(b"nothing is delivered after a violation or a close frame")
    elif parser.idle != outcome.idle:
        violated(b"Parser keeps what parse keeps")
    if setup.deflate or size > FOR_TWIN:
        return
    twin = ReferenceParser(setup.limit)
    if twin.feed(data[:cut]) + twin.feed(data[cut:]) != expected:
        violated(b"the twin delivers the same")
    if (twin.violation_code or 0) != outcome.verdict.code:
        violated(b"the twin has the same violation")


cdef list parsed(const uint8_t* frame, size_t size, size_t limit, int* code):
    """What one frame of a client gives, compression agreed to."""
    cdef Setup setup
    cdef Outcome outcome
    cdef Log log
    setup.limit = limit
    setup.deflate = True
    log.capacity = size + RECORD
    log.data = room(log.capacity)
    log.stop_after = 0
    log.limit = limit
    outcome = feed(frame, size, &setup, 0, 0, &log)
    code[0] = outcome.verdict.code
    found = messages(&log)
    free(log.data)
    return found


cdef list sent_by_client(bytes frame, const uint8_t* key, size_t limit, int* code):
    """What a server's frame gives when a client sends it, that is, masks it."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(frame)
    cdef size_t header = 10 if data[1] == 127 else 4 if data[1] == 126 else 2
    cdef size_t size = len(frame) - header
    cdef uint8_t* masked = room(len(frame) + 4)
    if write_frame(masked, data[0], data + header, size, key) != <size_t>len(frame) + 4:
        violated(b"a frame is a header and the payload")
    found = parsed(masked, len(frame) + 4, limit, code)
    free(masked)
    return found


cdef void check_round_trip(bytes payload, const uint8_t* key, size_t deflate_above):
    """What is built is parsed to the same, compressed or not."""
    cdef int code = 0
    cdef Message message = Message(payload, bytes, bytes, deflate_above)
    is_text = utf8_verdict(payload) == "whole"
    for opcode in (Opcode.PING, Opcode.PONG):
        found = sent_by_client(build(opcode, payload), key, 0, &code)
        if found != ([(opcode, payload)] if len(payload) <= 125 else []):
            violated(b"a control frame that is built is parsed")
    for kind in (0, Kind.KIND_BINARY, Kind.KIND_DEFLATED, Kind.KIND_BINARY | Kind.KIND_DEFLATED):
        opcode = Opcode.BINARY if kind & Kind.KIND_BINARY else Opcode.TEXT
        found = sent_by_client(message.frame(kind), key, len(payload), &code)
        if found and found[0][0] & RSV1:
            packed = found[0][1]
            unpacked = inflate(<const uint8_t*>PyBytes_AS_STRING(packed), len(packed), len(payload))
            found = [(found[0][0] ^ RSV1, unpacked)]
        elif opcode == Opcode.TEXT and not is_text:
            if found or code != 1007:
                violated(b"a text that is not UTF-8 is refused with 1007")
            continue
        if found != [(opcode, payload)]:
            violated(b"a message that is built is parsed")
    code = int.from_bytes(payload[:2], "big")
    allowed = close_code_allowed(code)
    frame = build_close(code, payload[2:].decode("utf-8", "replace"))
    if len(frame) > 127:
        violated(b"a close frame has at most 125 bytes")
    found = sent_by_client(frame, key, 0, &code)
    if (len(found) == 1) != allowed:
        violated(b"a close frame that is built is parsed if its code is allowed")


cdef void judge(const uint8_t* data, size_t size):
    cdef Setup setup
    cdef Outcome whole, pieces
    cdef Log whole_log, pieces_log
    cdef const uint8_t* rest = data + SETUP
    cdef uint8_t* stream
    cdef size_t length
    if size < SETUP:
        return
    size -= SETUP
    setup.limit = LIMITS[data[0] & 7]
    setup.deflate = (data[0] & 8) != 0
    setup.framed = (data[0] & 16) != 0
    setup.thorough = (data[0] & 32) != 0
    setup.pieces[0] = data[1]
    setup.pieces[1] = data[2]
    setup.stop_after = data[3]
    if setup.framed:
        stream = make_frames(rest, size, &length)
    else:
        length = size
        stream = room(size)
        memcpy(stream, rest, size)
    whole_log.capacity = pieces_log.capacity = length
    whole_log.data = room(length)
    pieces_log.data = room(length)
    whole_log.limit = pieces_log.limit = setup.limit
    whole_log.stop_after = pieces_log.stop_after = setup.stop_after
    whole = feed(stream, length, &setup, 0, 0, &whole_log)
    pieces = feed(stream, length, &setup, setup.pieces[0], setup.pieces[1], &pieces_log)
    same(&whole, &whole_log, &pieces, &pieces_log)
    if length <= BYTEWISE:
        pieces = feed(stream, length, &setup, 1, 1, &pieces_log)
        same(&whole, &whole_log, &pieces, &pieces_log)
    check_delivered(&whole_log, &setup)
    check_utf8(rest, size, min(setup.pieces[0], size))
    if setup.thorough:
        if setup.stop_after == 0:
            check_parser(stream, length, &setup, &whole, messages(&whole_log))
        check_round_trip(PyBytes_FromStringAndSize(<const char*>rest, size), data, setup.pieces[0])
    free(pieces_log.data)
    free(whole_log.data)
    free(stream)


cdef api void judge_input(const uint8_t* data, size_t size) noexcept:
    """Abort if anything that must hold does not for this input."""
    try:
        judge(data, size)
    except BaseException:
        traceback.print_exc()
        violated(b"nothing is raised")
