"""Ed25519 signatures (RFC 8032), many at a time and without holding up other threads.

libsodium does the work. PyNaCl brings it along but verifies one signature a call, and takes and gives back
the interpreter's lock for each: beside a busy event loop a thread waits for that lock most of the time. Here
a whole batch is one stretch without the lock.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stddef cimport size_t
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc

from nacl import _sodium

cdef enum:
    KEY = 32
    SIGNATURE = 64

# crypto_sign_open of libsodium; without somewhere to put the message it only verifies.
ctypedef int (*Open)(
    unsigned char* message, unsigned long long* message_size,
    const unsigned char* signed_message, unsigned long long signed_size, const unsigned char* key,
) noexcept nogil

cdef struct Claim:
    const unsigned char* key
    const unsigned char* signed_message
    size_t size
    bint good

# A function of a C library, whose address never changes.
cdef Open sodium_open = <Open><uintptr_t>int(
    _sodium.ffi.cast("uintptr_t", _sodium.ffi.addressof(_sodium.lib, "crypto_sign_open"))
)
if _sodium.lib.sodium_init() < 0:
    raise ImportError("libsodium cannot be used")


def verify(claims):
    """Whether each claim is good: (public key of 32 bytes, signature of 64 bytes and message in one).

    Beyond RFC 8032 §5.1.7 it refuses what only those come to who make up their keys: keys and first halves
    of signatures of small order, and keys not in canonical form.
    """
    # Holds on to the bytes, whatever others do with `claims`.
    cdef tuple held = tuple(claims)
    cdef Py_ssize_t count = len(held)
    cdef Py_ssize_t i
    cdef bytes key
    cdef bytes signed_message
    cdef Claim* each
    cdef Claim* checked
    for key, signed_message in held:
        if len(key) != KEY or len(signed_message) < SIGNATURE:
            raise ValueError("a key has 32 bytes, a signature 64")
    checked = <Claim*>malloc(max(count, 1) * sizeof(Claim))
    if checked == NULL:
        raise MemoryError
    for i in range(count):
        key, signed_message = held[i]
        each = &checked[i]
        each.key = <const unsigned char*>PyBytes_AS_STRING(key)
        each.signed_message = <const unsigned char*>PyBytes_AS_STRING(signed_message)
        each.size = len(signed_message)
    with nogil:
        for i in range(count):
            each = &checked[i]
            each.good = sodium_open(NULL, NULL, each.signed_message, each.size, each.key) == 0
    try:
        return [bool(checked[i].good) for i in range(count)]
    finally:
        free(checked)
