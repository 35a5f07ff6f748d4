from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t, uint64_t


# What is kept of a connection between two reads, only while a frame or a message is unfinished.
# Small, because whoever sends one byte can have one. Messages are below 4 GiB.
cdef struct Partial:
    uint8_t* message            # the message so far, unmasked
    uint8_t* control            # 125 bytes, while a control frame is unfinished
    uint32_t message_size
    uint32_t message_capacity
    uint32_t remaining          # bytes of the current frame's payload still to come
    uint32_t received           # bytes of it already here, for the mask's phase
    uint32_t utf8
    uint8_t message_opcode      # 0 while no data message is open
    uint8_t opcode              # of the current frame
    uint8_t final
    uint8_t in_payload
    uint8_t compressed          # the open message is
    uint8_t header_size
    uint8_t control_size
    uint8_t key[4]
    uint8_t header[14]

# Takes a whole message or control frame; a non-zero answer stops the parser. The opcode of a
# compressed message carries RSV1; it is neither inflated nor checked to be UTF-8. CONTINUATION, without
# a payload, tells that a frame is complete and its message is not.
ctypedef bint (*Sink)(void* context, int opcode, uint8_t* payload, size_t size) noexcept

cdef struct Verdict:
    int code                    # 0, or the close code of a violation
    const char* reason

cdef Verdict parse(
    Partial** partial, uint8_t* data, size_t size, size_t max_message, bint deflate, Sink sink, void* context
) noexcept
cdef bint keep(Partial** partial, const uint8_t* data, uint32_t size) noexcept
cdef void forget(Partial** partial) noexcept
cdef size_t frame_progress(const Partial* partial) noexcept
